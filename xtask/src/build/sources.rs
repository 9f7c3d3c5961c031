//! The copy of the sources that is compiled: synced by content, so that a file whose content changed gets a new
//! modification time and an unchanged one keeps its old. Cargo goes by these times alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::build::sync::{self, Source};
use crate::faults::Faults;
use crate::files;
use crate::paths::Paths;
use crate::plan::host::Workspace;
use crate::plan::plugins::{self, Discovered};
use crate::ui::Ui;

/// Cargo's configuration in the tree.
pub const CONFIG: &str = ".cargo/config.toml";

/// What version control keeps for itself.
const VERSION_CONTROL: [&str; 7] = [".git", ".hg", ".svn", ".jj", ".bzr", ".pijul", "_darcs"];

/// So many of those that are left out have a line of their own.
const MOST_TOLD: usize = 10;

/// What the copy does not have. It stops nothing, since nobody may want it; an error that follows names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Relative to the root.
    pub path: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    VersionControl,
    /// Cargo's target folder, or another one that is marked as a cache.
    Cache,
    HiddenPlugin,
    Dangling,
    Loop,
    Outside(Utf8PathBuf),
    NotUtf8,
    Unreadable(String),
}

impl Why {
    /// Whether it is left out wherever it lies, so that nobody needs to be told.
    pub fn is_rule(&self) -> bool {
        matches!(self, Why::VersionControl | Why::Cache | Why::HiddenPlugin)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let LeftOut { path, why } = self;
        match why {
            Why::VersionControl => write!(out, "{path} (version control)"),
            Why::Cache => write!(out, "{path} (a target or cache folder)"),
            Why::HiddenPlugin => write!(out, "{path} (a hidden folder in plugins/)"),
            Why::Dangling => write!(out, "{path} (a symlink to nothing)"),
            Why::Loop => write!(out, "{path} (a symlink that leads back to a folder it is in)"),
            Why::Outside(target) => write!(out, "{path} (a symlink to {target}, outside of the tree)"),
            Why::NotUtf8 => write!(out, "{path} (a name that is not UTF-8)"),
            Why::Unreadable(error) => write!(out, "{path} ({error})"),
        }
    }
}

/// Makes the copy what the tree is; returns what was left out.
pub fn sync(paths: &Paths, workspace: &Workspace, plugins: &Discovered) -> Result<Vec<LeftOut>> {
    let mut listing = Listing::new(paths, top_folders(workspace, plugins));
    listing.walk()?;
    listing.faults.report("the sources")?;
    sync::sync(&listing.files, &listing.folders, &paths.sources())?;
    Ok(listing.left_out)
}

/// Names what was left out, but for what always is.
pub fn announce(ui: &Ui, left_out: &[LeftOut]) {
    let told: Vec<&LeftOut> = left_out.iter().filter(|left_out| !left_out.why.is_rule()).collect();
    for left_out in told.iter().take(MOST_TOLD) {
        ui.status("Leaving out", left_out);
    }
    if told.len() > MOST_TOLD {
        ui.status("Leaving out", format!("{} more", told.len() - MOST_TOLD));
    }
}

/// Everything in the tree that cargo may read, a build script and `include!` too: all but version control and caches. Whether git
/// ignores a file says nothing of who reads it.
struct Listing<'a> {
    paths: &'a Paths,
    /// The top folders that hold the workspace's members, what these depend on by path, and patches: what cannot be copied
    /// there is a fault.
    members: BTreeSet<String>,
    files: BTreeMap<Utf8PathBuf, Source>,
    folders: BTreeSet<Utf8PathBuf>,
    left_out: Vec<LeftOut>,
    faults: Faults,
}

impl<'a> Listing<'a> {
    fn new(paths: &'a Paths, members: BTreeSet<String>) -> Listing<'a> {
        let (files, folders) = (BTreeMap::new(), BTreeSet::new());
        Listing { paths, members, files, folders, left_out: Vec::new(), faults: Faults::default() }
    }

    fn walk(&mut self) -> Result<()> {
        let root = &self.paths.root;
        let mut walk = WalkDir::new(root).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.unreadable(&error)?;
                    continue;
                }
            };
            let shown = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_string_lossy().into_owned();
            match self.why_not(&entry, &shown)? {
                None if entry.file_type().is_dir() => drop(self.folders.insert(shown.into())),
                None if entry.file_type().is_file() => {
                    // One that is gone by now is none.
                    if let Ok(source) = Source::file(root.join(&shown)) {
                        self.files.insert(shown.into(), source);
                    }
                }
                // A socket, a fifo: there is nothing to copy.
                None => {}
                Some(why) => {
                    if entry.file_type().is_dir() {
                        walk.skip_current_dir();
                    }
                    self.leave_out(shown, why);
                }
            }
        }
        Ok(())
    }

    fn why_not(&self, entry: &DirEntry, shown: &str) -> Result<Option<Why>> {
        let is_folder = entry.file_type().is_dir();
        let target = self.paths.image.parent().unwrap_or(&self.paths.image);
        if entry.file_name().to_str().is_none() {
            return Ok(Some(Why::NotUtf8));
        }
        if is_version_control(entry) {
            return Ok(Some(Why::VersionControl));
        }
        // Cargo's own place too: it has no mark before cargo has built there, and CARGO_TARGET_DIR may name another one now.
        if is_folder && (is_cache(entry) || entry.path() == target || shown == "target") {
            return Ok(Some(Why::Cache));
        }
        // The workspace's `plugins/*` would make it a member.
        if is_folder && shown.starts_with(&format!("{}/.", plugins::FOLDER)) && entry.depth() == 2 {
            return Ok(Some(Why::HiddenPlugin));
        }
        if entry.path_is_symlink() {
            let real = entry.path().canonicalize().with_context(|| format!("following the symlink {shown}"))?;
            if real.starts_with(target) {
                return Ok(Some(Why::Cache));
            }
            if real.components().any(|part| VERSION_CONTROL.iter().any(|name| part.as_os_str() == *name)) {
                return Ok(Some(Why::VersionControl));
            }
            if !real.starts_with(&self.paths.root) && !real.starts_with(self.paths.root.canonicalize()?) {
                return Ok(Some(Why::Outside(real.to_string_lossy().into_owned().into())));
            }
        }
        let opened = if entry.file_type().is_file() { File::open(entry.path()).map(drop) } else { Ok(()) };
        Ok(opened.err().map(|error| Why::Unreadable(error.to_string())))
    }

    /// What the walk could not look at: a loop, a symlink to nothing, or what may not be read.
    fn unreadable(&mut self, error: &walkdir::Error) -> Result<()> {
        let Some(path) = error.path() else { bail!("reading the folder {}: {error}", self.paths.root) };
        let shown = path.strip_prefix(&self.paths.root).unwrap_or(path).to_string_lossy().into_owned();
        let why = match error.io_error() {
            None => Why::Loop,
            Some(_) if path.is_symlink() => Why::Dangling,
            // It was there a moment ago.
            Some(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Some(error) => Why::Unreadable(error.to_string()),
        };
        self.leave_out(shown, why);
        Ok(())
    }

    fn leave_out(&mut self, path: String, why: Why) {
        let top = path.split('/').next().unwrap_or_default();
        match &why {
            Why::Outside(target) if self.members.contains(top) => self
                .faults
                .push(format!("{path} is a symlink to {target}, outside of the tree: put the files themselves there")),
            Why::NotUtf8 if self.members.contains(top) => {
                self.faults.push(format!("the path {path} is not UTF-8: rename it"));
            }
            _ => self.left_out.push(LeftOut { path, why }),
        }
    }
}

fn top_folders(workspace: &Workspace, plugins: &Discovered) -> BTreeSet<String> {
    let members = workspace.members.iter().map(Utf8Path::new);
    let patches = workspace.patches.values().filter_map(toml::Value::as_table).flatten().map(|(_, patch)| patch);
    let shared = workspace.dependencies.values().chain(patches);
    let shared = shared.filter_map(|dependency| dependency.get("path")?.as_str());
    members
        .chain(shared.map(Utf8Path::new))
        .chain(plugins.path_dependencies.iter().map(Utf8PathBuf::as_path))
        .filter_map(|path| {
            let mut parts = path.components().filter(|part| *part != Utf8Component::CurDir);
            parts.next().map(|part| part.to_string())
        })
        .collect()
}

fn is_version_control(entry: &DirEntry) -> bool {
    VERSION_CONTROL.iter().any(|name| entry.file_name() == *name)
}

/// Source: <https://bford.info/cachedir/>.
fn is_cache(entry: &DirEntry) -> bool {
    entry.path().join("CACHEDIR.TAG").is_file()
}

/// Whether the copy has it, and all that is in it; of a folder that is none nothing is looked at.
pub fn is_source(entry: &DirEntry) -> bool {
    !(is_version_control(entry) || entry.file_type().is_dir() && is_cache(entry))
}

/// A digest over everything that resolving dependencies depends on: the lock and all manifests.
pub fn manifests_digest(sources: &Utf8Path) -> Result<String> {
    digest_of(sources, |name| matches!(name, "Cargo.toml" | "Cargo.lock" | "config.toml"))
}

/// A digest over everything that is compiled.
pub fn digest(sources: &Utf8Path) -> Result<String> {
    digest_of(sources, |_| true)
}

fn digest_of(sources: &Utf8Path, wanted: impl Fn(&str) -> bool) -> Result<String> {
    let mut hash = Sha256::new();
    for entry in WalkDir::new(sources).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the folder {sources}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        if entry.file_type().is_file() && path.file_name().is_some_and(&wanted) {
            let Source { executable, .. } = Source::file(path.to_owned())?;
            let content = files::read(path)?;
            hash.update(format!("{} {executable} {}\n", path.strip_prefix(sources)?, content.len()));
            hash.update(content);
        }
    }
    Ok(files::hex(&hash.finalize()))
}

/// A digest over the files of each of these folders of the copy. What lies in another one below is that one's.
pub fn digests(sources: &Utf8Path, folders: &BTreeSet<&str>) -> Result<BTreeMap<String, String>> {
    let mut hashes: BTreeMap<&str, Sha256> = BTreeMap::new();
    for entry in WalkDir::new(sources).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the folder {sources}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        let inside = path.strip_prefix(sources)?;
        let folder = inside.ancestors().skip(1).find_map(|folder| folders.get(folder.as_str()).copied());
        if let (true, Some(folder)) = (entry.file_type().is_file(), folder) {
            let Source { executable, .. } = Source::file(path.to_owned())?;
            let content = files::read(path)?;
            let hash = hashes.entry(folder).or_default();
            hash.update(format!("{inside} {executable} {}\n", content.len()));
            hash.update(content);
        }
    }
    Ok(hashes.into_iter().map(|(folder, hash)| (folder.to_owned(), files::hex(&hash.finalize()))).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::digest;
    use crate::test_folder::TestFolder;

    #[test]
    fn a_file_that_becomes_a_program_is_another_source() {
        let test = TestFolder::new("sources");
        test.write("plugins/a/script", "#!/bin/sh");
        let before = digest(test.path()).expect("a digest");
        assert_eq!(digest(test.path()).expect("a digest"), before);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(test.path().join("plugins/a/script"), mode).expect("a mode");
        assert_ne!(digest(test.path()).expect("a digest"), before);
    }
}
