//! `cargo xtask build`: the dist directory, and no image.

use anyhow::Result;
use clap::Args;

use crate::commands::options::PluginArgs;
use crate::pipeline;
use crate::pipeline::request::BuildRequest;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct BuildArgs {
    #[command(flatten)]
    plugins: PluginArgs,

    /// Fail if Cargo.lock has to change
    #[arg(long)]
    locked: bool,
}

impl BuildArgs {
    pub fn request(&self, quick: bool) -> BuildRequest {
        BuildRequest { quick, selection: self.plugins.selection(), locked: self.locked }
    }

    /// Prints the dist directory's path.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        pipeline::build(&Session::open(ui, paths)?, &self.request(false))?;
        ui::result(paths.dist().as_str())
    }
}
