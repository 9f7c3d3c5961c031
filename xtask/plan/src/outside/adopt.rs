//! Makes the manifest of a plugin from outside fit into the tree: what it inherits from a workspace of its own is written out, and
//! what only a workspace's root may say is dropped.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use crate::source::manifest::Workspace;
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::normal;

/// Tables of a workspace's root that cargo ignores in a member.
const ROOT_ONLY: [&str; 3] = ["patch", "profile", "replace"];
const DEPENDENCIES: [&str; 5] =
    ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"];

/// A manifest for a plugin in `plugins/` of the tree.
pub struct Adopted {
    pub manifest: Table,
    /// Tables of its own workspace that have no effect: `[profile]`.
    pub ignored: Vec<String>,
}

/// The plugin and the tree; paths are absolute, without symlinks.
pub struct Places<'a> {
    /// The plugin's own directory.
    pub plugin: &'a Utf8Path,
    pub root: &'a Utf8Path,
    pub tree: &'a Workspace,
}

impl Places<'_> {
    /// Whether a dependency is a crate that the tree has for its plugins: the SDK, or what plugins are tested with.
    fn has(&self, name: &str) -> bool {
        name == self.tree.image().sdk
            || self.tree.dependencies.get(name).is_some_and(|found| found.get("path").is_some())
    }
}

/// Adopts the manifest in `places.plugin`.
pub fn adopt(places: &Places) -> Result<Adopted> {
    let path = places.plugin.join("Cargo.toml");
    let mut manifest = parse(&path)?;
    let own = match manifest.remove("workspace") {
        Some(workspace) => Some((places.plugin.to_owned(), workspace)),
        None if inherits(&manifest) => Some(workspace_above(places)?),
        None => None,
    };
    let mut errors = Errors::default();
    let ignored = ROOT_ONLY.into_iter().filter(|table| manifest.remove(*table).is_some());
    let ignored = ignored.map(|table| format!("[{table}]")).collect();
    let mut adoption = Adoption { places, own, errors: &mut errors };
    adoption.package(&mut manifest);
    adoption.tables(&mut manifest);
    for target in manifest.get_mut("target").and_then(Value::as_table_mut).into_iter().flatten() {
        adoption.tables(target.1.as_table_mut().unwrap_or(&mut Table::new()));
    }
    errors.report(path.as_str())?;
    Ok(Adopted { manifest, ignored })
}

fn parse(path: &Utf8Path) -> Result<Table> {
    let text = files::read_text(path)?;
    text.parse().map_err(|error: toml::de::Error| anyhow::anyhow!("{path} is not a manifest: {error}"))
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn inherits(manifest: &Table) -> bool {
    let nested = |value: &Value| value.as_table().is_some_and(inherits);
    manifest.values().any(|value| is_inherited(value) || nested(value))
}

/// The nearest workspace in a directory above the plugin.
fn workspace_above(places: &Places) -> Result<(Utf8PathBuf, Value)> {
    for dir in places.plugin.ancestors().skip(1) {
        let path = dir.join("Cargo.toml");
        if path.is_file()
            && let Some(workspace) = parse(&path)?.remove("workspace")
        {
            return Ok((dir.to_owned(), workspace));
        }
    }
    let manifest = places.plugin.join("Cargo.toml");
    Err(anyhow::anyhow!(
        "{manifest} inherits from a workspace, and no directory above it has one; write the values out"
    ))
}

struct Adoption<'a> {
    places: &'a Places<'a>,
    /// The plugin's own workspace: its directory and its table.
    own: Option<(Utf8PathBuf, Value)>,
    errors: &'a mut Errors,
}

impl Adoption<'_> {
    fn package(&mut self, manifest: &mut Table) {
        let package = manifest.get_mut("package").and_then(Value::as_table_mut);
        for (key, value) in package.into_iter().flatten().filter(|(_, value)| is_inherited(value)) {
            if let Some(inherited) = self.inherited("package", key) {
                *value = inherited;
            }
        }
        if manifest.get("lints").is_some_and(is_inherited) {
            let lints = self.own.as_ref().and_then(|(_, workspace)| workspace.get("lints").cloned());
            manifest.remove("lints");
            manifest.extend(lints.map(|lints| ("lints".to_owned(), lints)));
        }
    }

    /// What the plugin's workspace says about a key of `[workspace.TABLE]`.
    fn inherited(&mut self, table: &str, key: &str) -> Option<Value> {
        let found = self.own.as_ref().and_then(|(_, workspace)| workspace.get(table)?.get(key).cloned());
        if found.is_none() {
            self.errors
                .push(format!("`{key}` is inherited, and [workspace.{table}] does not have it; write its value out"));
        }
        found
    }

    fn tables(&mut self, manifest: &mut Table) {
        for table in DEPENDENCIES {
            for (name, value) in manifest.get_mut(table).and_then(Value::as_table_mut).into_iter().flatten() {
                self.dependency(name, value);
            }
        }
    }

    fn dependency(&mut self, name: &str, value: &mut Value) {
        let mut from = self.places.plugin.to_owned();
        if self.places.has(name) {
            // There is one SDK: the tree's, wherever the author's was.
            *value = Value::Table(Table::from_iter([("workspace".to_owned(), true.into())]));
            return;
        }
        if is_inherited(value) {
            let Some(inherited) = self.inherited("dependencies", name) else { return };
            from = self.own.as_ref().map_or(from, |(dir, _)| dir.clone());
            *value = with_own(inherited, value);
        }
        let Some(path) = value.get("path").and_then(Value::as_str).map(|path| normal(&from.join(path))) else { return };
        let inside = |dir: &Utf8Path| path.strip_prefix(dir).ok().map(Utf8Path::to_owned);
        let moved = match (inside(self.places.plugin), inside(self.places.root)) {
            (Some(own), _) => own,
            (None, Some(tree)) => Utf8Path::new("../..").join(tree),
            (None, None) => {
                return self.errors.push(format!(
                    "the path dependency `{name}` is neither in the plugin's directory nor in this tree ({path}); depend on \
                     it by version or git"
                ));
            }
        };
        if let Some(dependency) = value.as_table_mut() {
            dependency.insert("path".to_owned(), moved.as_str().into());
        }
    }
}

/// A dependency of a workspace, with what the member adds to it.
/// Source: <https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html#inheriting-a-dependency-from-a-workspace>.
fn with_own(inherited: Value, own: &Value) -> Value {
    let mut dependency = match inherited {
        Value::Table(table) => table,
        version => Table::from_iter([("version".to_owned(), version)]),
    };
    for (key, value) in own.as_table().into_iter().flatten().filter(|(key, _)| *key != "workspace") {
        match (dependency.get_mut(key), value) {
            (Some(Value::Array(features)), Value::Array(more)) => features.extend(more.iter().cloned()),
            _ => drop(dependency.insert(key.clone(), value.clone())),
        }
    }
    Value::Table(dependency)
}

/// The name of the package in a manifest.
pub fn name(manifest: &Table, path: &Utf8Path) -> Result<String> {
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).with_context(|| format!("{path} has no `[package]` with a `name`: it is no plugin"))
}
