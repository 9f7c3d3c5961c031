//! The copy of the sources that is compiled. It is synced by content: a file whose content changed gets a new modification
//! time, and an unchanged one keeps its old one. Cargo looks only at these times.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::{DirEntry, WalkDir};

use crate::oci::digest::{Digest, Hasher};
use crate::source::left_out::{LeftOut, Needed, Why};
use crate::source::manifest::Workspace;
use crate::source::plugins::{self, Discovered};
use crate::source::sync::{self, Source};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;

/// Cargo's configuration in the tree.
pub const CONFIG: &str = ".cargo/config.toml";

/// An empty file in the copy of a tree without plugins: cargo rejects the member `plugins/*` if nothing matches it.
pub const NO_PLUGINS: &str = "plugins/.none";

/// Directories of version control.
const VERSION_CONTROL: [&str; 7] = [".git", ".hg", ".svn", ".jj", ".bzr", ".pijul", "_darcs"];

/// Makes the copy equal to the tree; returns what was left out.
///
/// # Errors
///
/// If a crate or a plugin asset was left out.
pub fn sync(paths: &Paths, workspace: &Workspace, found: &Discovered) -> Result<Vec<LeftOut>> {
    let mut listing = Listing::new(paths, found, Needed::new(workspace, found));
    listing.walk()?;
    listing.add_outside()?;
    if !found.packages.values().any(|plugin| plugin.dir.starts_with(plugins::DIR)) {
        listing.files.insert(NO_PLUGINS.into(), Source { path: "/dev/null".into(), executable: false });
    }
    listing.errors.report("the sources")?;
    sync::sync(&listing.files, &listing.dirs, &paths.sources())?;
    Ok(listing.left_out)
}

/// Everything in the tree that cargo, a build script or `include!` may read: all except version control and caches. A file
/// that git ignores may be read, too.
struct Listing<'a> {
    paths: &'a Paths,
    plugins: &'a Discovered,
    needed: Needed,
    files: BTreeMap<Utf8PathBuf, Source>,
    dirs: BTreeSet<Utf8PathBuf>,
    left_out: Vec<LeftOut>,
    errors: Errors,
}

impl<'a> Listing<'a> {
    fn new(paths: &'a Paths, plugins: &'a Discovered, needed: Needed) -> Listing<'a> {
        let (files, dirs) = (BTreeMap::new(), BTreeSet::new());
        Listing { paths, plugins, needed, files, dirs, left_out: Vec::new(), errors: Errors::default() }
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
                None if entry.file_type().is_dir() => drop(self.dirs.insert(shown.into())),
                None if entry.file_type().is_file() => {
                    // It was removed in the meantime.
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

    /// Plugins from outside, in the places where the tree has its own.
    fn add_outside(&mut self) -> Result<()> {
        for outside in self.plugins.packages.values().filter_map(|plugin| plugin.outside.as_ref()) {
            for entry in WalkDir::new(&outside.root).min_depth(2) {
                let entry = entry.with_context(|| format!("reading the directory {}", outside.root))?;
                let path = Utf8Path::from_path(entry.path()).context("what was brought here is UTF-8")?;
                if entry.file_type().is_file() {
                    self.files.insert(path.strip_prefix(&outside.root)?.to_owned(), Source::file(path.to_owned())?);
                }
            }
        }
        Ok(())
    }

    fn why_not(&self, entry: &DirEntry, shown: &str) -> Result<Option<Why>> {
        let is_dir = entry.file_type().is_dir();
        let target = self.paths.image.parent().unwrap_or(&self.paths.image);
        if entry.file_name().to_str().is_none() {
            return Ok(Some(Why::NotUtf8));
        }
        if is_version_control(entry) {
            return Ok(Some(Why::VersionControl));
        }
        // Cargo's default directory, too: it has a mark only after a build, and CARGO_TARGET_DIR may name another one.
        if is_dir && (is_cache(entry) || entry.path() == target || shown == "target") {
            return Ok(Some(Why::Cache));
        }
        // The workspace's `plugins/*` would make it a member.
        if is_dir && shown.starts_with(&format!("{}/.", plugins::DIR)) && entry.depth() == 2 {
            return Ok(Some(Why::HiddenPlugin));
        }
        if is_dir && self.plugins.not_selected.contains(Utf8Path::new(shown)) {
            return Ok(Some(Why::NotSelected));
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

    /// What the walk could not read: a loop, a dangling symlink, or a file without permission.
    fn unreadable(&mut self, error: &walkdir::Error) -> Result<()> {
        let Some(path) = error.path() else { bail!("reading the directory {}: {error}", self.paths.root) };
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
        let left_out = LeftOut { path, why };
        match self.needed.error(&left_out) {
            Some(error) => self.errors.push(error),
            None => self.left_out.push(left_out),
        }
    }
}

fn is_version_control(entry: &DirEntry) -> bool {
    VERSION_CONTROL.iter().any(|name| entry.file_name() == *name)
}

/// Source: <https://bford.info/cachedir/>.
fn is_cache(entry: &DirEntry) -> bool {
    entry.path().join("CACHEDIR.TAG").is_file()
}

/// Whether the copy has the path with everything in it. A path that is no directory is not searched.
pub fn is_source(entry: &DirEntry) -> bool {
    !(is_version_control(entry) || entry.file_type().is_dir() && is_cache(entry))
}

/// A digest of everything that the resolution depends on: the lock file and all manifests.
pub fn manifests_digest(sources: &Utf8Path) -> Result<Digest> {
    digest_of(sources, |name| matches!(name, "Cargo.toml" | "Cargo.lock" | "config.toml"))
}

/// A digest of all names: cargo finds a package's targets by them.
pub fn names_digest(sources: &Utf8Path) -> Result<Digest> {
    let mut hash = Hasher::default();
    for entry in WalkDir::new(sources).min_depth(1).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the directory {sources}"))?;
        hash.update(entry.path().as_os_str().as_encoded_bytes());
        hash.update("\n");
    }
    Ok(hash.finish())
}

/// A digest over everything that is compiled.
pub fn digest(sources: &Utf8Path) -> Result<Digest> {
    digest_of(sources, |_| true)
}

fn digest_of(sources: &Utf8Path, wanted: impl Fn(&str) -> bool) -> Result<Digest> {
    let mut hash = Hasher::default();
    for entry in WalkDir::new(sources).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the directory {sources}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        if entry.file_type().is_file() && path.file_name().is_some_and(&wanted) {
            let Source { executable, .. } = Source::file(path.to_owned())?;
            let content = files::read(path)?;
            hash.update(format!("{} {executable} {}\n", path.strip_prefix(sources)?, content.len()));
            hash.update(content);
        }
    }
    Ok(hash.finish())
}

/// A digest of the files of each of these directories of the copy. A file in a nested one counts only for that one.
pub fn digests(sources: &Utf8Path, dirs: &BTreeSet<&str>) -> Result<BTreeMap<String, Digest>> {
    let mut hashes: BTreeMap<&str, Hasher> = BTreeMap::new();
    for entry in WalkDir::new(sources).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the directory {sources}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else { bail!("{} is not UTF-8", entry.path().display()) };
        let inside = path.strip_prefix(sources)?;
        let dir = inside.ancestors().skip(1).find_map(|dir| dirs.get(dir.as_str()).copied());
        if let (true, Some(dir)) = (entry.file_type().is_file(), dir) {
            let Source { executable, .. } = Source::file(path.to_owned())?;
            let content = files::read(path)?;
            let hash = hashes.entry(dir).or_default();
            hash.update(format!("{inside} {executable} {}\n", content.len()));
            hash.update(content);
        }
    }
    Ok(hashes.into_iter().map(|(dir, hash)| (dir.to_owned(), hash.finish())).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::digest;
    use crate::support::test_dir::TestDir;

    #[test]
    fn a_file_that_becomes_a_program_is_another_source() {
        let test = TestDir::default();
        test.write("plugins/a/script", "#!/bin/sh");
        let before = digest(test.path()).expect("a digest");
        assert_eq!(digest(test.path()).expect("a digest"), before);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(test.path().join("plugins/a/script"), mode).expect("a mode");
        assert_ne!(digest(test.path()).expect("a digest"), before);
    }
}
