//! The third tie: whether all that a file imports is there. Who exports what is the caller's to know: the host asks the
//! dynamic linker, which knows what is really loaded, the build system reads files.

use crate::elf::Elf;
use crate::{Difference, ReadError, printable};
use std::fmt;

/// How many symbols are named. A plugin of another build lacks hundreds, and the first ones tell as much as all.
const NAMED: usize = 3;

/// What is there for a file to be linked with.
pub trait Exports {
    /// Whether the library, a name in `DT_NEEDED`, is among those that [`exports`](Self::exports) looks into.
    fn has(&self, library: &str) -> bool;

    /// Whether one of them exports the symbol.
    fn exports(&self, symbol: &str) -> bool;
}

/// Symbols that a file imports and nothing exports, at least one. The text fits after `PATH: `.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Missing {
    /// The mangled names of the first ones, in the file's order.
    pub first: Vec<String>,
    /// How many there are.
    pub count: usize,
}

/// The imports of a plugin, or of the host, that are missing, if there are any.
///
/// A file may bring libraries of its own, which nobody has loaded yet. Then only the names of Rust are judged, since the
/// SDK and std alone may export these; the rest is left to the dynamic linker.
///
/// # Errors
///
/// A [`ReadError`], whose text fits after `PATH: `.
pub fn missing(bytes: &[u8], there: &impl Exports) -> Result<Option<Missing>, ReadError> {
    let elf = Elf::parse(bytes)?;
    let mut all_there = true;
    for library in elf.needed()? {
        all_there &= there.has(library?);
    }
    let mut missing = Missing { first: Vec::with_capacity(NAMED), count: 0 };
    for symbol in elf.imports()? {
        let symbol = symbol?;
        if (all_there || is_rust(symbol)) && !there.exports(symbol) {
            missing.count += 1;
            if missing.first.len() < NAMED {
                missing.first.push(symbol.to_owned());
            }
        }
    }
    Ok((missing.count > 0).then_some(missing))
}

/// Whether rustc made the name: `_R...`, or `_ZN...17h` with a hash of 16 digits and `E`, by which it differs from C++'s.
/// Source: the rustc book, "Symbol Mangling".
fn is_rust(symbol: &str) -> bool {
    let legacy = || symbol.strip_prefix("_ZN")?.strip_suffix('E')?.rsplit_once("17h").map(|(_, hash)| hash);
    symbol.starts_with("_R") || legacy().is_some_and(|hash| hash.len() == 16)
}

impl Missing {
    /// The same, as one field in which a plugin differs from what is wanted of it.
    pub fn difference(&self) -> Difference {
        let have = format!("{} that nothing exports: {}", self.count, self.names());
        Difference { field: "imports", have, want: "what the SDK and std export".to_owned() }
    }

    fn names(&self) -> String {
        let names: Vec<String> =
            self.first.iter().map(|name| printable(&format!("{:#}", rustc_demangle::demangle(name)))).collect();
        match self.count - self.first.len() {
            0 => names.join(", "),
            more => format!("{} and {more} more", names.join(", ")),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "a symbol" } else { "symbols" };
        write!(f, "it imports {plural} that neither the SDK nor another library exports: {}", self.names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rust() {
        for (symbol, expected) in [
            ("_ZN11provost_sdk3abi19provost_link_anchor17h0123456789abcdefE", true),
            ("_RNvCs1234_7___rustc12___rust_alloc", true),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", false),
            ("_ZN3foo17hsE", false),
            ("memcpy", false),
        ] {
            assert_eq!(is_rust(symbol), expected, "{symbol}");
        }
    }

    #[test]
    fn the_first_are_named() {
        let first =
            ["_ZN5tokio5spawn17h0123456789abcdefE".to_owned(), "memcpy".to_owned(), "_RNvC3std4exit".to_owned()];
        let text = |count, named| Missing { first: first[..named].to_vec(), count }.to_string();
        assert_eq!(text(1, 1), "it imports a symbol that neither the SDK nor another library exports: tokio::spawn");
        let expected =
            "it imports symbols that neither the SDK nor another library exports: tokio::spawn, memcpy, std::exit";
        assert_eq!(text(3, 3), expected);
        assert_eq!(text(12, 3), expected.to_owned() + " and 9 more");
    }
}
