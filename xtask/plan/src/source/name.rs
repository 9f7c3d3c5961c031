//! The names that a plugin may have.

use crate::source::manifest::HostSpec;

/// Limit for a plugin's name, in bytes: a ustar header has room for a path of 100 bytes.
pub const LONGEST: usize = 64;

/// Names of crates that come with Rust, and words that no crate can be called by.
///
/// Source: <https://doc.rust-lang.org/reference/keywords.html>.
const RESERVED: &str = "abstract alloc as async await become box break const continue core crate do dyn else enum extern \
    false final fn for gen if impl in let loop macro match mod move mut override priv proc_macro pub ref \
    return self static std struct super test trait true try type typeof unsafe unsized use virtual where \
    while yield union";

/// Why a new plugin cannot have this name, and what to do. Names of other plugins are not checked.
pub fn error(name: &str, host: &HostSpec) -> Option<String> {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_".contains(letter);
    if !name.starts_with(|letter: char| letter.is_ascii_lowercase()) || !name.chars().all(letters) {
        return Some(format!(
            "`{name}` cannot be the name of a plugin: use lower case letters, digits, `-` and `_`, with a letter first"
        ));
    }
    if RESERVED.split(' ').any(|word| word == library(name)) {
        return Some(format!("`{name}` cannot be the name of a plugin: Rust reserves it; choose another name"));
    }
    let why = taken(name, host).or_else(|| library_taken(&library(name), host)).or_else(|| too_long(name));
    why.map(|why| format!("{why}: choose another name"))
}

/// Why no plugin can have the name of the host or the SDK.
pub fn taken(name: &str, host: &HostSpec) -> Option<String> {
    let owner = owners(host).into_iter().find(|(package, _)| *package == name)?.1;
    Some(format!("the name `{name}` is taken by the {owner}"))
}

/// Why no plugin can have a library with the name of the host's or the SDK's: cargo writes all of them into one directory.
pub fn library_taken(built: &str, host: &HostSpec) -> Option<String> {
    let owner = owners(host).into_iter().find(|(package, _)| library(package) == built)?.1;
    Some(format!("the name of the library, `{built}`, is taken by the {owner}"))
}

fn owners(host: &HostSpec) -> [(&str, &str); 2] {
    [(&host.package, "host"), (&host.sdk, "SDK")]
}

/// Why the name does not fit into an image.
pub fn too_long(name: &str) -> Option<String> {
    (name.len() > LONGEST).then(|| format!("the name `{name}` is longer than {LONGEST} letters"))
}

/// The name that cargo gives to a package's library.
pub fn library(package: &str) -> String {
    package.replace('-', "_")
}
