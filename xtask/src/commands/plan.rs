//! `cargo xtask plan`: what `image` would do.

use anyhow::Result;
use clap::Args;

use crate::commands::Format;
use crate::commands::options::PlanOptions;
use crate::pipeline::prepare;
use crate::pipeline::registry_cache::{self, RegistryCache};
use crate::plan::ImagePlan;
use crate::source::matrix::Platform;
use crate::support::command;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct PlanArgs {
    #[command(flatten)]
    plan: PlanOptions,

    /// Say whether this registry keeps what would be compiled; can be repeated
    #[arg(long, value_name = "NAME:TAG")]
    cache_from: Vec<String>,

    /// Print the plan as text or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl PlanArgs {
    /// Prints the plan; the tree stays as it is, Cargo.lock too.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let (session, cache) = (Session::open(ui, paths)?, RegistryCache::parse(&self.cache_from, &[])?);
        let plan = |session: &Session, platform: Option<&Platform>| -> Result<ImagePlan> {
            let mut plan = prepare::image(session, &self.plan.request(command::is_ci(), platform)?)?.plan;
            plan.cache = registry_cache::look(session, &plan.build, &cache)?;
            prepare::announce_crypto(session, &plan.build)?;
            Ok(plan)
        };
        let platforms = self.plan.platforms();
        if let [] | [_] = platforms.as_slice() {
            let plan = plan(&session, platforms.first())?;
            return match self.format {
                Format::Human => ui::result(plan.to_string().trim_end()),
                Format::Json => ui::result(&serde_json::to_string_pretty(&plan)?),
            };
        }
        let of_each = |platform: &Platform| {
            plan(&session.inside(&session.paths.for_platform(&platform.architecture)), Some(platform))
        };
        let plans: Vec<ImagePlan> = platforms.iter().map(of_each).collect::<Result<_>>()?;
        match self.format {
            Format::Human => {
                ui::result(plans.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").trim_end())
            }
            Format::Json => ui::result(&serde_json::to_string_pretty(&plans)?),
        }
    }
}
