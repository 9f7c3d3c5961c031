//! Makes a directory contain exactly the given files, and changes only what differs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::support::files;

/// Where a file's content comes from.
pub struct Source {
    pub path: Utf8PathBuf,
    pub executable: bool,
}

impl Source {
    pub fn file(path: Utf8PathBuf) -> Result<Source> {
        let metadata = fs::metadata(&path).with_context(|| format!("reading {path}"))?;
        Ok(Source { executable: metadata.permissions().mode() & 0o100 != 0, path })
    }
}

/// Makes `dir` contain the files of `wanted` (by path relative to it), these directories, and nothing else.
pub fn sync(wanted: &BTreeMap<Utf8PathBuf, Source>, dirs: &BTreeSet<Utf8PathBuf>, dir: &Utf8Path) -> Result<()> {
    files::create_dir(dir)?;
    remove_others(wanted, dirs, dir)?;
    for inside in dirs {
        files::create_dir(&dir.join(inside))?;
    }
    for (relative, source) in wanted {
        let path = dir.join(relative);
        let content = files::read(&source.path)?;
        let mode = if source.executable { 0o755 } else { 0o644 };
        if is_current(&path, &content, mode) {
            continue;
        }
        files::write_copy(&path, &content)?;
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).with_context(|| format!("writing {path}"))?;
    }
    Ok(())
}

fn is_current(path: &Utf8Path, content: &[u8], mode: u32) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    metadata.is_file()
        && metadata.len() == content.len() as u64
        && metadata.permissions().mode() & 0o777 == mode
        && fs::read(path).is_ok_and(|old| old == content)
}

fn remove_others(wanted: &BTreeMap<Utf8PathBuf, Source>, dirs: &BTreeSet<Utf8PathBuf>, dir: &Utf8Path) -> Result<()> {
    let parents = wanted.keys().flat_map(|path| path.ancestors().skip(1));
    let dirs: BTreeSet<&Utf8Path> = parents.chain(dirs.iter().flat_map(|path| path.ancestors())).collect();
    let mut walk = WalkDir::new(dir).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        let relative = Utf8Path::from_path(entry.path()).and_then(|path| path.strip_prefix(dir).ok());
        let is_dir = entry.file_type().is_dir();
        let keep = relative.is_some_and(|path| if is_dir { dirs.contains(path) } else { wanted.contains_key(path) });
        if keep {
            continue;
        }
        if is_dir {
            walk.skip_current_dir();
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        }
        .with_context(|| format!("removing {}", entry.path().display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    use camino::{Utf8Path, Utf8PathBuf};

    use super::{Source, sync};
    use crate::support::test_dir::TestDir;

    fn wanted(root: &Utf8Path, files: &[&str]) -> BTreeMap<Utf8PathBuf, Source> {
        files.iter().map(|file| (file.into(), Source::file(root.join(file)).expect("a file"))).collect()
    }

    #[test]
    fn only_what_differs_is_touched() {
        let test = TestDir::default();
        let dirs = BTreeSet::from([Utf8PathBuf::from("empty/inside")]);
        let (from, to) = (test.path().join("from"), test.path().join("to"));
        test.write("from/a/one", "1");
        test.write("from/two", "2");
        sync(&wanted(&from, &["a/one", "two"]), &dirs, &to).expect("a first sync");
        let stamp = |file: &str| fs::metadata(to.join(file)).and_then(|of| of.modified()).expect("a time");
        let before = (stamp("a/one"), stamp("two"));

        test.write("from/two", "3");
        let old = fs::File::options().write(true).open(from.join("two")).expect("a file");
        old.set_modified(std::time::UNIX_EPOCH).expect("an older time");
        test.write("to/b/left", "over");
        sync(&wanted(&from, &["a/one", "two"]), &dirs, &to).expect("a second sync");
        assert_eq!(stamp("a/one"), before.0, "unchanged content keeps its time");
        assert!(stamp("two") > before.1, "changed content is new, however old its source");
        assert!(!to.join("b").exists());

        sync(&wanted(&from, &["two"]), &dirs, &to).expect("a third sync");
        assert!(!to.join("a").exists() && to.join("empty/inside").is_dir());
        assert_eq!(fs::read_to_string(to.join("two")).expect("a file"), "3");
    }
}
