//! What resolving changes in `Cargo.lock`, and which plugin needs the change.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cargo::resolution::{Crate, Source};

/// The name of crates.io in lock files, also if crates come from a mirror.
pub const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The parts of `Cargo.lock` that are compared and quoted.
#[derive(Deserialize, Default)]
pub struct Lock {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Absent for what lies in the tree.
    source: Option<String>,
    /// SHA-256 of the registry's archive.
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// One package whose versions changed: an empty list before is an addition, after a removal.
#[derive(Debug, PartialEq, Serialize)]
pub struct Change {
    pub package: String,
    pub before: Vec<String>,
    pub after: Vec<String>,
    /// Plugins that need it, if any.
    pub wanted_by: Vec<String>,
}

impl Change {
    /// Whether every version was there before.
    pub fn is_removal(&self) -> bool {
        self.after.iter().all(|version| self.before.contains(version))
    }
}

impl Lock {
    pub fn parse(text: &str) -> Result<Lock> {
        toml::from_str(text).context("reading Cargo.lock")
    }

    /// The checksum of a crate of a registry.
    pub fn checksum(&self, name: &str, version: &str) -> Option<&str> {
        let found = self.package.iter().find(|package| package.name == name && package.version == version)?;
        found.checksum.as_deref()
    }

    /// Whether every crate is one of the tree, or one of crates.io with its checksum. The oldest lock files have checksums elsewhere.
    pub fn is_of_crates_io(&self) -> bool {
        let is_known = |package: &Package| package.source.as_deref() == Some(CRATES_IO) && package.checksum.is_some();
        self.package.iter().all(|package| package.source.is_none() || is_known(package))
    }

    /// The crates of registries as `NAME-VERSION`, each with its checksum.
    pub fn archives(&self) -> impl Iterator<Item = (String, &str)> {
        self.package.iter().filter_map(|Package { name, version, checksum, .. }| {
            Some((format!("{name}-{version}"), checksum.as_deref()?))
        })
    }

    /// Where a crate that is not in the tree comes from, and its checksum if it has one.
    pub fn origin(&self, wanted: &Crate) -> Option<(&str, Option<&str>)> {
        let fits = |package: &&Package| {
            let registry = package.source.as_deref() == Some(CRATES_IO);
            package.id() == (&wanted.name, &wanted.version) && registry == (wanted.source == Source::Registry)
        };
        let package = self.package.iter().filter(fits).find(|package| package.source.is_some())?;
        Some((package.source.as_deref()?, package.checksum.as_deref()))
    }

    fn versions(&self, name: &str) -> BTreeSet<String> {
        self.package.iter().filter(|package| package.name == name).map(|package| package.version.clone()).collect()
    }

    /// A crate of the tree, or `None` if the lock does not know it.
    fn member(&self, name: &str) -> Option<&Package> {
        self.package.iter().find(|package| package.name == name && package.source.is_none())
    }

    /// What a package depends on directly. An entry reads "name", "name version" or "name version (source)", as short
    /// as is unambiguous.
    fn dependencies<'a>(&'a self, package: &'a Package) -> Vec<&'a Package> {
        let entries = package.dependencies.iter().map(|entry| {
            let mut words = entry.splitn(3, ' ');
            (words.next(), words.next(), words.next().map(|source| source.trim_matches(['(', ')'])))
        });
        entries
            .flat_map(|(name, version, source)| {
                self.package.iter().filter(move |package| {
                    Some(package.name.as_str()) == name
                        && version.is_none_or(|version| version == package.version)
                        && source.is_none_or(|source| package.repository() == Some(source))
                })
            })
            .collect()
    }

    /// A package and all that it needs, directly or not.
    fn closure<'a>(&'a self, of: &'a Package) -> Vec<&'a Package> {
        let mut closure = vec![of];
        let mut next = 0;
        while let Some(package) = closure.get(next).copied() {
            for found in self.dependencies(package) {
                if !closure.iter().any(|known| std::ptr::eq(*known, found)) {
                    closure.push(found);
                }
            }
            next += 1;
        }
        closure
    }

    /// Reports crates with one version and two sources, and which of `members` need them: any crate of the tree,
    /// if no member does.
    pub fn twice(&self, members: &[&str]) -> Vec<String> {
        let outside: Vec<&Package> = self.package.iter().filter(|package| package.source.is_some()).collect();
        // Cargo sorts them.
        let twice: Vec<&[&Package]> = outside.windows(2).filter(|pair| pair[0].id() == pair[1].id()).collect();
        if twice.is_empty() {
            return Vec::new();
        }
        let tree = self.package.iter().filter(|package| package.source.is_none());
        let closures: Vec<(&str, Vec<&Package>)> =
            tree.map(|package| (package.name.as_str(), self.closure(package))).collect();
        let wanted = |crate_: &Package| {
            let all = closures.iter().filter(|(_, closure)| closure.iter().any(|found| std::ptr::eq(*found, crate_)));
            let all: Vec<&str> = all.map(|(name, _)| *name).collect();
            let own: Vec<&str> = all.iter().filter(|name| members.contains(name)).copied().collect();
            format!("{} (needed by {})", crate_.shown(), if own.is_empty() { all } else { own }.join(", "))
        };
        let sentence = |pair: &[&Package]| {
            let (name, version) = pair[0].id();
            format!("{name} {version} comes from two sources, {} and {}", wanted(pair[0]), wanted(pair[1]))
        };
        twice.into_iter().map(sentence).collect()
    }

    /// The names and versions of all that a crate of the tree needs, directly or not.
    fn needs(&self, member: &str) -> BTreeSet<(&str, &str)> {
        let mut needs = BTreeSet::new();
        let mut todo: Vec<&Package> = self.member(member).into_iter().collect();
        while let Some(package) = todo.pop() {
            todo.extend(self.dependencies(package).into_iter().filter(|found| needs.insert(found.id())));
        }
        needs
    }

    /// The names of the direct dependencies of a crate of the tree. Their versions depend on other crates, too.
    fn direct(&self, member: &str) -> Option<BTreeSet<&str>> {
        Some(self.dependencies(self.member(member)?).into_iter().map(|package| package.name.as_str()).collect())
    }
}

impl Package {
    fn id(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }

    /// Its source as the dependencies of others name it: without the commit.
    fn repository(&self) -> Option<&str> {
        self.source.as_deref().map(|source| source.split_once('#').map_or(source, |(repository, _)| repository))
    }

    /// Its source in the words of people.
    fn shown(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        if source == CRATES_IO {
            return "crates.io".to_owned();
        }
        let source = source.trim_start_matches("registry+").trim_start_matches("git+");
        match source.split_once('#') {
            Some((repository, commit)) => format!("{repository}#{}", commit.get(..8).unwrap_or(commit)),
            None => source.to_owned(),
        }
    }
}

/// Every package whose versions differ, sorted by name. A change is attributed to the plugins that need one of the new
/// versions and whose own dependencies changed; if there is none, to all plugins that need it.
pub fn changes(before: &Lock, after: &Lock, plugins: &[&str]) -> Vec<Change> {
    let names: BTreeSet<&str> =
        [before, after].into_iter().flat_map(|lock| &lock.package).map(|package| package.name.as_str()).collect();
    let needs: Vec<_> = plugins.iter().map(|plugin| (*plugin, after.needs(plugin))).collect();
    let mut changes = Vec::new();
    for package in names {
        let (old, new) = (before.versions(package), after.versions(package));
        if old == new {
            continue;
        }
        let added: Vec<String> = new.difference(&old).cloned().collect();
        let needing = needs.iter().filter(|(_, needs)| added.iter().any(|version| needs.contains(&(package, version))));
        let needing: Vec<&str> = needing.map(|(plugin, _)| *plugin).collect();
        let edited = |plugin: &&&str| before.direct(plugin) != after.direct(plugin);
        let edited: Vec<&str> = needing.iter().filter(edited).copied().collect();
        let wanted_by = if edited.is_empty() { needing } else { edited };
        changes.push(Change {
            package: package.to_owned(),
            before: old.difference(&new).cloned().collect(),
            after: added,
            wanted_by: wanted_by.into_iter().map(str::to_owned).collect(),
        });
    }
    changes
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (before, after) = (self.before.join(", "), self.after.join(", "));
        match (before.is_empty(), after.is_empty()) {
            (true, _) => write!(out, "{} {after} added", self.package)?,
            (_, true) => write!(out, "{} {before} removed", self.package)?,
            _ => write!(out, "{} {before} -> {after}", self.package)?,
        }
        if !self.wanted_by.is_empty() {
            write!(out, ", needed by {}", self.wanted_by.join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lock, changes};

    fn lock(packages: &[(&str, &str, &[&str])]) -> Lock {
        let mut text = String::new();
        for (name, version, dependencies) in packages {
            text += &format!("[[package]]\nname = {name:?}\nversion = {version:?}\ndependencies = {dependencies:?}\n");
            if *version != "0.0.0" {
                text += "source = \"registry\"\n";
            }
        }
        Lock::parse(&text).expect("a lock")
    }

    fn check(before: &[(&str, &str, &[&str])], after: &[(&str, &str, &[&str])], expected: &[&str]) {
        let changes = changes(&lock(before), &lock(after), &["a", "b"]);
        assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_change_names_the_plugin_that_wanted_it() {
        let before: &[(&str, &str, &[&str])] = &[("a", "0.0.0", &["json"]), ("json", "1.2.0", &[])];
        check(before, before, &[]);
        check(
            before,
            &[
                ("a", "0.0.0", &["json"]),
                ("b", "0.0.0", &["hex", "json"]),
                ("json", "1.1.0", &[]),
                ("hex", "0.4.0", &[]),
            ],
            &["b 0.0.0 added", "hex 0.4.0 added, needed by b", "json 1.2.0 -> 1.1.0, needed by b"],
        );
        check(
            before,
            &[
                ("a", "0.0.0", &["json 1.2.0"]),
                ("b", "0.0.0", &["json 0.9.0"]),
                ("json", "0.9.0", &[]),
                ("json", "1.2.0", &[]),
            ],
            &["b 0.0.0 added", "json 0.9.0 added, needed by b"],
        );
        check(before, &[("a", "0.0.0", &[])], &["json 1.2.0 removed"]);
    }
}
