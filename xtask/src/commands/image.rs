//! `cargo xtask image`: makes an image, verifies it, and publishes it.

use anyhow::Result;
use clap::Args;

use crate::commands::Format;
use crate::commands::options::PlanOptions;
use crate::pipeline;
use crate::pipeline::registry_cache::RegistryCache;
use crate::pipeline::request::ImageRequest;
use crate::publish::output::Output;
use crate::support::command;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct ImageArgs {
    #[command(flatten)]
    plan: PlanOptions,

    /// Also write the image to this archive, or to an OCI layout with `oci:DIR`; can be repeated
    #[arg(long, value_name = "FILE")]
    output: Vec<Output>,

    /// Push the image to a registry under this name; a missing container engine is then an error
    #[arg(long, value_name = "NAME:TAG")]
    push: Option<String>,

    /// Sign what is pushed, its SBOM and its provenance with cosign, which is configured by its own variables (COSIGN_KEY)
    #[arg(long, requires = "push")]
    sign: bool,

    /// Take what was compiled from this registry, if it was compiled from the same; can be repeated
    #[arg(long, value_name = "NAME:TAG")]
    cache_from: Vec<String>,

    /// Keep what was compiled in this registry; can be repeated
    #[arg(long, value_name = "NAME:TAG")]
    cache_to: Vec<String>,

    /// Print the digest of the manifest, or a report as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Do not start the image to check that it loads every plugin
    #[arg(long)]
    no_verify: bool,

    /// Build once more from scratch, in another directory, and fail if the image differs
    #[arg(long)]
    verify_reproducible: bool,
}

impl ImageArgs {
    pub fn run(self, ui: &Ui, paths: &Paths) -> Result<()> {
        // Others use what goes to a registry.
        let strict = self.push.is_some() || !self.cache_to.is_empty() || command::is_ci();
        let request = ImageRequest {
            plan: self.plan.request(strict)?,
            outputs: self.output,
            push: self.push,
            sign: self.sign,
            cache: RegistryCache::parse(&self.cache_from, &self.cache_to)?,
            verify: !self.no_verify,
            verify_reproducible: self.verify_reproducible,
        };
        let report = pipeline::image(&Session::open(ui, paths)?, &request)?;
        match self.format {
            Format::Human => ui::result(&report.manifest_digest.to_string()),
            Format::Json => ui::result(&serde_json::to_string_pretty(&report)?),
        }
    }
}
