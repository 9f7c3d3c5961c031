//! The shared libraries that come along: `DT_NEEDED` of everything built, transitively, minus what the base has and
//! satisfies.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::assemble::entry::Entry;
use crate::assemble::tree::Tree;
use crate::build::Dist;
use crate::elf::Elf;
use crate::faults::Faults;
use crate::files;
use crate::process::Invocation;
use crate::ui::Ui;

/// Where a dynamic linker of Linux looks without being told, beside the folder that the library has where it was built.
const LIBRARY_FOLDERS: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

const LIBC: &str = "libc.so.6";

struct Closure<'a> {
    base: &'a Tree,
    /// The host's `PT_INTERP`.
    interpreter: Utf8PathBuf,
    /// Without it the base's own libraries are another libc's: all that is needed comes along, at its own path.
    base_has_interpreter: bool,
    /// The symbol versions that are wanted of each library, and by whom.
    wanted: BTreeMap<String, BTreeMap<String, String>>,
    libraries: BTreeMap<String, Entry>,
}

/// What has to be added beside the dist files, which lie in `folder` of the image.
pub fn find(ui: &Ui, dist: &Dist, base: &Tree, folder: &Utf8Path) -> Result<Vec<Entry>> {
    let mut parsed = Vec::new();
    for file in &dist.files {
        let elf = Elf::parse(&files::read(&file.path)?).with_context(|| format!("reading {}", file.path))?;
        parsed.push((file.name.clone(), elf));
    }
    let interpreter = parsed.iter().find_map(|(_, elf)| elf.interpreter.clone());
    let interpreter =
        Utf8PathBuf::from(interpreter.context("the host names no interpreter: it was linked statically")?);
    let mut closure = Closure {
        base_has_interpreter: base.read(&interpreter)?.is_some(),
        base,
        interpreter,
        wanted: BTreeMap::new(),
        libraries: BTreeMap::new(),
    };
    let own: BTreeSet<String> = dist.files.iter().map(|file| file.name.clone()).collect();
    let mut faults = Faults::default();
    while let Some((name, elf)) = parsed.pop() {
        closure.note_versions(&name, &elf);
        for needed in elf.needed {
            if own.contains(&needed) || closure.libraries.contains_key(&needed) {
                continue;
            }
            if closure.base_has_interpreter && closure.in_base(ui, &needed)?.is_some() {
                continue;
            }
            if let Some((bytes, entry)) = faults.keep(closure.bring(ui, &needed, &name, folder)) {
                parsed.push((needed.clone(), Elf::parse(&bytes).with_context(|| format!("reading {needed}"))?));
                closure.libraries.insert(needed, entry);
            }
        }
    }
    if closure.base_has_interpreter {
        closure.check_base(ui, &mut faults)?;
    } else {
        closure.bring_interpreter()?;
    }
    faults.report("the shared libraries")?;
    Ok(closure.libraries.into_values().collect())
}

impl Closure<'_> {
    fn note_versions(&mut self, name: &str, elf: &Elf) {
        for (library, versions) in &elf.wanted_versions {
            for version in versions {
                let wanted = self.wanted.entry(library.clone()).or_default();
                wanted.entry(version.clone()).or_insert_with(|| name.to_owned());
            }
        }
    }

    /// The library as the base has it, and in which folder.
    fn in_base(&self, ui: &Ui, name: &str) -> Result<Option<(Utf8PathBuf, Vec<u8>)>> {
        let own = match Some(name) == self.interpreter.file_name() {
            true => Some(self.interpreter.clone()),
            false => locate(ui, name)?,
        };
        let own = own.as_deref().and_then(Utf8Path::parent);
        for folder in own.into_iter().chain(LIBRARY_FOLDERS.map(Utf8Path::new)) {
            if let Some(bytes) = self.base.read(&folder.join(name))? {
                return Ok(Some((folder.to_owned(), bytes)));
            }
        }
        Ok(None)
    }

    /// The library as this machine has it.
    fn bring(&self, ui: &Ui, name: &str, needed_by: &str, folder: &Utf8Path) -> Result<(Vec<u8>, Entry)> {
        let Some(path) = locate(ui, name)? else {
            bail!("{needed_by} needs {name}, which the linker `cc` does not find; install the package that has it");
        };
        let bytes = files::read(&path)?;
        let place = match (self.base_has_interpreter, Some(name) == self.interpreter.file_name()) {
            // Where the base's linker looks for sure. Beside the host only the host's own needs are found: a library's
            // run path does not hold for what that library needs.
            (true, _) => match self.in_base(ui, LIBC)? {
                Some((base_folder, _)) => base_folder.join(name),
                None => folder.join(name),
            },
            (false, true) => self.interpreter.clone(),
            (false, false) => path,
        };
        Ok((bytes.clone(), Entry::file(&place, bytes, true)))
    }

    /// On a base without it, the interpreter comes along even when no library names it.
    fn bring_interpreter(&mut self) -> Result<()> {
        let name = self.interpreter.file_name().unwrap_or_default().to_owned();
        if !self.libraries.contains_key(&name) {
            let bytes = files::read(&self.interpreter)?;
            self.libraries.insert(name, Entry::file(&self.interpreter, bytes, true));
        }
        Ok(())
    }

    /// Every symbol version that is wanted of a library of the base is defined there: an older glibc is not a match.
    fn check_base(&self, ui: &Ui, faults: &mut Faults) -> Result<()> {
        for (library, wanted) in &self.wanted {
            if self.libraries.contains_key(library) {
                continue;
            }
            let Some((_, bytes)) = self.in_base(ui, library)? else { continue };
            let has = Elf::parse(&bytes).with_context(|| format!("reading the base's {library}"))?.defined_versions;
            let missing: Vec<_> = wanted.iter().filter(|(version, _)| !has.contains(*version)).collect();
            if let Some((_, needed_by)) = missing.first() {
                let versions: Vec<&str> = missing.iter().map(|(version, _)| version.as_str()).collect();
                let newest = has.iter().max_by_key(|version| numbers(version)).map_or("none", String::as_str);
                faults.push(format!(
                    "the base's {library} is too old for {needed_by}: have up to {newest}, want {}; choose a newer base, \
                     or build on an older system",
                    versions.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// The numbers in a version's name, so that GLIBC_2.4 comes before GLIBC_2.36.
fn numbers(version: &str) -> Vec<u32> {
    version.split(|character: char| !character.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
}

/// Where the linker that linked the host finds a library on this machine, `..` resolved.
fn locate(ui: &Ui, name: &str) -> Result<Option<Utf8PathBuf>> {
    let command = Invocation::new("cc", [format!("-print-file-name={name}")]);
    let answer = command.read(ui).with_context(|| format!("asking the linker for {name}"))?;
    if !answer.starts_with('/') {
        return Ok(None);
    }
    let mut path = Utf8PathBuf::from("/");
    for part in Utf8Path::new(&answer).components().skip(1) {
        match part.as_str() {
            ".." => drop(path.pop()),
            part => path.push(part),
        }
    }
    Ok(path.is_file().then_some(path))
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
