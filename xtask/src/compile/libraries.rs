//! Finds the shared libraries that the built files need, directly or not, by asking the linker. The closure decides which of
//! them an image contains.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::compile::DistFile;
use crate::compile::machine::{Machine, answer};
use crate::elf::dynamic::Elf;
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::normal;

#[derive(Deserialize, Serialize)]
pub struct Libraries {
    /// The host's `PT_INTERP`.
    pub interpreter: Library,
    /// By the name in `DT_NEEDED`.
    pub shared: BTreeMap<String, Library>,
}

/// One library.
#[derive(Deserialize, Serialize)]
pub struct Library {
    /// Where the machine that compiled has it; the interpreter's is the one that the host names.
    pub place: Utf8PathBuf,
    /// Where it can be read.
    pub path: Utf8PathBuf,
}

/// A library that comes with a plugin, not with the system.
pub struct Shipped {
    /// In `DT_NEEDED`.
    pub name: String,
    pub path: Utf8PathBuf,
    /// The file that needs it first: a plugin's, or another library.
    pub needed_by: String,
}

/// What answers where libraries are.
pub struct Linker<'a> {
    pub machine: &'a dyn Machine,
    pub program: &'a str,
    /// Where libraries are that come with plugins.
    pub dirs: &'a [Utf8PathBuf],
    /// Whether it links for another architecture than the machine's.
    pub is_cross: bool,
}

impl Libraries {
    /// Asks for what `built` needs, then for what that needs, until nothing is new. Those that come with a plugin are apart.
    pub fn gather(linker: &Linker, built: &[&DistFile]) -> Result<(Libraries, Vec<Shipped>)> {
        let own: BTreeSet<&str> = built.iter().map(|file| file.name.as_str()).collect();
        let mut interpreter = None;
        let mut needed_by = BTreeMap::new();
        let mut needed_first_by: BTreeMap<String, String> = BTreeMap::new();
        for file in built {
            let elf = Elf::parse(&files::read(&file.path)?).with_context(|| format!("reading {}", file.path))?;
            interpreter = interpreter.or(elf.interpreter);
            for name in elf.needed {
                needed_first_by.entry(name.clone()).or_insert_with(|| file.name.clone());
                needed_by.insert(name, file.name.clone());
            }
        }
        let interpreter = interpreter.context("the host has no interpreter: it was linked statically")?;
        let interpreter = linker.interpreter(interpreter.into())?;
        let dir = interpreter.place.parent().unwrap_or(Utf8Path::new("/")).to_owned();
        let mut shared = BTreeMap::new();
        loop {
            needed_by.retain(|name, _| !own.contains(name.as_str()) && !shared.contains_key(name));
            needed_by.retain(|name, _| !interpreter.matches(name));
            if needed_by.is_empty() {
                break;
            }
            let found = linker.find(&needed_by)?;
            for (name, library) in &found {
                let elf =
                    Elf::parse(&files::read(&library.path)?).with_context(|| format!("reading {}", library.path))?;
                for needed in elf.needed {
                    needed_first_by.entry(needed.clone()).or_insert_with(|| name.clone());
                    needed_by.insert(needed, name.clone());
                }
            }
            shared.extend(found);
        }
        let mut shipped = Vec::new();
        for (name, library) in &shared {
            if library.place.parent().is_some_and(|dir| linker.dirs.iter().any(|ours| ours == dir)) {
                let needed_by = needed_first_by.get(name).cloned().unwrap_or_default();
                shipped.push(Shipped { name: name.clone(), path: library.path.clone(), needed_by });
            }
        }
        linker.check_copies(&shipped)?;
        shared.retain(|name, _| shipped.iter().all(|library| library.name != *name));
        if linker.is_cross {
            // A cross compiler keeps them in a directory of its own, where no system has them.
            shared.iter_mut().for_each(|(name, library)| library.place = dir.join(name));
        }
        Ok((Libraries { interpreter, shared }, shipped))
    }
}

/// The directory below which the machine has the interpreter of another architecture at its place: `/` with Debian's libraries of that
/// architecture, else what the compiler says, or `/usr/aarch64-linux-gnu`.
pub fn sysroot(machine: &dyn Machine, linker: &str, interpreter: &Utf8Path) -> Result<Utf8PathBuf> {
    const SCRIPT: &str = r#"for root in "" "$("$2" -print-sysroot)" "/usr/$("$2" -dumpmachine)"; do [ ! -e "$root$1" ] || { echo "$root/"; exit; }; done"#;
    let args = ["-c", SCRIPT, "sh", interpreter.as_str(), linker].map(str::to_owned);
    let root = answer(machine, "sh", &args).with_context(|| format!("asking `{linker}` for its system's files"))?;
    if root.is_empty() {
        bail!("the compiler `{linker}` has no {interpreter}; install the C library of its target");
    }
    Ok(root.into())
}

impl Library {
    /// Whether a name in `DT_NEEDED` is this interpreter.
    pub fn matches(&self, needed: &str) -> bool {
        is_interpreter(&self.place, needed)
    }
}

/// Whether a name in `DT_NEEDED` means the interpreter at `place`: its own, and on musl the one of libc, which it is.
pub fn is_interpreter(place: &Utf8Path, needed: &str) -> bool {
    let name = place.file_name().unwrap_or_default();
    let musl = name.starts_with("ld-musl-");
    needed == name || musl && (needed == "libc.so" || needed.starts_with("libc.musl-"))
}

impl Linker<'_> {
    /// Where the libraries are, by name; `needed_by` says which file needs each. One question for all: `--trace` names every
    /// file that the linker takes.
    fn find(&self, needed_by: &BTreeMap<String, String>) -> Result<BTreeMap<String, Library>> {
        let mut args = ["-shared", "-nostdlib", "-o", "/dev/null", "-Wl,--trace"].map(str::to_owned).to_vec();
        args.extend(self.dirs.iter().map(|dir| format!("-L{dir}")));
        args.extend(needed_by.keys().map(|name| format!("-l:{name}")));
        let output = self.machine.query(self.program, &args).context("asking the linker for shared libraries")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let places: BTreeMap<String, Utf8PathBuf> = text
            .lines()
            .filter(|line| line.starts_with('/'))
            // The linker's answer leads through no symlinks but those of its own directories.
            .map(|line| normal(Utf8Path::new(line)))
            .filter_map(|place| Some((place.file_name()?.to_owned(), place)))
            .filter(|(name, _)| needed_by.contains_key(name))
            .collect();
        let missing = needed_by.iter().filter(|(name, _)| !places.contains_key(*name));
        let missing: Vec<String> = missing.map(|(name, by)| format!("{name} (needed by {by})")).collect();
        if !missing.is_empty() {
            let program = self.program;
            bail!("the linker `{program}` cannot find {}; install the packages that contain them", missing.join(", "));
        }
        let here = self.machine.bring(&places.values().cloned().collect::<Vec<_>>())?;
        let found = places.into_iter().zip(here);
        Ok(found.map(|((name, place), path)| (name, Library { place, path })).collect())
    }

    /// One process loads one library of each name: other files of the same names must not be others.
    fn check_copies(&self, shipped: &[Shipped]) -> Result<()> {
        if shipped.is_empty() {
            return Ok(());
        }
        let all = shipped.iter().flat_map(|library| self.dirs.iter().map(|dir| dir.join(&library.name)));
        let script = "for file; do [ ! -e \"$file\" ] || printf '%s\\n' \"$file\"; done".to_owned();
        let args = ["-c".to_owned(), script, "sh".to_owned()].into_iter().chain(all.map(Utf8PathBuf::into_string));
        let there = answer(self.machine, "sh", &args.collect::<Vec<_>>())?;
        let there: Vec<Utf8PathBuf> = there.lines().map(Utf8PathBuf::from).collect();
        let mut errors = Errors::default();
        for (place, path) in there.iter().zip(self.machine.bring(&there)?) {
            let library = shipped.iter().find(|library| place.file_name() == Some(&library.name));
            if let Some(Shipped { name, path: taken, .. }) = library
                && files::read(&path)? != files::read(taken)?
            {
                let place = place.strip_prefix(&self.machine.dirs().sources).unwrap_or(place);
                errors.push(format!(
                    "{place} differs from the {name} of another plugin, and a process loads one library of a name: give one of \
                     them another file name and SONAME"
                ));
            }
        }
        errors.report("the libraries of plugins")
    }

    /// The host names it by its place on the system it runs on; a compiler for another architecture may have that system's files in a
    /// directory of its own.
    fn interpreter(&self, place: Utf8PathBuf) -> Result<Library> {
        let there = match self.is_cross {
            true => sysroot(self.machine, self.program, &place)?.join(place.as_str().trim_start_matches('/')),
            false => place.clone(),
        };
        let path =
            self.machine.bring(std::slice::from_ref(&there))?.pop().context("the interpreter was not brought")?;
        Ok(Library { place, path })
    }
}

#[cfg(test)]
mod tests {
    use super::Library;

    #[test]
    fn on_musl_libc_is_the_interpreter() {
        let interpreter = |place: &str| Library { place: place.into(), path: place.into() };
        let musl = interpreter("/lib/ld-musl-x86_64.so.1");
        assert!(musl.matches("libc.so") && musl.matches("libc.musl-x86_64.so.1") && !musl.matches("libgcc_s.so.1"));
        let glibc = interpreter("/lib64/ld-linux-x86-64.so.2");
        assert!(glibc.matches("ld-linux-x86-64.so.2") && !glibc.matches("libc.so.6"));
    }
}
