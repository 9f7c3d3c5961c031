//! Compiles the host, the SDK and all plugins in one cargo invocation, and collects the result in the dist folder.

mod cargo;
mod dist;
pub mod libraries;
pub mod sources;
mod sync;

use anyhow::Result;
use camino::Utf8PathBuf;
use libraries::Libraries;

use crate::paths::Paths;
use crate::plan::BuildPlan;
use crate::ui::{Ui, count};

/// The built files.
pub struct Dist {
    /// Of the host, the SDK, std and every plugin, in this order, plugins as in the plan.
    pub files: Vec<DistFile>,
    pub libraries: Libraries,
}

pub struct DistFile {
    /// Beside the host, in the image too.
    pub name: String,
    pub path: Utf8PathBuf,
    pub part: Part,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Host,
    /// The SDK, and std where the toolchain has it as a shared library.
    Library,
    Plugin,
}

/// The host's and every plugin's files, checked: nothing is left in the dist folder when one of them is wrong.
pub fn build(ui: &Ui, paths: &Paths, plan: &BuildPlan) -> Result<Dist> {
    let plugins = count(plan.plugins.len(), "plugin");
    let channel = &plan.toolchain.channel;
    ui.status("Compiling", format!("host, SDK and {plugins} with this machine's Rust {channel} (local)"));
    let artifacts = cargo::build(ui, paths, plan)?;
    dist::collect(ui, paths, plan, &artifacts)
}
