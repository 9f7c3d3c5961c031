//! Compiles the host, the SDK and all plugins in one cargo invocation, and collects the result in the dist folder.

pub mod assets;
mod cache;
pub mod cargo;
mod container;
mod dist;
mod failure;
pub mod libraries;
pub mod machine;
mod vendor;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::compile::assets::Asset;
use crate::compile::container::Container;
use crate::compile::libraries::Libraries;
use crate::compile::machine::{Local, Machine};
use crate::environment::engine::Engine;
use crate::plan::BuildPlan;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::{Ui, count};

/// The built files.
#[derive(Deserialize, Serialize)]
pub struct Dist {
    /// Of the host, the SDK, std and every plugin, in this order, plugins as in the plan.
    pub files: Vec<DistFile>,
    /// By plugin and path.
    pub assets: Vec<Asset>,
    pub libraries: Libraries,
}

#[derive(Deserialize, Serialize)]
pub struct DistFile {
    /// Beside the host, in the image too.
    pub name: String,
    pub path: Utf8PathBuf,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum Part {
    Host,
    Sdk,
    /// Where the toolchain has it as a shared library.
    Std,
    Plugin,
}

/// The host's and every plugin's files, checked: nothing is left in the dist folder when one of them is wrong.
pub fn build(ui: &Ui, paths: &Paths, plan: &BuildPlan) -> Result<Dist> {
    let plugins = count(plan.plugins.len(), "plugin");
    let channel = &plan.toolchain.channel;
    match &plan.engine {
        Engine::Local => {
            ui.status("Compiling", format!("host, SDK and {plugins} with this machine's Rust {channel} (local)"));
            if !plan.isolated {
                return compile(ui, paths, plan, &Local::new(ui, paths.cargo_target(), paths, &plan.toolchain)?);
            }
            let target = paths.isolated_target();
            // Of a run that was killed.
            files::remove(&target)?;
            let dist = Local::new(ui, target.clone(), paths, &plan.toolchain)
                .and_then(|machine| compile(ui, paths, plan, &machine));
            files::remove(&target)?;
            dist
        }
        Engine::Container(builder) => {
            let key = cache::key(paths, plan, builder)?;
            if let Some(dist) = cache::recall(paths, &key) {
                ui.status("Fresh", format!("host, SDK and {plugins}: nothing that is compiled has changed"));
                return Ok(dist);
            }
            let (reference, runtime) = (&builder.reference, &builder.runtime);
            ui.status("Compiling", format!("host, SDK and {plugins} in {reference} ({runtime}, no network)"));
            let container = Container::start(ui, paths, builder, plan)?;
            let dist = compile(ui, paths, plan, &container)?;
            cache::keep(paths, &key, &dist)?;
            Ok(dist)
        }
    }
}

fn compile(ui: &Ui, paths: &Paths, plan: &BuildPlan, machine: &dyn Machine) -> Result<Dist> {
    let artifacts = cargo::build(ui, paths, plan, machine)?;
    dist::collect(paths, plan, machine, &artifacts)
}
