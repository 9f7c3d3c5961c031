//! `cargo xtask index`: joins images of several platforms, which were built on several machines.

use anyhow::Result;
use camino::Utf8PathBuf;
use clap::Args;

use crate::oci::reference;
use crate::publish::index::Index;
use crate::publish::output::{self, Output};
use crate::publish::sign;
use crate::source::manifest;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
#[command(after_help = "Example:
  cargo xtask image --output oci:image              # on a machine of each platform
  cargo xtask index amd64/image arm64/image --push ghcr.io/you/provost:1.0")]
pub struct IndexArgs {
    /// OCI layouts that `cargo xtask image --output oci:DIR` wrote
    #[arg(required = true, value_name = "DIR")]
    layouts: Vec<Utf8PathBuf>,

    /// Push the index with its images to a registry under this name
    #[arg(long, value_name = "NAME:TAG")]
    push: Option<String>,

    /// Sign the index and its images with cosign, which is configured by its own variables (COSIGN_KEY)
    #[arg(long, requires = "push")]
    sign: bool,

    /// Write the index with its images to this OCI layout; can be repeated
    #[arg(long, value_name = "oci:DIR")]
    output: Vec<Output>,
}

impl IndexArgs {
    /// Prints the digest of the index.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        output::check_layouts(&self.output)?;
        let push = self.push.as_deref().map(|name| reference::in_registry("--push", name)).transpose()?;
        if self.sign {
            sign::check(ui)?;
        }
        let layouts: Vec<Utf8PathBuf> =
            self.layouts.iter().map(|dir| dir.as_str().strip_prefix("oci:").unwrap_or(dir.as_str()).into()).collect();
        let index = Index::join(&layouts)?;
        for (platform, digest) in index.platforms() {
            ui.status("Joining", format!("{platform} {digest}"));
        }
        let name = match &push {
            Some(reference) => reference.clone(),
            None => reference::parse(&manifest::read(&paths.root)?.image().name)?,
        };
        for output in &self.output {
            let verb = if index.write(output.path(), &name)? { "Written" } else { "Unchanged" };
            ui.status(verb, paths.relative(output.path()));
        }
        if let Some(reference) = &push {
            index.deliver(&Session::open(ui, paths)?, reference, self.sign)?;
        }
        ui::result(&index.digest().to_string())
    }
}
