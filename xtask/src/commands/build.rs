//! `cargo xtask build`: the dist directory, and no image.

use std::time::Duration;

use anyhow::{Result, ensure};
use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::options::{PULL, PluginArgs};
use crate::environment::options::{EnvironmentChoice, EnvironmentOptions};
use crate::pipeline::request::{BuildRequest, PlanRequest};
use crate::pipeline::{self, directories};
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
pub struct BuildArgs {
    #[command(flatten)]
    plugins: PluginArgs,

    /// Fail if Cargo.lock has to change
    #[arg(long)]
    locked: bool,

    /// Also write the image's layers into this new directory, each as a directory of its own: what a Dockerfile copies
    #[arg(long, value_name = "DIR", requires = "base")]
    layers: Option<Utf8PathBuf>,

    /// The base image below these layers, as for `image`
    #[arg(long, value_name = "BASE", requires = "layers")]
    base: Option<String>,

    /// Release of Rust to compile the layers with [default: the one in rust-toolchain.toml]
    #[arg(long, value_name = "RELEASE", requires = "layers")]
    toolchain: Option<String>,
}

impl BuildArgs {
    pub fn request(&self, quick: bool) -> BuildRequest {
        BuildRequest { quick, selection: self.plugins.selection(), locked: self.locked }
    }

    /// Prints the path of the dist directory, or of the layers.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let Some(dir) = &self.layers else {
            pipeline::build(&session, &self.request(false))?;
            return ui::result(paths.dist().as_str());
        };
        ensure!(!dir.exists(), "--layers {dir} exists; name a new directory, or remove it");
        let environment = EnvironmentOptions {
            choice: EnvironmentChoice::Local,
            builder_image: None,
            toolchain: self.toolchain.clone(),
            base: self.base.clone(),
            architecture: None,
            emulate: false,
            pull_timeout: Duration::from_secs(PULL),
            broken: Vec::new(),
        };
        let request = PlanRequest {
            environment,
            image: None,
            selection: self.plugins.selection(),
            locked: self.locked,
            isolated: false,
            strict: false,
            entrypoint: false,
            test_plugins: false,
        };
        directories::layers(&session, &request, dir)?;
        ui::result(dir.as_str())
    }
}
