//! `cargo xtask run`: build, then start the host here, with every plugin and the development configuration.

use anyhow::Result;
use clap::Args;

use crate::commands::build::BuildArgs;
use crate::pipeline;
use crate::support::command::Invocation;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    build: BuildArgs,

    /// Arguments for the host
    #[arg(last = true)]
    host_args: Vec<String>,
}

impl RunArgs {
    /// Replaces this process by the host: signals and the exit code are the host's.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let plan = pipeline::build(&session, &self.build.request())?;
        drop(session);
        let dist = paths.dist();
        let mut args = vec![plan.host.config_flag.clone(), plan.host.development_config.to_string()];
        for plugin in &plan.plugins {
            args.extend([plan.host.plugin_flag.clone(), dist.join(plan.file_name(plugin)).to_string()]);
        }
        args.extend(self.host_args.iter().cloned());
        let host = Invocation::new(dist.join(&plan.host.package).as_str(), args).dir(&paths.root);
        ui.status("Running", format!("{} with {}", plan.host.package, plan.host.development_config));
        host.replace_this_process(ui)
    }
}
