//! `cargo xtask run`: build, then start the host here, with every plugin and the development configuration.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::build::BuildArgs;
use crate::pipeline;
use crate::plan::BuildPlan;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::paths::{self, Paths};
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
        let dist = paths.dist();
        let config = configure(paths, &plan)?;
        let mut args = vec![plan.host.config_flag.clone(), paths.relative(&config).to_string()];
        for plugin in &plan.plugins {
            args.extend([plan.host.plugin_flag.clone(), dist.join(plan.file_name(plugin)).to_string()]);
        }
        args.extend(self.host_args.iter().cloned());
        let host = Invocation::new(dist.join(&plan.host.package).as_str(), args).dir(&paths.root);
        ui.status("Running", format!("{} with {}", plan.host.package, plan.host.development_config));
        drop(session);
        host.replace_this_process(ui)
    }
}

/// Writes the development configuration, and beside it those that the plugins ship, as they are in an image.
fn configure(paths: &Paths, plan: &BuildPlan) -> Result<Utf8PathBuf> {
    let host = &plan.host;
    let own = paths.root.join(&host.development_config);
    let Some(shipped) = &host.plugin_config else { return Ok(own) };
    let dir = paths.run();
    let beside = host.config.parent().map_or_else(|| shipped.clone(), |parent| paths::from(parent, shipped));
    let config = dir.join(host.config.file_name().context("a configuration has a name")?);
    files::remove(&dir)?;
    files::create_dir(&dir.join(&beside))?;
    files::write_changed(&config, &files::read(&own)?)?;
    for plugin in &plan.plugins {
        if let Some(default) = &plugin.assets.config {
            let content = files::read(&paths.sources().join(&plugin.path).join(default))?;
            files::write_changed(&dir.join(&beside).join(format!("{}.toml", plugin.name)), &content)?;
        }
    }
    Ok(config)
}
