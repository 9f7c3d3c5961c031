//! The copy of the sources that is compiled: synced by content, so that a file whose content changed gets a new
//! modification time and an unchanged one keeps its old. Cargo goes by these times alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

use crate::build::sync::{self, Source};
use crate::faults::Faults;
use crate::files;
use crate::paths::Paths;
use crate::plan::host::Workspace;
use crate::plan::plugins::Discovered;

/// What cargo reads of the hidden files at the root.
pub const CONFIG: &str = ".cargo/config.toml";

/// Makes the copy what the tree is.
pub fn sync(paths: &Paths, workspace: &Workspace, plugins: &Discovered) -> Result<()> {
    sync::sync(&list(paths, workspace, plugins)?, &paths.sources())
}

/// Everything that cargo may read: the root's own files, and the top folders that hold the workspace's members, what these
/// depend on by path, and patches. Hidden files and target folders are left out.
fn list(paths: &Paths, workspace: &Workspace, plugins: &Discovered) -> Result<BTreeMap<Utf8PathBuf, Source>> {
    let mut files = BTreeMap::new();
    let entries = paths.root.read_dir_utf8().with_context(|| format!("reading the folder {}", paths.root))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading the folder {}", paths.root))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !entry.file_name().starts_with('.') {
            files.insert(entry.file_name().into(), Source::file(entry.into_path())?);
        }
    }
    files.insert(CONFIG.into(), Source::file(paths.root.join(CONFIG))?);
    let mut faults = Faults::default();
    for folder in top_folders(workspace, plugins) {
        walk(&paths.root, &folder, &mut files, &mut faults)?;
    }
    faults.report("the sources")?;
    Ok(files)
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

fn walk(root: &Utf8Path, folder: &str, files: &mut BTreeMap<Utf8PathBuf, Source>, faults: &mut Faults) -> Result<()> {
    let top = root.join(folder);
    for entry in WalkDir::new(&top).follow_links(true).sort_by_file_name().into_iter().filter_entry(is_source) {
        let entry = entry.with_context(|| format!("reading the folder {top}"))?;
        let Some(path) = Utf8Path::from_path(entry.path()) else {
            faults.push(format!("the path {} is not UTF-8: rename it", entry.path().display()));
            continue;
        };
        let relative = path.strip_prefix(root).with_context(|| format!("{path} is outside of {root}"))?;
        if entry.path_is_symlink() {
            let target = path.canonicalize_utf8().with_context(|| format!("following the symlink {path}"))?;
            if !target.starts_with(root) {
                faults.push(format!(
                    "{relative} is a symlink to {target}, outside of the tree: put the files themselves there"
                ));
            }
        }
        if entry.file_type().is_file() {
            files.insert(relative.to_owned(), Source::file(path.to_owned())?);
        }
    }
    Ok(())
}

/// Whether the copy has it; of a folder that is none nothing is looked at.
pub fn is_source(entry: &DirEntry) -> bool {
    let hidden = entry.file_name().to_string_lossy().starts_with('.');
    let target = entry.file_type().is_dir() && entry.path().join("CACHEDIR.TAG").is_file();
    !hidden && !target
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
