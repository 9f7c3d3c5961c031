//! buildx: docker's plugin that builds on other machines too.

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use serde_json::Value;

use crate::support::command::Invocation;
use crate::support::files;
use crate::support::ui::Ui;

/// What is built, and where it goes.
pub struct Build<'a> {
    /// One of `docker buildx ls`; the current one if there is none.
    pub builder: Option<&'a str>,
    pub dockerfile: &'a Utf8Path,
    pub context: &'a Utf8Path,
    /// `NAME=VALUE`.
    pub labels: &'a [String],
    /// The file that buildx describes the result in.
    pub metadata: &'a Utf8Path,
}

/// Where the image goes.
pub enum To<'a> {
    /// Into docker, under this name.
    Engine(&'a str),
    /// To a registry, under this name.
    Registry(&'a str),
}

/// Checks before anything is built that it is there.
pub fn check(ui: &Ui) -> Result<()> {
    let version = Invocation::new("docker", ["buildx", "version"]);
    match version.output(ui) {
        Ok(output) if output.status.success() => Ok(()),
        _ => bail!("--engine buildx needs docker with its plugin buildx: `{version}` fails; install the plugin"),
    }
}

impl Build<'_> {
    /// Builds it; the digest of the image, as the builder says it.
    pub fn run(&self, ui: &Ui, to: &To) -> Result<String> {
        let Build { builder, dockerfile, context, labels, metadata } = self;
        let mut build = Invocation::new("docker", ["buildx", "build"]);
        build = build.args(builder.iter().flat_map(|name| ["--builder", name]));
        if !ui.terminal {
            build = build.args(["--progress", "plain"]);
        }
        build = build.args(labels.iter().flat_map(|label| ["--label", label]));
        build = match to {
            To::Engine(name) => build.args(["--load", "--tag", name]),
            To::Registry(name) => build.args(["--push", "--tag", name]),
        };
        let build = build.args(["--metadata-file", metadata.as_str(), "--file", dockerfile.as_str(), context.as_str()]);
        let output = build.expression(ui).stdin_null().stdout_to_stderr().unchecked().run();
        let output = output.with_context(|| format!("starting `{build}`"))?;
        if !output.status.success() {
            bail!("building the image failed: `{build}` ended with {}; see its output above", output.status);
        }
        let said: Value = serde_json::from_slice(&files::read(metadata)?).context("reading what buildx wrote")?;
        files::remove(metadata)?;
        let digest = said["containerimage.digest"].as_str();
        digest.map(str::to_owned).with_context(|| format!("`{build}` named no digest"))
    }
}
