//! `cargo xtask build`: the dist folder, and no image.

use anyhow::Result;
use clap::Args;

use crate::cargo::toolchain::Toolchain;
use crate::compile;
use crate::environment::engine::Engine;
use crate::plan::{BuildPlan, Tree};
use crate::support::lock;
use crate::support::paths::Paths;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct BuildArgs {
    /// Refuse to change Cargo.lock
    #[arg(long)]
    pub locked: bool,
}

impl BuildArgs {
    /// Prints the dist folder's path.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let _lock = lock::take(ui, paths)?;
        self.build(ui, paths)?;
        ui::result(paths.dist().as_str())
    }

    /// The caller holds the lock.
    pub fn build(&self, ui: &Ui, paths: &Paths) -> Result<BuildPlan> {
        let tree = Tree::read(paths)?;
        let toolchain = Toolchain::find(ui, &paths.root, None)?;
        let plan = BuildPlan::make(ui, paths, &tree, self.locked, Engine::Local, toolchain)?;
        ui.status("Planning", plan.summary()?);
        plan.announce_lock(ui, paths);
        compile::build(ui, paths, &plan)?;
        plan.update_lock(paths)?;
        Ok(plan)
    }
}
