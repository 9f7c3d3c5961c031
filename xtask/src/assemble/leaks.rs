//! Checks that compiled files contain no path of the build machine, so that two people who build one commit get one digest.
//! Configurations and assets may contain anything: they are the same for everybody.

use std::collections::BTreeSet;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use memchr::memmem;

use crate::cargo::toolchain;
use crate::compile::Dist;
use crate::compile::cargo::REMAPPED;
use crate::oci::entry::{Content, Entry};
use crate::source::manifest::HostSpec;
use crate::support::errors::Errors;
use crate::support::paths::Paths;

/// The beginning of std's own paths.
const STD: &str = "/rustc";

pub struct Leaks {
    /// The directories whose names must not be found.
    dirs: BTreeSet<String>,
    /// The paths in the image of what was compiled.
    built: BTreeSet<Utf8PathBuf>,
}

impl Leaks {
    /// The directories that went into the build.
    pub fn new(paths: &Paths, dist: &Dist, host: &HostSpec) -> Result<Leaks> {
        let variable = |name| std::env::var(name).ok().map(Utf8PathBuf::from);
        let rustup = variable("RUSTUP_HOME").or_else(|| Some(variable("HOME")?.join(".rustup")));
        let in_container = paths.in_container().work;
        let dirs = [paths.root.clone(), paths.image.clone(), toolchain::cargo_home()?, in_container];
        let dirs = dirs.into_iter().chain(rustup).filter(|dir| dir.is_absolute());
        // A build script may resolve symlinks; and a slash at the end is not part of a name.
        let names = dirs.flat_map(|dir| [dir.canonicalize_utf8().ok(), Some(dir)]).flatten();
        let names = names.map(|dir| dir.components().collect::<Utf8PathBuf>());
        // Such a name does not identify a machine: all files contain it.
        let names = names.filter(|dir| dir.parent().is_some() && !REMAPPED.contains(&dir.as_str()));
        Ok(Leaks {
            dirs: names.map(Utf8PathBuf::into_string).collect(),
            built: dist.compiled().map(|file| host.working_dir.join(&file.name)).collect(),
        })
    }

    /// Adds the content of these entries.
    pub fn find(&self, entries: &[Entry], errors: &mut Errors) {
        for entry in entries.iter().filter(|entry| self.built.contains(&Utf8Path::new("/").join(&entry.path))) {
            let Content::File { bytes, .. } = &entry.content else { continue };
            // The longest first: it is the most precise.
            for dir in self.dirs.iter().rev() {
                let Some(at) = position(bytes, dir) else { continue };
                let rest = &bytes[at..];
                let end = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len()).min(120);
                errors.push(format!(
                    "/{} contains a path of the build machine, {}: remove the build script or macro that adds it, such as \
                     env!(\"CARGO_MANIFEST_DIR\")",
                    entry.path,
                    String::from_utf8_lossy(&rest[..end])
                ));
                break;
            }
        }
    }
}

/// The offset of the directory's name.
///
/// A name of one part, such as `/src`, is a piece of many paths, and is meant only where no path goes on to its left. A longer one
/// is meant everywhere, since Rust puts one text behind another with nothing between; but not in the middle of a path that was
/// mapped: a checkout may lie in `/src/num`.
fn position(bytes: &[u8], dir: &str) -> Option<usize> {
    let is_short = dir.matches('/').count() == 1;
    memmem::find_iter(bytes, dir.as_bytes()).find(|at| {
        let (before, behind) = (&bytes[..*at], bytes.get(at + dir.len()));
        let is_whole = behind == Some(&b'/') || !is_short && !behind.is_some_and(goes_on);
        let begin = before.iter().rposition(|byte| !goes_on(byte) && *byte != b'/').map_or(0, |end| end + 1);
        let path = &before[begin..];
        is_whole && if is_short { path.is_empty() } else { !is_mapped(path) }
    })
}

/// Whether the byte may be part of a name.
fn goes_on(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+~@".contains(byte) || !byte.is_ascii()
}

/// Whether this is only the beginning of a path in a built file.
fn is_mapped(path: &[u8]) -> bool {
    let names = REMAPPED.into_iter().chain([STD]);
    !path.ends_with(b".rs") && names.into_iter().any(|name| memmem::find(path, format!("{name}/").as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_short_name_is_no_piece_of_a_path() {
        let check = |text: &str, dir, expected| assert_eq!(position(text.as_bytes(), dir), expected, "{text}");
        check("/rustc/5980/library/core/src/num/mod.rs", "/src", None);
        check("/source/host/src/main.rs\0/src/target", "/src", Some(25));
        check("/src/main.rs", "/src", Some(0));
        check("a /src of its own", "/src", None);
        check("a text/home/anna/x", "/home/anna", Some(6));
        check("/home/anna-lee/x", "/home/anna", None);
        check("/home/anna\0", "/home/anna", Some(0));
        check("/rustc/5980/library/core/src/num/mod.rs", "/src/num", None);
        check("/cargo/registry/src/index/a-1.0.0/src/num/mod.rs/src/num/x", "/src/num", Some(48));
    }
}
