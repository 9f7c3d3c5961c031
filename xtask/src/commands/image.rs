//! `cargo xtask image`: makes an image, verifies it, and publishes it.

use anyhow::{Result, ensure};
use clap::Args;

use crate::commands::Format;
use crate::commands::options::PlanOptions;
use crate::environment::options::EnvironmentChoice;
use crate::pipeline;
use crate::pipeline::buildx::{self, BuildxRequest};
use crate::pipeline::platforms::{self, PlatformsRequest};
use crate::pipeline::registry_cache::RegistryCache;
use crate::pipeline::request::ImageRequest;
use crate::publish::output::Output;
use crate::source::matrix::Platform;
use crate::support::command;
use crate::support::errors::Errors;
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

    /// With `--engine buildx`: the builder, as `docker buildx ls` names it [default: the current one]
    #[arg(long, value_name = "NAME")]
    builder: Option<String>,

    /// Do not start the image to check that it loads every plugin
    #[arg(long)]
    no_verify: bool,

    /// Build once more from scratch, in another directory, and fail if the image differs
    #[arg(long)]
    verify_reproducible: bool,
}

impl ImageArgs {
    pub fn run(self, ui: &Ui, paths: &Paths) -> Result<()> {
        if self.plan.choice() == EnvironmentChoice::Buildx {
            return self.by_buildx(ui, paths);
        }
        ensure!(self.builder.is_none(), "--builder is for --engine buildx");
        // Others use what goes to a registry.
        let strict = self.push.is_some() || !self.cache_to.is_empty() || command::is_ci();
        let platforms = self.plan.platforms();
        let plan = |platform: &Platform| Ok((platform.clone(), self.plan.request(strict, Some(platform))?));
        let plans: Vec<_> = platforms.iter().map(plan).collect::<Result<_>>()?;
        let request = ImageRequest {
            plan: self.plan.request(strict, platforms.first())?,
            outputs: self.output,
            push: self.push,
            sign: self.sign,
            cache: RegistryCache::parse(&self.cache_from, &self.cache_to)?,
            load: true,
            verify: !self.no_verify,
            verify_reproducible: self.verify_reproducible,
        };
        let session = Session::open(ui, paths)?;
        if plans.len() > 1 {
            let report = platforms::images(&session, PlatformsRequest { plans, image: request })?;
            return match self.format {
                Format::Human => ui::result(&report.index_digest.to_string()),
                Format::Json => ui::result(&serde_json::to_string_pretty(&report)?),
            };
        }
        let report = pipeline::image(&session, &request)?;
        match self.format {
            Format::Human => ui::result(&report.manifest_digest.to_string()),
            Format::Json => ui::result(&serde_json::to_string_pretty(&report)?),
        }
    }

    /// Prints the digest of the image, or a report as JSON.
    fn by_buildx(self, ui: &Ui, paths: &Paths) -> Result<()> {
        let others = [
            ("--output", !self.output.is_empty()),
            ("--cache-from", !self.cache_from.is_empty()),
            ("--cache-to", !self.cache_to.is_empty()),
            ("--no-verify", self.no_verify),
            ("--verify-reproducible", self.verify_reproducible),
        ];
        let mut errors = Errors::default();
        for (option, _) in others.into_iter().filter(|(_, is_given)| *is_given) {
            errors.push(format!(
                "{option}: with --engine buildx the image goes from its Dockerfile to docker and to --push"
            ));
        }
        errors.report("the options")?;
        self.plan.no_platform("with --engine buildx it is the platform of the builder")?;
        let request = BuildxRequest {
            plan: self.plan.request(false, None)?,
            builder: self.builder,
            push: self.push,
            sign: self.sign,
        };
        let report = buildx::image(&Session::open(ui, paths)?, &request)?;
        match self.format {
            Format::Human => {
                ui::result(&report.pushed.as_ref().map_or(&report.digest, |pushed| &pushed.digest).clone())
            }
            Format::Json => ui::result(&serde_json::to_string_pretty(&report)?),
        }
    }
}
