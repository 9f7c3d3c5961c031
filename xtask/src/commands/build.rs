//! `cargo xtask build`: the dist directory, and no image.

use anyhow::Result;
use clap::Args;

use crate::pipeline;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct BuildArgs {
    /// Fail if Cargo.lock has to change
    #[arg(long)]
    pub locked: bool,
}

impl BuildArgs {
    /// Prints the dist directory's path.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        pipeline::build(&Session::open(ui, paths)?, self.locked)?;
        ui::result(paths.dist().as_str())
    }
}
