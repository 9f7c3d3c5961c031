//! `cargo xtask update`: plugins that were added are fetched again from where they came from.

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::commands::add::keep;
use crate::outside::{self, Wanted};
use crate::source::added::{Added, Sources};
use crate::source::manifest;
use crate::source::outside::OutsideSource;
use crate::source::plugins;
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

#[derive(Args)]
pub struct UpdateArgs {
    /// Name of a plugin [default: all that were added]
    name: Option<String>,

    /// Replace a plugin even if it was edited since
    #[arg(long)]
    force: bool,
}

impl UpdateArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let names = match &self.name {
            Some(name) => vec![name.clone()],
            None => Sources::read(paths)?.names(paths),
        };
        ensure!(!names.is_empty(), "no plugin was added by `cargo xtask add`; there is nothing to update");
        let mut errors = Errors::default();
        for name in &names {
            if let Err(error) = self.update(&session, name) {
                errors.push(format!("{error:#}"));
            }
        }
        errors.report("plugins/")
    }

    fn update(&self, session: &Session, name: &str) -> Result<()> {
        let (paths, dir) = (&session.paths, plugins::dir_of(name));
        let Some(Added { record, edited }) = Sources::read(paths)?.find(paths, name)? else {
            bail!("{dir} was not added by `cargo xtask add`");
        };
        if edited && !self.force {
            bail!("{dir} was edited since it was added: move your edits away, or replace it with --force");
        }
        let source = OutsideSource::parse_in(&paths.root, &record.source);
        let source = source.map_err(|error| anyhow::anyhow!("{dir} came from {}: {error}", record.source))?;
        let workspace = manifest::read(&paths.root)?;
        let outside = outside::bring(session, &workspace, &source, Wanted::Newest)?;
        ensure!(
            outside.name == name,
            "{} has the plugin `{}` now: add it, and remove {dir}",
            record.source,
            outside.name
        );
        if outside.origin.content == record.content && !edited {
            session.ui.status("Unchanged", format!("{dir} from {}", record.source));
            return Ok(());
        }
        let record = keep(session, outside, true)?;
        session.ui.status("Updated", format!("{dir} from {}", record.source));
        Ok(())
    }
}
