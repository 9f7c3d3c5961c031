//! What is shipped holds no path of the machine that built it: two people who build one commit get one digest.

use camino::Utf8PathBuf;
use memchr::memmem;

use crate::assemble::entry::{Content, Entry};
use crate::faults::Faults;
use crate::paths::Paths;

/// The folders whose names must not be found.
pub struct Leaks(Vec<String>);

impl Leaks {
    pub fn of(paths: &Paths) -> Leaks {
        let variable = |name| std::env::var(name).ok().map(Utf8PathBuf::from);
        let folders =
            [Some(paths.root.clone()), variable("HOME"), variable("CARGO_HOME"), Some(paths.in_container.into())];
        // `/` alone, a home in some containers, is everywhere.
        let named = folders.into_iter().flatten().filter(|folder| folder.is_absolute() && folder.parent().is_some());
        Leaks(named.map(|folder| format!("{folder}/")).collect())
    }

    /// Adds what these entries hold.
    pub fn find(&self, entries: &[Entry], faults: &mut Faults) {
        for entry in entries {
            let Content::File { bytes, .. } = &entry.content else { continue };
            for folder in &self.0 {
                let Some(at) = memmem::find(bytes, folder.as_bytes()) else { continue };
                let rest = &bytes[at..];
                let end = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len()).min(120);
                faults.push(format!(
                    "/{} holds a path of the machine that built it, {}: take out the build script or the macro, such as \
                     env!(\"CARGO_MANIFEST_DIR\"), that puts it there",
                    entry.path,
                    String::from_utf8_lossy(&rest[..end])
                ));
                break;
            }
        }
    }
}
