//! `cargo xtask plan`: what `image` would do.

use anyhow::Result;
use clap::Args;

use crate::commands::Format;
use crate::commands::image::ImageArgs;
use crate::support::lock;
use crate::support::paths::Paths;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    image: ImageArgs,
}

impl PlanArgs {
    /// Prints the plan; the tree stays as it is, Cargo.lock too.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let _lock = lock::take(ui, paths)?;
        let (plan, _, _) = self.image.plan(ui, paths)?;
        match self.image.format {
            Format::Human => ui::result(plan.to_string().trim_end()),
            Format::Json => ui::result(&serde_json::to_string_pretty(&plan)?),
        }
    }
}
