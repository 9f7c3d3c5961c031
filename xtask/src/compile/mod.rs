//! Compiles the host, the SDK and all plugins in one cargo invocation, and collects the result in the dist directory.

pub mod assets;
pub mod auditable;
pub mod cache;
pub mod cargo;
mod container;
mod dist;
pub mod failure;
pub mod libraries;
pub mod machine;
pub mod restore;
pub mod schemas;
mod surroundings;
pub mod tools;
mod vendor;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::compile::assets::Asset;
use crate::compile::cargo::Built;
use crate::compile::container::Container;
use crate::compile::libraries::Libraries;
use crate::compile::machine::{Local, Machine};
use crate::compile::surroundings::Outside;
use crate::environment::options::BuildEnvironment;
use crate::plan::BuildPlan;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::count;

/// The built files.
#[derive(Deserialize, Serialize)]
pub struct Dist {
    pub host: DistFile,
    pub sdk: DistFile,
    /// Where the toolchain has it as a shared library, and a built file needs it.
    pub std: Option<DistFile>,
    /// In the plan's order.
    pub plugins: Vec<BuiltPlugin>,
    pub libraries: Libraries,
}

#[derive(Deserialize, Serialize)]
pub struct DistFile {
    /// Beside the host, in the image too.
    pub name: String,
    pub path: Utf8PathBuf,
}

/// A plugin that was compiled.
#[derive(Deserialize, Serialize)]
pub struct BuiltPlugin {
    pub name: String,
    pub version: String,
    /// Where the tree has it, relative to the root.
    pub source: Utf8PathBuf,
    pub file: DistFile,
    /// What it ships, by path; then its libraries and its schema.
    pub assets: Vec<Asset>,
}

impl Dist {
    /// What was compiled here, and carries an ABI record: all but std.
    pub fn compiled(&self) -> impl Iterator<Item = &DistFile> {
        [&self.host, &self.sdk].into_iter().chain(self.plugins.iter().map(|plugin| &plugin.file))
    }

    pub fn files(&self) -> impl Iterator<Item = &DistFile> {
        self.compiled().chain(&self.std)
    }

    /// Libraries that plugins bring along. They lie beside the host, all other assets in directories.
    pub fn shipped_libraries(&self) -> impl Iterator<Item = &Asset> {
        self.plugins.iter().flat_map(|plugin| &plugin.assets).filter(|asset| asset.name.components().count() == 1)
    }

    /// Where every file of it can be read.
    pub fn paths_mut(&mut self) -> Vec<&mut Utf8PathBuf> {
        let Dist { host, sdk, std, plugins, libraries } = self;
        let mut paths = vec![&mut host.path, &mut sdk.path];
        paths.extend(std.iter_mut().map(|file| &mut file.path));
        for BuiltPlugin { file, assets, .. } in plugins {
            paths.push(&mut file.path);
            paths.extend(assets.iter_mut().map(|asset| &mut asset.path));
        }
        paths.push(&mut libraries.interpreter.path);
        paths.extend(libraries.shared.values_mut().map(|library| &mut library.path));
        paths
    }

    fn compiled_mut(&mut self) -> impl Iterator<Item = &mut DistFile> {
        [&mut self.host, &mut self.sdk].into_iter().chain(self.plugins.iter_mut().map(|plugin| &mut plugin.file))
    }
}

/// The host's and every plugin's files, checked: nothing is left in the dist directory when one of them is wrong.
pub fn build(session: &Session, plan: &BuildPlan) -> Result<Dist> {
    let Session { ui, paths, .. } = session;
    let plugins = count(plan.plugins.len(), "plugin");
    let key = cache::key(paths, plan)?;
    if let Some(dist) = cache::recall(paths, &key) {
        ui.status("Fresh", format!("host, SDK and {plugins}: no source has changed"));
        return Ok(dist);
    }
    let (dist, outside) = match &plan.environment {
        BuildEnvironment::Local => {
            let channel = &plan.toolchain.channel;
            ui.status("Compiling", format!("host, SDK and {plugins} with this machine's Rust {channel} (local)"));
            locally(session, plan)?
        }
        BuildEnvironment::Container(builder) => {
            let (reference, engine) = (&builder.reference, &builder.engine);
            ui.status("Compiling", format!("host, SDK and {plugins} in {reference} ({engine}, no network)"));
            let container = Container::start(session, builder, plan)?;
            (compile(session, plan, &container)?.0, Some(Outside::new()))
        }
    };
    if let Some(outside) = outside {
        cache::keep(paths, &key, &dist, &outside)?;
    }
    Ok(dist)
}

/// Also says what was read outside of the sources, if that is known.
fn locally(session: &Session, plan: &BuildPlan) -> Result<(Dist, Option<Outside>)> {
    let paths = &session.paths;
    let target = if plan.isolated { paths.isolated_target() } else { paths.cargo_target() };
    let build = || {
        let machine = Local::new(session, target.clone(), &plan.toolchain)?;
        let (dist, built) = compile(session, plan, &machine)?;
        Ok((dist, surroundings::outside(&built, machine.dirs())))
    };
    if !plan.isolated {
        return build();
    }
    // Of a run that was killed.
    files::remove(&target)?;
    let made = build();
    files::remove(&target)?;
    made
}

fn compile(session: &Session, plan: &BuildPlan, machine: &dyn Machine) -> Result<(Dist, Built)> {
    let Session { paths, .. } = session;
    let built = cargo::build(session, plan, machine)?;
    Ok((dist::collect(paths, plan, machine, &built)?, built))
}
