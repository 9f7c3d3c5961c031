//! `cargo xtask run`: build, then start the host here, with every plugin and the development configuration.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::build::BuildArgs;
use crate::pipeline;
use crate::plan::BuildPlan;
use crate::source::watch;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::paths::{self, Paths};
use crate::support::session::Session;
use crate::support::ui::Ui;

/// How long the host may take to end.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    build: BuildArgs,

    /// Compile as for the image; without it, compiling is quicker and the host slower
    #[arg(long)]
    release: bool,

    /// Build again and restart the host whenever a file of the tree changes
    #[arg(long)]
    watch: bool,

    /// Arguments for the host
    #[arg(last = true)]
    host_args: Vec<String>,
}

impl RunArgs {
    /// Replaces this process by the host: signals and the exit code are the host's.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let paths = if self.release { paths.clone() } else { paths.for_runs() };
        if self.watch {
            return self.watch(ui, &paths);
        }
        let session = Session::open(ui, &paths)?;
        let host = self.host(&session)?;
        drop(session);
        host.replace_this_process(ui)
    }

    /// Builds the host, and says how to start it.
    fn host(&self, session: &Session) -> Result<Invocation> {
        let (ui, paths) = (&session.ui, &session.paths);
        let plan = pipeline::build(session, &self.build.request(!self.release))?;
        let dist = paths.dist();
        let config = configure(paths, &plan)?;
        let mut args = vec![plan.host.config_flag.clone(), paths.relative(&config).to_string()];
        for plugin in &plan.plugins {
            args.extend([plan.host.plugin_flag.clone(), dist.join(plan.file_name(plugin)).to_string()]);
        }
        args.extend(self.host_args.iter().cloned());
        ui.status("Running", format!("{} with {}", plan.host.package, plan.host.development_config));
        Ok(Invocation::new(dist.join(&plan.host.package).as_str(), args).dir(&paths.root))
    }

    /// Until somebody ends this process, which ends the host too: both get the terminal's signals.
    fn watch(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        loop {
            let before = watch::state(paths)?;
            // The lock is free while the host runs.
            let host = Session::open(ui, paths).and_then(|session| self.host(&session));
            let running = match host.and_then(|host| host.start(ui).context("starting the host")) {
                Ok(running) => Some(running),
                Err(error) => {
                    ui.error(format!("{error:#}").trim_end());
                    None
                }
            };
            if let Some(mut running) = running.clone() {
                thread::spawn(move || io::copy(&mut running, &mut io::stderr()));
            }
            watch::changed(paths, &before)?;
            if let Some(running) = running {
                running.end(PATIENCE)?;
            }
        }
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
