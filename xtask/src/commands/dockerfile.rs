//! `cargo xtask dockerfile`: the image for builders that have no xtask.

use anyhow::Result;
use clap::Args;

use crate::commands::options::PlanOptions;
use crate::pipeline::dockerfile::dockerfile;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
#[command(after_help = "Example:
  cargo xtask dockerfile > provost.Dockerfile
  docker build --file provost.Dockerfile --tag provost .")]
pub struct DockerfileArgs {
    #[command(flatten)]
    plan: PlanOptions,
}

impl DockerfileArgs {
    /// Prints the Dockerfile.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        self.plan.no_platform("a Dockerfile is for the platform of the machine that builds it")?;
        let (text, _) = dockerfile(&Session::open(ui, paths)?, &self.plan.request(false, None)?)?;
        ui::result(text.trim_end())
    }
}
