//! `cargo xtask remove`: a plugin that was added goes.

use anyhow::{Result, bail, ensure};
use clap::Args;

use crate::source::added::{Added, Sources};
use crate::source::plugins;
use crate::source::selection::hint;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

#[derive(Args)]
pub struct RemoveArgs {
    /// Name of the plugin
    name: String,

    /// Remove it even if it was edited, or was not added
    #[arg(long)]
    force: bool,
}

impl RemoveArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let _session = Session::open(ui, paths)?;
        let (sources, dir) = (Sources::read(paths)?, plugins::dir_of(&self.name));
        let names = plugins::dirs(&paths.root)?.iter().filter_map(|dir| dir.file_name().map(str::to_owned)).collect();
        ensure!(paths.root.join(&dir).is_dir(), "there is no plugin `{}`; {}", self.name, hint(&self.name, &names));
        match sources.find(paths, &self.name)? {
            Some(Added { edited: false, .. }) => {}
            _ if self.force => {}
            Some(_) => bail!("{dir} was edited since it was added: move your edits away, or remove it with --force"),
            None => bail!("{dir} was not added by `cargo xtask add`: remove it by hand, or with --force"),
        }
        sources.take(paths, &self.name)?;
        ui.status("Removed", dir);
        Ok(())
    }
}
