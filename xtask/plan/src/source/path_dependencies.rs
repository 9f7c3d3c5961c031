//! Path dependencies: crates of the tree that a plugin is compiled with.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::source::submodules;
use crate::support::errors::Errors;
use crate::support::files;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DependencyTables {
    #[serde(default)]
    pub dependencies: toml::Table,
    #[serde(default, alias = "dev_dependencies")]
    dev_dependencies: toml::Table,
    #[serde(default, alias = "build_dependencies")]
    build_dependencies: toml::Table,
}

/// The manifest of a path dependency.
#[derive(Deserialize)]
struct Shared {
    #[serde(flatten)]
    tables: DependencyTables,
    #[serde(default)]
    target: BTreeMap<String, DependencyTables>,
}

/// Adds the directory of every path dependency, and of their path dependencies. One outside the tree is an error: it
/// would not be compiled from the synced copy.
pub fn follow(
    root: &Utf8Path,
    dir: &Utf8Path,
    tables: &[&DependencyTables],
    found: &mut BTreeSet<Utf8PathBuf>,
    errors: &mut Errors,
) {
    for (dependency, path) in path_dependencies(tables) {
        let Some(inside) = contained(dir, &path) else {
            errors.push(format!(
                "{dir}/Cargo.toml: the path dependency `{dependency} = {{ path = \"{path}\" }}` is outside of the tree; move \
                 that crate into the tree and use a relative path, or depend on it by version or git"
            ));
            continue;
        };
        if !found.insert(inside.clone()) {
            continue;
        }
        if let Some(error) = submodules::error(root, &inside) {
            errors.push(format!("{dir}/Cargo.toml: the path dependency `{dependency}`: {error}"));
            continue;
        }
        // Cargo explains a manifest that cannot be read, unless it is a plugin's.
        let text = files::read_text(&root.join(&inside).join("Cargo.toml"));
        if let Some(shared) = text.ok().and_then(|text| toml::from_str::<Shared>(&text).ok()) {
            let tables: Vec<_> = std::iter::once(&shared.tables).chain(shared.target.values()).collect();
            follow(root, &inside, &tables, found, errors);
        }
    }
}

/// Every path dependency, with its name.
fn path_dependencies(tables: &[&DependencyTables]) -> Vec<(String, Utf8PathBuf)> {
    let tables = tables.iter().flat_map(|of| [&of.dependencies, &of.dev_dependencies, &of.build_dependencies]);
    tables
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), Utf8PathBuf::from(value.get("path")?.as_str()?))))
        .collect()
}

/// The target of `path` in the manifest of `dir`, relative to the root; `None` if it is outside the root or absolute.
fn contained(dir: &Utf8Path, path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut inside = dir.to_owned();
    for part in path.components() {
        match part {
            Utf8Component::Normal(name) => inside.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir if inside.pop() => {}
            _ => return None,
        }
    }
    Some(inside)
}
