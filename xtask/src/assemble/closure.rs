//! Selects the shared libraries to bundle: what the built files need and the base image does not provide.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::compile::Dist;
use crate::compile::libraries::{Libraries, Library};
use crate::elf::dynamic::Elf;
use crate::oci::entry::Entry;
use crate::oci::rootfs::Tree;
use crate::support::errors::Errors;
use crate::support::files;

/// Default directories of dynamic linkers on Linux, beside the library's directory on the machine that compiled. Debian has them for each
/// architecture.
const LIBRARY_DIRS: [&str; 8] = [
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
];

const LIBC: &str = "libc.so.6";

/// What has to be added to the dist files, which are in `dir` of the image.
pub fn find(dist: &Dist, base: &Tree, dir: &Utf8Path) -> Result<Vec<Entry>> {
    let libraries = &dist.libraries;
    // Without the interpreter, the base's own libraries belong to another libc: the image brings everything, each at its own
    // path.
    let fits = base.read(&libraries.interpreter.place)?.is_some();
    let base = fits.then(|| BaseLibraries { tree: base, libraries, wanted: BTreeMap::new() });
    let mut closure = Closure { libraries, base, dir, brought: BTreeMap::new() };
    let built = dist.files().map(|file| (file.name.as_str(), &*file.path));
    let shipped = dist.shipped_libraries().map(|library| (library.name.as_str(), &*library.path));
    let mut todo: Vec<(&str, &Utf8Path)> = built.chain(shipped).collect();
    let own: BTreeSet<&str> = todo.iter().map(|(name, _)| *name).collect();
    while let Some((name, path)) = todo.pop() {
        let elf = Elf::parse(&files::read(path)?).with_context(|| format!("reading {path}"))?;
        closure.note_versions(name, &elf);
        for needed in elf.needed.iter().filter(|needed| !own.contains(needed.as_str())) {
            todo.extend(closure.bring(needed)?);
        }
    }
    closure.finish()
}

/// The libc that the image brings although the base has another one.
pub fn other_libc(dist: &Dist, base: &Tree) -> Option<(&'static str, &'static str)> {
    let of = |name: &str| match name {
        name if name.starts_with("ld-musl-") => Some("musl"),
        name if name.starts_with("ld-linux") => Some("glibc"),
        _ => None,
    };
    let own = of(dist.libraries.interpreter.place.file_name().unwrap_or_default())?;
    let there: BTreeSet<&'static str> =
        base.files().filter_map(|path| of(path.file_name().unwrap_or_default())).collect();
    let other = there.first().filter(|_| !there.contains(own))?;
    Some((own, other))
}

struct Closure<'a> {
    libraries: &'a Libraries,
    /// Absent if the base has another libc, or none.
    base: Option<BaseLibraries<'a>>,
    dir: &'a Utf8Path,
    brought: BTreeMap<&'a str, Entry>,
}

struct BaseLibraries<'a> {
    tree: &'a Tree,
    libraries: &'a Libraries,
    /// The symbol versions that are required from each library, and by whom.
    wanted: BTreeMap<String, BTreeMap<String, String>>,
}

impl<'a> Closure<'a> {
    fn note_versions(&mut self, name: &str, elf: &Elf) {
        let Some(base) = &mut self.base else { return };
        for (library, versions) in &elf.wanted_versions {
            for version in versions {
                let wanted = base.wanted.entry(library.clone()).or_default();
                wanted.entry(version.clone()).or_insert_with(|| name.to_owned());
            }
        }
    }

    /// Adds a library unless the base has it. Its own needs are checked later.
    fn bring(&mut self, needed: &str) -> Result<Option<(&'a str, &'a Utf8Path)>> {
        let libraries = self.libraries;
        let Some((name, library)) = libraries.shared.get_key_value(needed) else { return Ok(None) };
        if self.brought.contains_key(name.as_str()) {
            return Ok(None);
        }
        let place = match &self.base {
            None => library.place.clone(),
            Some(base) => match (base.find(name)?, base.find(LIBC)?) {
                (Some(_), _) => return Ok(None),
                // Directories that the base's linker always searches. Beside the host it finds only the host's own needs: with glibc
                // a library's run path does not apply to what that library needs.
                (None, Some((libc_dir, _))) => libc_dir.join(name),
                (None, None) => self.dir.join(name),
            },
        };
        self.brought.insert(name, Entry::file(&place, files::read(&library.path)?, true));
        Ok(Some((name, &library.path)))
    }

    fn finish(mut self) -> Result<Vec<Entry>> {
        match &self.base {
            Some(base) => base.check(&self.brought)?,
            None => {
                let Library { place, path } = &self.libraries.interpreter;
                self.brought.insert("", Entry::file(place, files::read(path)?, true));
            }
        }
        Ok(self.brought.into_values().collect())
    }
}

impl BaseLibraries<'_> {
    /// The library as the base has it, and in which directory.
    fn find(&self, name: &str) -> Result<Option<(Utf8PathBuf, Vec<u8>)>> {
        let own = match self.libraries.interpreter.matches(name) {
            true => Some(&self.libraries.interpreter),
            false => self.libraries.shared.get(name),
        };
        let own = own.and_then(|library| library.place.parent());
        for dir in own.into_iter().chain(LIBRARY_DIRS.map(Utf8Path::new)) {
            if let Some(bytes) = self.tree.read(&dir.join(name))? {
                return Ok(Some((dir.to_owned(), bytes)));
            }
        }
        Ok(None)
    }

    /// Checks that a library of the base defines every required symbol version: an older glibc does not.
    fn check(&self, brought: &BTreeMap<&str, Entry>) -> Result<()> {
        let mut errors = Errors::default();
        for (library, wanted) in &self.wanted {
            if brought.contains_key(library.as_str()) {
                continue;
            }
            let Some((_, bytes)) = self.find(library)? else { continue };
            let has =
                Elf::parse(&bytes).with_context(|| format!("reading the base image's {library}"))?.defined_versions;
            let missing: Vec<_> = wanted.iter().filter(|(version, _)| !has.contains(*version)).collect();
            if let Some((_, needed_by)) = missing.first() {
                let versions: Vec<&str> = missing.iter().map(|(version, _)| version.as_str()).collect();
                let newest = has.iter().max_by_key(|version| numbers(version)).map_or("none", String::as_str);
                errors.push(format!(
                    "the base image's {library} is too old for {needed_by}: have up to {newest}, want {}; choose a newer base, \
                     or build on an older system",
                    versions.join(", ")
                ));
            }
        }
        errors.report("the base image's libraries")
    }
}

/// The numbers in a version's name, so that GLIBC_2.4 comes before GLIBC_2.36.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let newest = ["GLIBC_2.4", "GLIBC_2.36", "GLIBC_2.2.5"].into_iter().max_by_key(|version| numbers(version));
        assert_eq!(newest, Some("GLIBC_2.36"));
    }
}
