//! Options that several commands have.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Args;

use crate::environment::options::{EnvironmentChoice, EnvironmentOptions};
use crate::oci::reference;
use crate::pipeline::request::PlanRequest;
use crate::source::matrix::Platform;
use crate::source::outside::OutsideSource;
use crate::source::selection::Selection;

/// How long pulling an image may take, if nobody says otherwise: in seconds.
pub const PULL: u64 = 900;

/// Where to compile, and on which base image.
#[derive(Args)]
pub struct EnvironmentArgs {
    /// Where to compile [default: auto]
    #[arg(long, value_enum)]
    pub engine: Option<EnvironmentChoice>,

    /// Image to compile in [default: the one in docker/builder.Dockerfile]
    #[arg(long, value_name = "IMAGE")]
    builder_image: Option<String>,

    /// Release of Rust to compile with [default: the one in rust-toolchain.toml]
    #[arg(long, value_name = "RELEASE")]
    toolchain: Option<String>,

    /// Base image [default: the one in docker/deploy.Dockerfile]: an image, an OCI layout (`oci:DIR` or `oci:DIR:NAME`), a
    /// root file system (.tar, .tar.gz or .tgz), or `scratch`
    #[arg(long, value_name = "BASE")]
    pub base: Option<String>,

    /// Run a builder image of another architecture by emulation, which takes many times as long
    #[arg(long)]
    emulate: bool,

    /// Time limit for pulling an image
    #[arg(long, value_name = "SECONDS", default_value_t = PULL)]
    pull_timeout: u64,
}

impl EnvironmentArgs {
    /// For a platform of `--platform`; where there is none, for the builder's own.
    pub fn options(&self, architecture: Option<String>) -> EnvironmentOptions {
        EnvironmentOptions {
            choice: self.engine.unwrap_or(EnvironmentChoice::Auto),
            builder_image: self.builder_image.clone(),
            toolchain: self.toolchain.clone(),
            base: self.base.clone(),
            architecture,
            emulate: self.emulate,
            pull_timeout: Duration::from_secs(self.pull_timeout),
            broken: Vec::new(),
        }
    }
}

/// Which plugins are built.
#[derive(Args)]
pub struct PluginArgs {
    /// Build only these plugins, separated by commas; Cargo.lock stays as it is
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,

    /// Build without these plugins, separated by commas; Cargo.lock stays as it is
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    without: Vec<String>,

    /// Build this plugin from outside of the tree too, in this build only: a directory, or a git repository with a revision;
    /// can be repeated
    #[arg(long, value_name = "DIR|GIT@REV")]
    with: Vec<OutsideSource>,
}

impl PluginArgs {
    pub fn selection(&self) -> Selection {
        Selection { only: self.only.clone(), without: self.without.clone(), with: self.with.clone() }
    }
}

/// What decides how an image comes out.
#[derive(Args)]
pub struct PlanOptions {
    #[command(flatten)]
    environment: EnvironmentArgs,

    #[command(flatten)]
    plugins: PluginArgs,

    /// Platform of the image [default: the builder's]: linux/amd64, linux/arm64, or several, separated by commas, for an image of
    /// each and an index of all
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<Platform>,

    /// Name of the image [default: name and version of the host]
    #[arg(long, value_name = "NAME:TAG")]
    tag: Option<String>,

    /// Fail if Cargo.lock has to change
    #[arg(long)]
    locked: bool,

    /// Compile from scratch, in a new directory or volume, so that no file of an earlier build can get into the image.
    /// `--push`, `--cache-to` and CI=true imply it
    #[arg(long)]
    isolated: bool,

    /// Make the command the image's entrypoint: arguments of `docker run IMAGE` are then added to it, and do not replace it
    #[arg(long)]
    entrypoint: bool,
}

impl PlanOptions {
    pub fn choice(&self) -> EnvironmentChoice {
        self.environment.engine.unwrap_or(EnvironmentChoice::Auto)
    }

    /// The platforms that were asked for, each once.
    pub fn platforms(&self) -> Vec<Platform> {
        let all: BTreeSet<Platform> = self.platform.iter().cloned().collect();
        all.into_iter().collect()
    }

    /// # Errors
    ///
    /// If a platform was asked for.
    pub fn no_platform(&self, why: &str) -> Result<()> {
        ensure!(self.platform.is_empty(), "--platform: {why}");
        Ok(())
    }

    /// `strict`: others rely on the result. For one platform, or the builder's own.
    pub fn request(&self, strict: bool, platform: Option<&Platform>) -> Result<PlanRequest> {
        Ok(PlanRequest {
            environment: self.environment.options(platform.map(|platform| platform.architecture.clone())),
            image: self.tag.as_deref().map(reference::parse).transpose()?,
            selection: self.plugins.selection(),
            locked: self.locked,
            isolated: self.isolated || strict,
            strict,
            entrypoint: self.entrypoint,
            test_plugins: false,
        })
    }
}
