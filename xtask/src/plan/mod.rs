//! Everything that is decided before anything runs: pure data, sorted, printable. Making a plan reads the tree, syncs
//! the copy of the sources and resolves dependencies in it; it compiles nothing and writes nothing outside of the target
//! folder.

mod ask;
mod changes;
#[cfg(test)]
pub mod example;
pub mod forecast;
mod image;
pub mod inputs;
pub mod last_image;
mod layers;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::{Metadata, Package, PackageId, TargetKind};
use serde::Serialize;

use crate::cargo::flags;
use crate::cargo::lockfile::{self, Change, Lock};
use crate::cargo::resolution::{Reach, Resolution};
use crate::cargo::toolchain::{self, Toolchain};
use crate::environment::engine::Engine;
pub use crate::plan::image::ImagePlan;
use crate::source::assets::Shipped;
use crate::source::copy;
use crate::source::left_out::{self, LeftOut};
pub use crate::source::manifest::HostSpec;
use crate::source::manifest::{self, About, Workspace};
use crate::source::plugins::{self, Discovered, Found};
use crate::source::revision::{self, Origin};
use crate::support::faults::Faults;
use crate::support::paths::Paths;
use crate::support::ui::{Ui, count};
use crate::support::{files, variables};

/// What is compiled, by what, and whether the tree's `Cargo.lock` follows.
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
    pub engine: Engine,
    pub toolchain: Toolchain,
    /// Flags for rustc.
    #[serde(skip)]
    pub rustflags: Vec<String>,
    /// How many layers lie below.
    #[serde(skip)]
    pub base_layers: usize,
    /// Whether it is compiled from nothing, where no earlier build has been.
    pub isolated: bool,
    /// What resolving changes in `Cargo.lock`.
    pub lock_changes: Vec<Change>,
    /// The lock as it has to be, if that is not how it is.
    #[serde(skip)]
    lock: Option<String>,
    /// What is linked.
    #[serde(skip)]
    pub resolution: Resolution,
    /// What of the tree is not in the copy that is compiled.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// What git says of the copy.
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
    pub shipped: Shipped,
}

/// What the tree says, read and free of faults, before anything is asked or started.
pub struct Tree {
    pub workspace: Workspace,
    pub discovered: Discovered,
}

impl Tree {
    pub fn read(paths: &Paths) -> Result<Tree> {
        let workspace = manifest::read(&paths.root)?;
        let discovered = plugins::discover(paths, &workspace, &[])?;
        Ok(Tree { workspace, discovered })
    }

    /// With the plugins that only tests have.
    pub fn read_for_tests(paths: &Paths) -> Result<Tree> {
        let workspace = manifest::read(&paths.root)?;
        let discovered = plugins::discover(paths, &workspace, &workspace.image().test_plugins)?;
        Ok(Tree { workspace, discovered })
    }
}

impl BuildPlan {
    pub fn make(
        ui: &Ui,
        paths: &Paths,
        tree: &Tree,
        locked: bool,
        engine: Engine,
        toolchain: Toolchain,
    ) -> Result<BuildPlan> {
        let Tree { workspace, discovered } = tree;
        if matches!(engine, Engine::Local) {
            variables::check_settings(paths, &toolchain::cargo_home()?)?;
        }
        let host = workspace.image().clone();
        let lacking = copy::sync(paths, workspace, discovered)?;
        left_out::announce(ui, &lacking);
        let origin = revision::ask(ui, paths, &lacking)?;
        let metadata = ask::members(ui, paths)?;
        let package = |name: &str| {
            let members = metadata.workspace_packages();
            let found = members.into_iter().find(|package| package.name == name);
            found.cloned().with_context(|| format!("the package `{name}` is no member of the workspace in Cargo.toml"))
        };
        let host_package = package(&host.package)?;
        check_programs(&metadata, &host, discovered)?;
        let plugins = discovered.packages.iter().map(|(name, found)| Ok(Plugin::new(package(name)?, found)));
        let mut plan = BuildPlan {
            host_version: host_package.version.to_string(),
            about: About::of(&host_package),
            host_id: host_package.id,
            sdk_id: package(&host.sdk)?.id,
            plugins: plugins.collect::<Result<_>>()?,
            host,
            engine,
            rustflags: flags::rustflags(ui, paths, &toolchain)?,
            toolchain,
            base_layers: 0,
            isolated: false,
            lock_changes: Vec::new(),
            lock: None,
            resolution: Resolution::default(),
            left_out: lacking,
            origin,
        };
        plan.resolve(ui, paths, locked)?;
        plan.resolution = plan.crates(ui, paths, Reach::Linked)?;
        if let Engine::Container(_) = plan.engine {
            plan.check_sources(paths)?;
        }
        Ok(plan)
    }

    /// Resolves in the copy, whose lock cargo may change; the tree's is compared with it.
    fn resolve(&mut self, ui: &Ui, paths: &Paths, locked: bool) -> Result<()> {
        let stamp = paths.image.join("resolved");
        let key = copy::manifests_digest(&paths.sources())?;
        if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == key) {
            return Ok(());
        }
        ui.status("Resolving", format!("dependencies of the host and {}", count(self.plugins.len(), "plugin")));
        let target = self.toolchain.target.clone();
        let fetch = toolchain::cargo(&paths.root, ["fetch", "--quiet", "--target", &target])?.folder(paths.sources());
        ask::cargo(ui, paths, &fetch, "resolving the dependencies")?;
        let before = std::fs::read_to_string(paths.root.join("Cargo.lock")).unwrap_or_default();
        let after = files::read_text(&paths.sources().join("Cargo.lock"))?;
        if before == after {
            let key = copy::manifests_digest(&paths.sources())?;
            return files::write_atomically(&stamp, |out| Ok(out.write_all(key.as_bytes())?));
        }
        let plugins: Vec<&str> = self.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
        self.lock_changes = lockfile::changes(&Lock::parse(&before)?, &Lock::parse(&after)?, &plugins);
        if locked {
            let changes: Vec<String> = self.lock_changes.iter().map(|change| format!("\n  - {change}")).collect();
            bail!(
                "Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit \
                 Cargo.lock{}",
                changes.concat()
            );
        }
        self.lock = Some(after);
        self.origin.is_not_committed();
        Ok(())
    }

    /// A container gets the crates in one folder, which holds a crate of one version once: also of those that only tests or
    /// other targets need.
    fn check_sources(&self, paths: &Paths) -> Result<()> {
        let lock = Lock::parse(&files::read_text(&paths.sources().join("Cargo.lock"))?)?;
        let members = [&self.host.package, &self.host.sdk].into_iter();
        let members: Vec<&str> =
            members.chain(self.plugins.iter().map(|plugin| &plugin.name)).map(String::as_str).collect();
        let mut faults = Faults::default();
        for twice in lock.twice(&members) {
            faults.push(format!(
                "{twice}: let all take it from one, by a `[patch]` in Cargo.toml as a rule; only --engine local can compile both"
            ));
        }
        faults.report("what goes to a container")
    }

    /// Says what changes in `Cargo.lock`.
    pub fn announce_lock(&self, ui: &Ui, paths: &Paths) {
        if self.lock.is_some() && !paths.root.join("Cargo.lock").exists() {
            ui.status("Creating", format!("Cargo.lock with {}", count(self.lock_changes.len(), "package")));
            return;
        }
        for change in &self.lock_changes {
            ui.status("Locking", change);
        }
    }

    /// Makes the tree's `Cargo.lock` what was resolved, once it is known that it builds.
    pub fn update_lock(&self, paths: &Paths) -> Result<()> {
        let Some(lock) = &self.lock else { return Ok(()) };
        files::write_atomically(&paths.root.join("Cargo.lock"), |out| Ok(out.write_all(lock.as_bytes())?))
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

/// The host's program is the one that is named as its package is, and cargo writes all programs into one folder.
fn check_programs(metadata: &Metadata, host: &HostSpec, discovered: &Discovered) -> Result<()> {
    let mut faults = Faults::default();
    for package in metadata.workspace_packages() {
        let programs = package.targets.iter().filter(|target| target.kind.contains(&TargetKind::Bin));
        let names: Vec<&str> = programs.map(|target| target.name.as_str()).collect();
        let is_there = names.contains(&host.package.as_str());
        if package.name == host.package && !is_there {
            faults.push(format!(
                "the host's package has no program `{0}`, which the image starts; it has {1}: name one `{0}`",
                host.package,
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            ));
        }
        let plugin = discovered.packages.get(package.name.as_str());
        if let Some(Found { folder, .. }) = plugin.filter(|_| is_there) {
            faults.push(format!(
                "{folder}: its program `{}` has the name of the host's, and cargo writes both to one file: rename it",
                host.package
            ));
        }
    }
    faults.report("the programs")
}

impl Plugin {
    fn new(package: Package, found: &Found) -> Plugin {
        let (name, version) = (package.name.to_string(), package.version.to_string());
        Plugin { name, version, path: found.folder.clone(), id: package.id, shipped: found.shipped.clone() }
    }
}
