//! Sends the sources to a builder's container, and the crates that its volume lacks. What is there is asked first, so that only
//! what differs travels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::compile::container::conversation::succeeded;
use crate::compile::container::{Container, VENDOR_CONFIG, config};
use crate::oci::digest::Digest;
use crate::source::sync::Source;
use crate::support::container_paths::ContainerPaths;
use crate::support::paths::Paths;
use crate::support::shell::word;
use crate::support::ui::count;
use crate::support::{files, variables};

/// What cargo keeps beside each vendored crate.
const CHECKSUMS: &str = ".cargo-checksum.json";

/// Crates travel in parts of about so many bytes, each of which is in memory.
const PART: usize = 1 << 24;

/// Inside, the environment chooses the toolchain: what this file asks for beside it may not be there.
const TOOLCHAIN: &str = "rust-toolchain.toml";

impl Container<'_> {
    fn read(&self, command: &str) -> Result<String> {
        let output = self.conversation.ask(command)?;
        succeeded(&output)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn remove<'p>(&self, dir: &Utf8Path, paths: impl Iterator<Item = &'p str>) -> Result<()> {
        let words: Vec<String> = paths.map(word).collect();
        if words.is_empty() {
            return Ok(());
        }
        self.read(&format!("cd {dir} && rm -rf -- {}", words.join(" "))).map(drop)
    }

    /// Only crates that the volume does not have travel; a crate is known by the checksums of its files.
    pub(super) fn send_crates(&self, vendored: &Utf8Path) -> Result<()> {
        let vendor = &self.places.vendor;
        let list = format!("cd {vendor} 2>/dev/null || exit 0; sha256sum */{CHECKSUMS} 2>/dev/null; echo; ls -A");
        let answer = self.read(&list)?;
        let (there, dirs) = answer.split_once("\n\n").unwrap_or(("", &answer));
        let there: BTreeSet<&str> = there.lines().collect();
        let (mut missing, mut kept) = (Vec::new(), BTreeSet::new());
        let entries = vendored.read_dir_utf8().with_context(|| format!("reading the directory {vendored}"))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("reading the directory {vendored}"))?;
            let checksum = entry.path().join(CHECKSUMS);
            if !checksum.is_file() {
                continue;
            }
            let digest = Digest::sha256(&files::read(&checksum)?);
            let name = entry.file_name().to_owned();
            if there.contains(format!("{}  {name}/{CHECKSUMS}", digest.hex()).as_str()) {
                kept.insert(name);
            } else {
                missing.push(name);
            }
        }
        // Also the crates of an earlier lock, and what a run sent that was ended before the checksums came; and a crate whose
        // files are others now must not keep what it no longer has.
        self.remove(vendor, dirs.lines().filter(|name| !name.is_empty() && !kept.contains(*name)))?;
        if missing.is_empty() {
            return Ok(());
        }
        missing.sort();
        self.ui.status("Sending", format!("{} to the builder", count(missing.len(), "crate")));
        let mut rest = missing.as_slice();
        while !rest.is_empty() {
            let mut tar = Tar::default();
            let mut crates = 0;
            while crates < rest.len() && tar.len() < PART {
                let name = &rest[crates];
                tar.dir(&vendored.join(name), &vendor.join(name), |path| path != CHECKSUMS)?;
                crates += 1;
            }
            let (part, later) = rest.split_at(crates);
            // By these a crate is known to be there: when they come, all of it is.
            for name in part {
                let checksums = files::read(&vendored.join(name).join(CHECKSUMS))?;
                tar.file(&vendor.join(name).join(CHECKSUMS), &checksums, false)?;
            }
            self.conversation.unpack(&tar.finish()?)?;
            rest = later;
        }
        Ok(())
    }

    /// Makes the sources in the volume what they are here, by content: a changed file gets the container's own time.
    pub(super) fn send_sources(&self, paths: &Paths, vendored: &Utf8Path) -> Result<()> {
        let ContainerPaths { incoming, vendor, .. } = &self.places;
        let inside = &self.dirs.sources;
        let there = Listing::parse(&self.read(&Listing::command(inside))?);
        let (mut tar, mut wanted) = (Tar::default(), BTreeSet::new());
        let sources = paths.sources();
        for entry in WalkDir::new(&sources).min_depth(1).sort_by_file_name() {
            let (path, is_dir) = entry_of(&sources, entry)?;
            let relative = path.strip_prefix(&sources)?;
            if relative == TOOLCHAIN {
                continue;
            }
            wanted.insert((relative.to_string(), is_dir));
            if is_dir {
                if !there.dirs.contains(relative.as_str()) {
                    tar.directory(&inside.join(relative))?;
                }
                continue;
            }
            let content = files::read(&path)?;
            let Source { executable, .. } = Source::file(path.clone())?;
            let same = (Digest::sha256(&content).hex(), executable);
            if there.files.get(relative.as_str()) != Some(&same) {
                tar.file(&inside.join(relative), &content, executable)?;
            }
        }
        let is_wanted = |path: &str, is_dir| wanted.contains(&(path.to_owned(), is_dir));
        let files = there.files.keys().filter(|path| !is_wanted(path, false));
        let dirs = there.dirs.iter().filter(|path| !is_wanted(path, true));
        self.remove(inside, there.others.iter().chain(files).chain(dirs).map(String::as_str))?;
        let config = files::read_text(&vendored.join(VENDOR_CONFIG))?.replace(vendored.as_str(), vendor.as_str());
        let config = config::config(&config, &variables::tree(paths)?, &self.registries)?;
        tar.file(&incoming.join(VENDOR_CONFIG), config.as_bytes(), false)?;
        self.conversation.unpack(&tar.finish()?)
    }
}

/// What a directory of the container has, by paths relative to it.
#[derive(Debug, Default, PartialEq)]
struct Listing {
    /// With the digest of the content, and whether it is executable.
    files: BTreeMap<String, (String, bool)>,
    dirs: BTreeSet<String>,
    /// Symlinks, for example.
    others: BTreeSet<String>,
}

impl Listing {
    fn command(dir: &Utf8Path) -> String {
        format!(
            "mkdir -p {dir} && cd {dir} && find . -type f -exec sha256sum {{}} + && echo executable && find . -type f -perm -100 \
             && echo directories && find . -type d && echo others && find . ! -type f ! -type d"
        )
    }

    fn parse(answer: &str) -> Listing {
        let mut listing = Listing::default();
        let mut section = "";
        for line in answer.lines() {
            match (section, line) {
                (_, "executable" | "directories" | "others") => section = line,
                ("", line) => {
                    // Some programs begin the line with a backslash if they doubled those in the path.
                    let (digest, path) = line.split_once("  ").unwrap_or_default();
                    let (digest, path) = match digest.strip_prefix('\\') {
                        Some(digest) => (digest, path.replace(r"\\", r"\")),
                        None => (digest, path.to_owned()),
                    };
                    listing.files.insert(relative(&path), (digest.to_owned(), false));
                }
                ("executable", path) => {
                    listing.files.entry(relative(path)).and_modify(|(_, executable)| *executable = true);
                }
                ("directories", ".") => {}
                ("directories", path) => drop(listing.dirs.insert(relative(path))),
                (_, path) => drop(listing.others.insert(relative(path))),
            }
        }
        listing
    }
}

fn relative(path: &str) -> String {
    path.strip_prefix("./").unwrap_or(path).to_owned()
}

/// The path of what was found in `dir`, and whether it is a directory.
fn entry_of(dir: &Utf8Path, entry: walkdir::Result<walkdir::DirEntry>) -> Result<(Utf8PathBuf, bool)> {
    let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
    let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
    Ok((path.to_owned(), entry.file_type().is_dir()))
}

/// A tar that is unpacked at the root of the container.
struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Tar {
        Tar(tar::Builder::new(Vec::new()))
    }
}

impl Tar {
    fn len(&self) -> usize {
        self.0.get_ref().len()
    }

    fn directory(&mut self, path: &Utf8Path) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        let inside = path.as_str().trim_start_matches('/');
        self.0.append_data(&mut header, inside, std::io::empty()).with_context(|| format!("sending {path}"))
    }

    fn file(&mut self, path: &Utf8Path, content: &[u8], executable: bool) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        let inside = path.as_str().trim_start_matches('/');
        self.0.append_data(&mut header, inside, content).with_context(|| format!("sending {path}"))
    }

    /// A directory of this machine, without the files at its top that are not wanted.
    fn dir(&mut self, dir: &Utf8Path, inside: &Utf8Path, wanted: impl Fn(&Utf8Path) -> bool) -> Result<()> {
        for entry in WalkDir::new(dir).sort_by_file_name() {
            let (path, is_dir) = entry_of(dir, entry)?;
            let relative = path.strip_prefix(dir)?;
            if is_dir {
                self.directory(&inside.join(relative))?;
            } else if wanted(relative) {
                let Source { executable, .. } = Source::file(path.clone())?;
                self.file(&inside.join(relative), &files::read(&path)?, executable)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner().context("ending the tar")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::Listing;

    #[test]
    fn a_listing_is_read_with_or_without_doubled_backslashes() {
        let answer = "12  ./a  b\n\\34  ./c\\\\d\n56  ./e\\f\nexecutable\n./e\\f\ndirectories\n.\n./g\nothers\n./h\n";
        let set = |path: &str| BTreeSet::from([path.to_owned()]);
        let file = |path: &str, digest: &str, executable| (path.to_owned(), (digest.to_owned(), executable));
        let files = BTreeMap::from([file("a  b", "12", false), file("c\\d", "34", false), file("e\\f", "56", true)]);
        assert_eq!(Listing::parse(answer), Listing { files, dirs: set("g"), others: set("h") });
    }
}
