//! What a set of shared libraries exports: the counterpart of what plugins import. The caller knows where the libraries are.

use std::collections::HashSet;

use anyhow::{Context, Result};

use crate::elf::dynamic::{self, Elf};

#[derive(Debug, Default)]
pub struct Exported {
    libraries: HashSet<String>,
    symbols: HashSet<String>,
}

impl Exported {
    /// Follows what files need, by name and content, and what that needs in turn. `find` reads the library that a name in
    /// `DT_NEEDED` means; one that is nowhere is left out.
    pub fn gather<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        find: impl Fn(&str) -> Result<Option<Vec<u8>>>,
    ) -> Result<Exported> {
        let needed = |name: &str, bytes: &[u8]| -> Result<Vec<String>> {
            Ok(Elf::parse(bytes).with_context(|| format!("reading {name}"))?.needed)
        };
        let mut todo = Vec::new();
        for (name, bytes) in files {
            todo.extend(needed(name, bytes)?);
        }
        let mut exported = Exported::default();
        while let Some(name) = todo.pop() {
            if exported.libraries.contains(&name) {
                continue;
            }
            let Some(bytes) = find(&name)? else { continue };
            todo.extend(needed(&name, &bytes)?);
            exported.symbols.extend(dynamic::exports(&bytes).with_context(|| format!("reading {name}"))?);
            exported.libraries.insert(name);
        }
        Ok(exported)
    }
}

impl provost_record::Exports for Exported {
    fn has(&self, library: &str) -> bool {
        self.libraries.contains(library)
    }

    fn exports(&self, symbol: &str) -> bool {
        self.symbols.contains(symbol)
    }
}
