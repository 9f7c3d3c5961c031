//! Sends the sources to a builder's container, and the crates that its volume lacks. What is there is asked first, so that only
//! what differs travels.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use camino::Utf8Path;
use walkdir::WalkDir;

use crate::compile::container::conversation::succeeded;
use crate::compile::container::tar::{Tar, entry_of};
use crate::compile::container::{CONFIG, Container, config};
use crate::compile::vendor::{self, Archives, CHECKSUMS, Crate, Crates};
use crate::oci::digest::Digest;
use crate::source::sync::Source;
use crate::support::container_paths::ContainerPaths;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::shell::word;
use crate::support::threads::at_once;
use crate::support::ui::count;
use crate::support::{files, variables};

/// Crates travel in parts of about so many bytes, two of which are in memory: one is made while the one before is unpacked.
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
    pub(super) fn send_crates(&self, session: &Session, crates: &Crates) -> Result<()> {
        let vendor = &self.places.vendor;
        let list = format!("cd {vendor} 2>/dev/null || exit 0; sha256sum */{CHECKSUMS} 2>/dev/null; echo; ls -A");
        let answer = self.read(&list)?;
        let (there, dirs) = answer.split_once("\n\n").unwrap_or(("", &answer));
        let there: BTreeSet<&str> = there.lines().collect();
        let is_there = |found: &&Crate| {
            let digest = Digest::sha256(&found.checksums);
            there.contains(format!("{}  {}/{CHECKSUMS}", digest.hex(), found.name).as_str())
        };
        let (kept, missing): (Vec<&Crate>, Vec<&Crate>) = crates.list.iter().partition(is_there);
        let kept: BTreeSet<&str> = kept.iter().map(|found| found.name.as_str()).collect();
        let archives = vendor::archives(session, &missing)?;
        // Also the crates of an earlier lock, and what a run sent that was ended before the checksums came; and a crate whose
        // files are others now must not keep what it no longer has.
        self.remove(vendor, dirs.lines().filter(|name| !name.is_empty() && !kept.contains(*name)))?;
        if missing.is_empty() {
            return Ok(());
        }
        self.ui.status("Sending", format!("{} to the builder", count(missing.len(), "crate")));
        let (mut sent, mut rest): (&[&Crate], &[&Crate]) = (&[], &missing);
        let mut part = || part(&mut sent, &mut rest, &archives, vendor);
        let mut next = part()?;
        while let Some(tar) = next {
            let (coming, unpacked) = at_once(&mut part, || self.conversation.unpack(&tar));
            unpacked?;
            next = coming?;
        }
        Ok(())
    }

    /// Makes the sources in the volume what they are here, by content: a changed file gets the container's own time.
    pub(super) fn send_sources(&self, paths: &Paths, crates: &Crates) -> Result<()> {
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
        let config = crates.config.replace(paths.vendor().as_str(), vendor.as_str());
        let config = config::config(&config, &variables::tree(paths)?, &self.registries)?;
        tar.file(&incoming.join(CONFIG), config.as_bytes(), false)?;
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

/// The next crates as one tar, which are taken from `rest`, and the checksums of those that were `sent` by the tar before: by these a crate is
/// known to be there, so they come when all of it is. `None` if there is nothing left.
fn part<'a>(
    sent: &mut &'a [&'a Crate],
    rest: &mut &'a [&'a Crate],
    archives: &Archives,
    vendor: &Utf8Path,
) -> Result<Option<Vec<u8>>> {
    let mut tar = Tar::default();
    for Crate { name, checksums, .. } in sent.iter().copied() {
        tar.file(&vendor.join(name).join(CHECKSUMS), checksums, false)?;
    }
    let mut crates = 0;
    while crates < rest.len() && tar.len() < PART {
        tar.crate_files(rest[crates], archives, &vendor.join(&rest[crates].name))?;
        crates += 1;
    }
    let is_over = sent.is_empty() && crates == 0;
    (*sent, *rest) = rest.split_at(crates);
    Ok(if is_over { None } else { Some(tar.finish()?) })
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
