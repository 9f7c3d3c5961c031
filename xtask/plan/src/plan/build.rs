//! What is compiled, where, and what changes in `Cargo.lock`.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Metadata, Package, PackageId, TargetKind};
use serde::Serialize;

use crate::cargo::lockfile::Change;
use crate::cargo::query::Query;
use crate::cargo::resolution::Resolution;
use crate::cargo::toolchain::Toolchain;
use crate::environment::options::BuildEnvironment;
use crate::source::assets::PluginAssets;
use crate::source::checkout::Checkout;
use crate::source::left_out::LeftOut;
use crate::source::manifest::{About, HostSpec};
use crate::source::outside::PluginOrigin;
use crate::source::plugins::{Discovered, Found};
use crate::source::revision::Origin;
use crate::source::selection::Selection;
use crate::support::errors::Errors;
use crate::support::ui::count;

/// The profile of cargo that images are compiled with.
pub const IMAGE_PROFILE: &str = "release";

#[derive(Debug, Serialize)]
pub struct BuildPlan {
    #[serde(skip)]
    pub host: HostSpec,
    pub host_version: String,
    #[serde(skip)]
    pub about: About,
    #[serde(skip)]
    pub host_id: PackageId,
    #[serde(skip)]
    pub sdk_id: PackageId,
    pub plugins: Vec<Plugin>,
    #[serde(rename = "engine")]
    pub environment: BuildEnvironment,
    pub toolchain: Toolchain,
    /// Flags for rustc.
    #[serde(skip)]
    pub rustflags: Vec<String>,
    /// The profile of cargo.
    #[serde(skip)]
    pub profile: String,
    /// How many layers lie below.
    #[serde(skip)]
    pub base_layers: usize,
    /// Whether it is compiled from scratch, in a new directory or volume.
    pub isolated: bool,
    #[serde(flatten)]
    pub selection: Selection,
    /// What resolving changes in `Cargo.lock`.
    pub lock_changes: Vec<Change>,
    /// The new content of the lock file, if it has to change.
    #[serde(skip)]
    pub lock: Option<String>,
    /// What is linked.
    #[serde(skip)]
    pub resolution: Resolution,
    /// What is in the tree and not in the copy.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// What git says about the copy.
    #[serde(skip)]
    pub origin: Origin,
}

/// A crate of `plugins/`.
#[derive(Clone, Debug, Serialize)]
pub struct Plugin {
    /// The package's name is the plugin's.
    pub name: String,
    pub version: String,
    /// Relative to the root.
    pub path: Utf8PathBuf,
    #[serde(skip)]
    pub id: PackageId,
    /// Beside its code.
    #[serde(flatten)]
    pub assets: PluginAssets,
    /// Of one that is not in the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<PluginOrigin>,
}

impl BuildPlan {
    /// From cargo's metadata of the tree's own packages. Resolution and linked crates are added later.
    pub fn new(
        checkout: &Checkout,
        metadata: &Metadata,
        environment: BuildEnvironment,
        toolchain: Toolchain,
    ) -> Result<BuildPlan> {
        let Checkout { workspace, discovered, selection } = checkout;
        let host = workspace.image().clone();
        let package = |name: &str| {
            let members = metadata.workspace_packages();
            let found = members.into_iter().find(|package| package.name == name);
            found
                .cloned()
                .with_context(|| format!("the package `{name}` is not a member of the workspace in Cargo.toml"))
        };
        let host_package = package(&host.package)?;
        check_programs(metadata, &host, discovered)?;
        let plugins = discovered.packages.iter().map(|(name, found)| Ok(Plugin::new(package(name)?, found)));
        Ok(BuildPlan {
            host_version: host_package.version.to_string(),
            about: About::from_package(&host_package),
            host_id: host_package.id,
            sdk_id: package(&host.sdk)?.id,
            plugins: plugins.collect::<Result<_>>()?,
            host,
            environment,
            toolchain,
            rustflags: Vec::new(),
            profile: IMAGE_PROFILE.to_owned(),
            base_layers: 0,
            isolated: false,
            selection: selection.clone(),
            lock_changes: Vec::new(),
            lock: None,
            resolution: Resolution::default(),
            left_out: Vec::new(),
            origin: Origin::default(),
        })
    }

    /// Compiled quickly, for this machine alone.
    pub fn for_runs(mut self) -> BuildPlan {
        if let Some(profile) = &self.host.run_profile {
            self.profile.clone_from(profile);
        }
        self
    }

    /// Whether it is another set of plugins than the tree's: then the tree's `Cargo.lock` stays as it is.
    pub fn is_partial(&self) -> bool {
        !self.selection.is_everything()
    }

    /// What cargo is asked about what is built.
    pub fn query(&self) -> Query<'_> {
        let packages = self.packages().map(|id| id.repr.as_str()).collect();
        Query { target: &self.toolchain.target, rustflags: &self.rustflags, packages }
    }

    /// The packages that are built, by their ids: a dependency may have the same name and version.
    pub fn packages(&self) -> impl Iterator<Item = &PackageId> {
        [&self.host_id, &self.sdk_id].into_iter().chain(self.plugins.iter().map(|plugin| &plugin.id))
    }

    /// A plugin's file: `smtp.prov`.
    pub fn file_name(&self, plugin: &Plugin) -> String {
        format!("{}.{}", plugin.name, self.host.extension)
    }

    /// How the host is started, with every plugin.
    pub fn command(&self, config: &Utf8Path) -> Vec<String> {
        let mut command = vec![format!("./{}", self.host.package), self.host.config_flag.clone(), config.to_string()];
        for plugin in &self.plugins {
            command.extend([self.host.plugin_flag.clone(), self.file_name(plugin)]);
        }
        command
    }

    /// The `name:tag` of the image: a parsed reference, else the host's name and version.
    pub fn image_name(&self, named: Option<&str>) -> String {
        let standard = || format!("{}:{}", self.host.name, self.host_version.replace('+', "-"));
        named.map_or_else(standard, str::to_owned)
    }

    /// `provost 0.1.0 for linux/amd64: 3 plugins (file, smtp, webhook), rustc 1.95.0`
    pub fn summary(&self) -> Result<String> {
        let names: Vec<&str> = self.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        let platform = self.platform()?;
        let (host, version, channel) = (&self.host.name, &self.host_version, &self.toolchain.channel);
        let plugins = match names.as_slice() {
            [] => "no plugins".to_owned(),
            names => format!("{} ({})", count(names.len(), "plugin"), names.join(", ")),
        };
        Ok(format!("{host} {version} for {platform}: {plugins}, rustc {channel}"))
    }

    pub fn platform(&self) -> Result<String> {
        Ok(format!("linux/{}", self.toolchain.architecture()?))
    }
}

/// The host's program has the name of its package. Cargo writes all programs into one directory, so names must differ.
fn check_programs(metadata: &Metadata, host: &HostSpec, discovered: &Discovered) -> Result<()> {
    let mut errors = Errors::default();
    for package in metadata.workspace_packages() {
        let programs = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
        let names: Vec<&str> = programs.map(|target| target.name.as_str()).collect();
        let is_there = names.contains(&host.package.as_str());
        if package.name == host.package && !is_there {
            errors.push(format!(
                "the host's package has no program `{0}`, which the image starts; it has {1}; rename one to `{0}`",
                host.package,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ));
        }
        let plugin = discovered.packages.get(package.name.as_str());
        if let Some(Found { dir, .. }) = plugin.filter(|_| is_there) {
            errors.push(format!(
                "{dir}: its program `{}` has the same name as the host's, and cargo writes both to one file; rename it",
                host.package
            ));
        }
    }
    errors.report("the programs")
}

impl Plugin {
    fn new(package: Package, found: &Found) -> Plugin {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        let origin = found.outside.as_ref().map(|outside| outside.origin.clone());
        Plugin { name, version, path: found.dir.clone(), id: package.id, assets: found.assets.clone(), origin }
    }

    /// `plugins/smtp`, or where one from outside comes from.
    pub fn shown_origin(&self) -> String {
        match &self.origin {
            None => self.path.to_string(),
            Some(PluginOrigin { source, commit: Some(commit), .. }) => format!("{source} ({commit})"),
            Some(PluginOrigin { source, .. }) => source.clone(),
        }
    }
}
