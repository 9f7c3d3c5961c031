//! `cargo xtask plan`: what `image` would do.

use anyhow::Result;
use clap::Args;

use crate::commands::Format;
use crate::commands::options::PlanOptions;
use crate::pipeline::prepare;
use crate::support::command;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    plan: PlanOptions,

    /// Print the plan as text or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl PlanArgs {
    /// Prints the plan; the tree stays as it is, Cargo.lock too.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let request = self.plan.request(command::is_ci())?;
        let session = Session::open(ui, paths)?;
        let plan = prepare::image(&session, &request)?.plan;
        prepare::announce_crypto(&session, &plan.build)?;
        match self.format {
            Format::Human => ui::result(plan.to_string().trim_end()),
            Format::Json => ui::result(&serde_json::to_string_pretty(&plan)?),
        }
    }
}
