//! `cargo xtask add`: a plugin from outside becomes one of the tree's.

use anyhow::{Result, bail};
use clap::Args;

use crate::outside::{self, Wanted};
use crate::source::added::{Added, Sources};
use crate::source::checkout::Checkout;
use crate::source::manifest;
use crate::source::outside::{Outside, OutsideSource, PluginOrigin};
use crate::source::plugins;
use crate::source::selection::Selection;
use crate::support::paths::{self, Paths};
use crate::support::session::Session;
use crate::support::ui::Ui;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask add ../weather                                   a directory
  cargo xtask add weather.rs                                   a file, with its dependencies in cargo's frontmatter
  cargo xtask add weather-1.2.0.tar.gz                         an archive
  cargo xtask add https://example.org/weather.git --rev v1.2   a git repository
  cargo xtask add weather@1.2.0                                a crate of crates.io")]
pub struct AddArgs {
    /// A directory, a file of Rust, an archive, a git repository, or a crate as NAME@VERSION
    source: String,

    /// Branch, tag or commit of a git repository
    #[arg(long, value_name = "REVISION")]
    rev: Option<String>,

    /// Replace a plugin that is there
    #[arg(long)]
    force: bool,
}

impl AddArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let workspace = manifest::read(&paths.root)?;
        let source = match &self.rev {
            Some(revision) => OutsideSource::Git { url: self.source.clone(), revision: revision.clone() },
            None => self.source.parse().map_err(|error| anyhow::anyhow!("{}: {error}", self.source))?,
        };
        let outside = outside::bring(&session, &workspace, &source, Wanted::Exactly)?;
        let dir = plugins::dir_of(&outside.name);
        let there = paths.root.join(&dir).exists();
        if there && !self.force {
            bail!(
                "{dir} exists already; replace it with --force, or build with this one once by `--with {}`",
                self.source
            );
        }
        let record = keep(&session, outside, there)?;
        ui.status(if there { "Replaced" } else { "Added" }, format!("{dir} from {}", record.source));
        Ok(())
    }
}

/// Checks the plugin together with the others, and puts it into the tree.
pub fn keep(session: &Session, outside: Outside, replaces: bool) -> Result<PluginOrigin> {
    let (paths, name) = (&session.paths, outside.name.clone());
    let from = outside.root.join(plugins::dir_of(&name));
    let record = PluginOrigin { source: relative(paths, &outside.origin.source), ..outside.origin.clone() };
    let without = if replaces { vec![name.clone()] } else { Vec::new() };
    let selection = Selection { without, ..Selection::default() };
    Checkout::read(paths, manifest::read(&paths.root)?, &selection, vec![outside], true)?;
    let sources = Sources::read(paths)?;
    if let Some(Added { edited: true, .. }) = sources.find(paths, &name)? {
        session.ui.status("Discarding", format!("the edits in {}", plugins::dir_of(&name)));
    }
    sources.put(paths, &name, &from, record.clone())?;
    Ok(record)
}

/// A path of this machine as it is seen from the root; anything else as it is.
fn relative(paths: &Paths, source: &str) -> String {
    match camino::Utf8Path::new(source).canonicalize_utf8() {
        Ok(path) => paths::from(&paths.root, &path).to_string(),
        Err(_) => source.to_owned(),
    }
}
