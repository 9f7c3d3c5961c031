//! `plugins/sources.toml`: which plugins were added from outside of the tree, and from where.
//!
//! A change is two steps, and each is atomic: the record of what comes is written first, then the directory is exchanged. A run that
//! is killed between them leaves the old plugin with its old record: a record counts only for the content that it names.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::source::outside::PluginOrigin;
use crate::source::{copy, plugins};
use crate::support::files;
use crate::support::paths::Paths;

/// Relative to the root.
pub const FILE: &str = "plugins/sources.toml";

const HEAD: &str =
    "# Where plugins came from. `cargo xtask add`, `update` and `remove` write it; commit it with the plugins.\n";

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    /// By name.
    #[serde(default)]
    plugins: BTreeMap<String, PluginOrigin>,
    /// What a command that runs now brings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    next: BTreeMap<String, PluginOrigin>,
}

/// A plugin that was added, as it is now.
pub struct Added {
    /// A path is relative to the root.
    pub record: PluginOrigin,
    /// Whether its files changed since.
    pub edited: bool,
}

impl Sources {
    pub fn read(paths: &Paths) -> Result<Sources> {
        let path = paths.root.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).with_context(|| format!("reading {path}")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Sources::default()),
            Err(error) => Err(error).with_context(|| format!("reading {path}")),
        }
    }

    /// The names of all plugins that were added and are there, sorted.
    pub fn names(&self, paths: &Paths) -> Vec<String> {
        let names = self.plugins.keys().chain(self.next.keys()).filter(|name| dir(paths, name).is_dir());
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// What is known about a plugin in `plugins/`, if it was added.
    pub fn find(&self, paths: &Paths, name: &str) -> Result<Option<Added>> {
        if !dir(paths, name).is_dir() {
            return Ok(None);
        }
        let content = copy::digest(&dir(paths, name))?;
        let next = self.next.get(name).filter(|record| record.content == content);
        let record = next.or_else(|| self.plugins.get(name));
        Ok(record.map(|record| Added { edited: record.content != content, record: record.clone() }))
    }

    /// Makes `plugins/NAME` what is in `from`, which is copied.
    pub fn put(mut self, paths: &Paths, name: &str, from: &Utf8Path, record: PluginOrigin) -> Result<()> {
        let (to, staged) = (dir(paths, name), staged(paths, name)?);
        files::copy_tree(from, &staged)?;
        self.announce(paths, name, record)?;
        exchange(&staged, &to)?;
        self.plugins.extend(self.next.remove_entry(name));
        self.write(paths)?;
        files::remove(&staged)
    }

    /// Removes `plugins/NAME`.
    pub fn take(mut self, paths: &Paths, name: &str) -> Result<()> {
        let (from, staged) = (dir(paths, name), staged(paths, name)?);
        std::fs::rename(&from, &staged).with_context(|| format!("moving {from} to {staged}"))?;
        self.settle(paths)?;
        self.write(paths)?;
        files::remove(&staged)
    }

    /// Records what comes, beside the record of what is there.
    fn announce(&mut self, paths: &Paths, name: &str, record: PluginOrigin) -> Result<()> {
        self.settle(paths)?;
        self.next.insert(name.to_owned(), record);
        self.write(paths)
    }

    /// Makes each record that of what is there: also after a run that was killed, and if somebody removed a plugin by hand.
    fn settle(&mut self, paths: &Paths) -> Result<()> {
        for (name, record) in std::mem::take(&mut self.next) {
            let dir = dir(paths, &name);
            if dir.is_dir() && copy::digest(&dir)? == record.content {
                self.plugins.insert(name, record);
            }
        }
        self.plugins.retain(|name, _| dir(paths, name).is_dir());
        Ok(())
    }

    fn write(&self, paths: &Paths) -> Result<()> {
        let path = paths.root.join(FILE);
        if self.plugins.is_empty() && self.next.is_empty() {
            return files::remove(&path);
        }
        let text = format!("{HEAD}{}", toml::to_string(self).context("writing the sources of the plugins")?);
        files::write_atomically(&path, |out| Ok(out.write_all(text.as_bytes())?))
    }
}

fn dir(paths: &Paths, name: &str) -> Utf8PathBuf {
    paths.root.join(plugins::dir_of(name))
}

/// An absent directory on the disk of the plugins, since a rename needs one disk: usually in the target directory.
fn staged(paths: &Paths, name: &str) -> Result<Utf8PathBuf> {
    let device =
        |path: &Utf8Path| std::fs::metadata(path).map(|metadata| std::os::unix::fs::MetadataExt::dev(&metadata));
    let plugins = paths.root.join(plugins::DIR);
    files::create_dir(&plugins)?;
    // Of a run that was killed.
    files::remove_partials(&plugins)?;
    files::create_dir(&paths.outside())?;
    let one_disk = |dir: &Utf8Path| matches!((device(dir), device(&plugins)), (Ok(one), Ok(other)) if one == other);
    // Cargo takes every directory in plugins/ for a member, so it is the last choice.
    let places = [(paths.outside(), "moved"), (paths.root.clone(), ".moved")];
    let place = places.into_iter().find(|(dir, _)| one_disk(dir));
    let parent = place.map_or_else(|| plugins.join(".moved"), |(dir, name)| dir.join(name));
    files::create_dir(&parent)?;
    let staged = parent.join(name);
    files::remove(&staged)?;
    Ok(staged)
}

/// Makes `to` what `from` is, at once. What was there before, if anything, is in `from` afterwards.
fn exchange(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let moving = || format!("moving {from} to {to}");
    if !to.exists() {
        return std::fs::rename(from, to).with_context(moving);
    }
    match renameat_with(CWD, from.as_str(), CWD, to.as_str(), RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => bail!(
            "{}: this file system cannot exchange two directories; remove {to} first, with `cargo xtask remove`",
            moving()
        ),
        result => result.with_context(moving),
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::{FILE, Sources, dir, exchange, staged};
    use crate::source::copy;
    use crate::source::outside::PluginOrigin;
    use crate::support::files;
    use crate::support::paths::Paths;
    use crate::support::test_dir::TestDir;

    /// A version of the plugin, and its record.
    fn version(test: &TestDir, word: &str) -> (Utf8PathBuf, PluginOrigin) {
        test.write(&format!("outside/{word}/src/lib.rs"), word);
        let from = test.path().join("outside").join(word);
        let content = copy::digest(&from).expect("a digest");
        (from, PluginOrigin { source: word.to_owned(), commit: None, checksum: None, content })
    }

    fn read(paths: &Paths) -> Sources {
        Sources::read(paths).expect("sources")
    }

    #[test]
    fn two_runs_that_are_killed_leave_the_record_of_what_is_there() {
        let test = TestDir::default();
        let paths = Paths::new(test.path(), None);
        let (from, one) = version(&test, "one");
        read(&paths).put(&paths, "weather", &from, one).expect("one");

        // Killed after the directories were exchanged.
        let (from, two) = version(&test, "two");
        read(&paths).announce(&paths, "weather", two).expect("two");
        let aside = staged(&paths, "weather").expect("a place");
        files::copy_tree(&from, &aside).expect("a copy");
        exchange(&aside, &dir(&paths, "weather")).expect("two instead of one");

        // Killed before.
        let (_, three) = version(&test, "three");
        read(&paths).announce(&paths, "weather", three).expect("three");
        let found = read(&paths).find(&paths, "weather").expect("a record").expect("it was added");
        assert_eq!((found.record.source.as_str(), found.edited), ("two", false));

        read(&paths).take(&paths, "weather").expect("it goes");
        assert!(!test.path().join(FILE).exists());
    }
}
