//! The image that is made from a build: its name, base image, command and layers.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::base::Base;
use crate::plan::BuildPlan;
use crate::plan::forecast::{Content, Forecast, LayerStatus};

/// A build plan and what is made from the result.
#[derive(Debug, Serialize)]
pub struct ImagePlan {
    /// `name:tag`.
    pub image: String,
    pub platform: String,
    #[serde(flatten)]
    pub build: BuildPlan,
    pub base: Base,
    /// How the host is started.
    pub command: Vec<String>,
    /// Whether this is the image's `Entrypoint`, and not its `Cmd`.
    pub entrypoint: bool,
    /// Our layers, from the bottom up; the base's layers are below.
    pub layers: Vec<PlannedLayer>,
    #[serde(skip)]
    pub forecast: Forecast,
    /// What registries keep that was compiled, of those that were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cache: Vec<CacheStatus>,
}

/// Whether a registry keeps what this build would compile.
#[derive(Debug, Serialize)]
pub struct CacheStatus {
    pub reference: String,
    /// Why it would not be taken.
    pub why_not: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct PlannedLayer {
    pub name: String,
    pub what: Content,
    #[serde(flatten)]
    pub status: LayerStatus,
}

impl ImagePlan {
    /// `name` is a parsed reference.
    pub fn new(build: BuildPlan, base: Base, name: Option<String>, forecast: Forecast) -> Result<ImagePlan> {
        let image = build.image_name(name.as_deref());
        let layers = build.layers().into_iter().map(|(name, what)| {
            let status = forecast.status(&build, &name, &what);
            PlannedLayer { name, what, status }
        });
        let (platform, layers, command) = (build.platform()?, layers.collect(), build.command(&build.host.config));
        let (entrypoint, cache) = (build.host.entrypoint, Vec::new());
        Ok(ImagePlan { image, platform, base, command, entrypoint, layers, build, forecast, cache })
    }
}

impl fmt::Display for ImagePlan {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let rustc = self.build.toolchain.verbose_version.lines().next().unwrap_or_default();
        writeln!(out, "image      {}", self.image)?;
        writeln!(out, "platform   {}", self.platform)?;
        writeln!(out, "engine     {}", self.build.environment.name())?;
        writeln!(out, "toolchain  {rustc}")?;
        writeln!(out, "base       {}", self.base)?;
        list(
            out,
            "plugins",
            self.build
                .plugins
                .iter()
                .map(|plugin| format!("{} {} from {}", plugin.name, plugin.version, plugin.shown_origin())),
        )?;
        let heading = if self.entrypoint { "entrypoint" } else { "command" };
        writeln!(out, "{heading:<10} {}", self.command.join(" "))?;
        let width = self.layers.iter().map(|layer| layer.name.len()).max().unwrap_or_default();
        let layer = |layer: &PlannedLayer| format!("{:<width$}  {}, {}", layer.name, layer.what, layer.status);
        list(out, "layers", self.layers.iter().map(layer))?;
        list(out, "cache", self.cache.iter().map(ToString::to_string))?;
        list(out, "Cargo.lock", self.build.lock_changes.iter().map(ToString::to_string))
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match &self.why_not {
            None => {
                write!(out, "{}: host, SDK and plugins were compiled from the same, and would be taken", self.reference)
            }
            Some(why) => write!(out, "{}: not taken: {why}", self.reference),
        }
    }
}

/// A heading in the first column, items in the second.
fn list(out: &mut fmt::Formatter, heading: &str, items: impl Iterator<Item = String>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        writeln!(out, "{:<10} {item}", if index == 0 { heading } else { "" })?;
    }
    Ok(())
}
