//! Reads `plugins/` before cargo does, so that each error has a clear message and all are reported at once.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::source::assets::{self, PluginAssets};
use crate::source::manifest::{HostSpec, Workspace};
use crate::source::outside::Outside;
use crate::source::path_dependencies::{self, DependencyTables};
use crate::source::selection::Selection;
use crate::source::{name, submodules};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;

/// The directory whose directories are plugins.
pub const DIR: &str = "plugins";

/// The directory of a plugin with this name.
pub fn dir_of(name: &str) -> Utf8PathBuf {
    Utf8Path::new(DIR).join(name)
}

/// The plugins' directories and what they need from the tree, without errors that are visible without cargo.
#[derive(Debug, Default)]
pub struct Discovered {
    /// By the package's name.
    pub packages: BTreeMap<String, Found>,
    /// Directories of plugins that the build does not have, relative to the root.
    pub not_selected: BTreeSet<Utf8PathBuf>,
    /// In-tree directories that plugins depend on by path, relative to the root.
    pub path_dependencies: BTreeSet<Utf8PathBuf>,
}

/// A plugin that was found.
#[derive(Debug)]
pub struct Found {
    /// Relative to the root.
    pub dir: Utf8PathBuf,
    pub assets: PluginAssets,
    /// Where it is, if not in the tree.
    pub outside: Option<Outside>,
}

/// The parts of a plugin's manifest where cargo reports errors badly or late.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest {
    package: Option<Package>,
    lib: Option<Lib>,
    workspace: Option<toml::Value>,
    #[serde(flatten)]
    tables: DependencyTables,
    #[serde(default)]
    target: BTreeMap<String, DependencyTables>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    metadata: toml::Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Lib {
    name: Option<String>,
    #[serde(default, alias = "crate_type")]
    crate_type: Vec<String>,
}

/// Checks every directory in `plugins/` that is selected, in order, then those in `more`. Skips hidden directories and plain
/// files.
pub fn discover(
    paths: &Paths,
    workspace: &Workspace,
    selection: &Selection,
    outside: Vec<Outside>,
    more: &[Utf8PathBuf],
) -> Result<Discovered> {
    let (found, errors) = examine(paths, workspace, selection, outside, more)?;
    errors.report("plugins/")?;
    Ok(found)
}

/// The same with what is wrong beside what is right.
pub fn examine(
    paths: &Paths,
    workspace: &Workspace,
    selection: &Selection,
    outside: Vec<Outside>,
    more: &[Utf8PathBuf],
) -> Result<(Discovered, Errors)> {
    let mut discovery = Discovery::new(workspace);
    let mut names = BTreeSet::new();
    for dir in dirs(&paths.root)? {
        let manifest = read(&paths.root, &dir);
        let own = dir.file_name().unwrap_or_default();
        let package = manifest.as_ref().ok().and_then(|manifest| manifest.package.as_ref());
        let both = [own, package.map_or(own, |package| package.name.as_str())];
        names.extend(both.map(str::to_owned));
        if selection.has(&both) {
            discovery.add(&paths.root, dir, manifest);
        } else {
            discovery.found.not_selected.insert(dir);
        }
    }
    discovery.errors.extend(selection.unknown(&names));
    for dir in more {
        discovery.add(&paths.root, dir.clone(), read(&paths.root, dir));
    }
    for plugin in outside {
        discovery.add_outside(plugin, &paths.root);
    }
    Ok(discovery.end())
}

struct Discovery<'a> {
    workspace: &'a Workspace,
    found: Discovered,
    /// The plugins by the names of their libraries.
    libraries: BTreeMap<String, Vec<String>>,
    errors: Errors,
}

impl<'a> Discovery<'a> {
    fn new(workspace: &'a Workspace) -> Discovery<'a> {
        Discovery { workspace, found: Discovered::default(), libraries: BTreeMap::new(), errors: Errors::default() }
    }

    /// Adds the plugin in `dir`, relative to `root`.
    fn add(&mut self, root: &Utf8Path, dir: Utf8PathBuf, manifest: Result<Manifest>) {
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(error) => return self.errors.push_as("manifest", dir, format!("{error:#}")),
        };
        check(&manifest, &dir, self.workspace, &mut self.errors);
        let mut errors = Errors::default();
        path_dependencies::follow(root, &dir, &manifest.tables(), &mut self.found.path_dependencies, &mut errors);
        self.errors.append(errors.coded("path-dependency", &dir));
        let library = manifest.library();
        let Some(package) = manifest.package else { return };
        if let Some(first) = self.found.packages.get(&package.name) {
            let (name, first) = (&package.name, &first.dir);
            let error = format!(
                "two plugins have the name `{name}`: {first} and {dir}: rename the package in one of the two Cargo.toml"
            );
            return self.errors.push_as("name", &dir, error);
        }
        if let Some(library) = library {
            self.libraries.entry(library).or_default().push(format!("`{}` ({dir})", package.name));
        }
        let mut errors = Errors::default();
        let assets = assets::read(root, &dir, &package.metadata, self.workspace.image(), &mut errors);
        self.errors.append(errors.coded("assets", &dir));
        self.found.packages.insert(package.name, Found { dir, assets, outside: None });
    }

    fn add_outside(&mut self, plugin: Outside, tree: &Utf8Path) {
        let dir = dir_of(&plugin.name);
        if tree.join(&dir).exists() && !self.found.not_selected.contains(&dir) {
            return self.errors.push(format!(
                "--with {0}: {dir} exists already; add `--without {1}` to build this one in its place",
                plugin.origin.source,
                dir.file_name().unwrap_or_default()
            ));
        }
        // Its author knows it by its own path.
        let others = std::mem::take(&mut self.errors);
        self.add(&plugin.root, dir.clone(), read(&plugin.root, &dir));
        let own = std::mem::replace(&mut self.errors, others);
        self.errors.append(own.renamed(&format!("{dir}/"), &format!("{}/", plugin.origin.source)));
        if let Some(found) = self.found.packages.get_mut(&plugin.name) {
            found.outside = Some(plugin);
        }
    }

    fn end(mut self) -> (Discovered, Errors) {
        for (library, plugins) in self.libraries.into_iter().filter(|(_, plugins)| plugins.len() > 1) {
            let plugins = plugins.join(" and ");
            let error = format!(
                "the plugins {plugins} build libraries with the same name, `{library}`: rename the packages, or their `[lib]`"
            );
            self.errors.push_as("name", "", error);
        }
        (self.found, self.errors)
    }
}

/// The plugins' directories, relative to the root, sorted.
pub fn dirs(root: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let plugins = root.join(DIR);
    let mut dirs = Vec::new();
    if !plugins.exists() {
        return Ok(dirs);
    }
    let entries = plugins.read_dir_utf8().with_context(|| format!("reading the directory {plugins}"))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading the directory {plugins}"))?;
        if !entry.file_name().starts_with('.') && entry.path().is_dir() {
            dirs.push(Utf8Path::new(DIR).join(entry.file_name()));
        }
    }
    dirs.sort();
    Ok(dirs)
}

fn read(root: &Utf8Path, dir: &Utf8Path) -> Result<Manifest> {
    let path = root.join(dir).join("Cargo.toml");
    if !path.is_file() {
        if let Some(error) = submodules::error(root, dir) {
            anyhow::bail!("{error}");
        }
        anyhow::bail!(
            "{dir} has no Cargo.toml: every directory in plugins/ is a plugin; add one, or move the directory away"
        );
    }
    let text = files::read_text(&path)?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{dir}/Cargo.toml is not a manifest: {error}"))
}

fn check(manifest: &Manifest, dir: &Utf8Path, workspace: &Workspace, errors: &mut Errors) {
    let host: &HostSpec = workspace.image();
    let mut push = |code, error: String| errors.push_as(code, dir, format!("{dir}/Cargo.toml{error}"));
    if manifest.workspace.is_some() {
        let own =
            " has a `[workspace]` of its own: remove that table; a plugin is built as a member of the tree's workspace";
        push("workspace", own.to_owned());
    }
    match &manifest.package {
        None => push("manifest", " has no `[package]`: add one, with a `name`".to_owned()),
        Some(package) => {
            let why = name::taken(&package.name, host).or_else(|| name::too_long(&package.name));
            let library = manifest.library().and_then(|built| name::library_taken(&built, host));
            let fix = if why.is_some() { "rename the package" } else { "rename the package, or its `[lib]`" };
            if let Some(why) = why.or(library) {
                push("name", format!(": {why}: {fix}"));
            }
        }
    }
    let kinds = manifest.lib.as_ref().map(|lib| lib.crate_type.as_slice()).unwrap_or_default();
    if !kinds.iter().any(|kind| kind == "cdylib") {
        push("crate-type", ": a plugin must be a cdylib; write `crate-type = [\"cdylib\"]` under `[lib]`".to_owned());
    }
    let sdk = |(key, value): (&String, &toml::Value)| package_of(key, value, workspace) == host.sdk;
    if !manifest.tables.dependencies.iter().any(sdk) {
        push(
            "sdk",
            format!(
                ": a plugin must depend on the SDK; write `{} = {{ workspace = true }}` under `[dependencies]`",
                host.sdk
            ),
        );
    }
}

/// The package of a dependency: `package = "..."` may set it here or in the workspace's table.
fn package_of<'a>(key: &'a str, value: &'a toml::Value, workspace: &'a Workspace) -> &'a str {
    let named = |value: &'a toml::Value| value.get("package").and_then(toml::Value::as_str);
    let inherited = value.get("workspace").is_some().then(|| workspace.dependencies.get(key)).flatten();
    named(value).or_else(|| inherited.and_then(named)).unwrap_or(key)
}

impl Manifest {
    fn tables(&self) -> Vec<&DependencyTables> {
        std::iter::once(&self.tables).chain(self.target.values()).collect()
    }

    /// Cargo names a library after its package, with `_` in place of `-`, unless the manifest sets another name.
    fn library(&self) -> Option<String> {
        let own = self.lib.as_ref().and_then(|lib| lib.name.clone());
        own.or_else(|| self.package.as_ref().map(|package| name::library(&package.name)))
    }
}
