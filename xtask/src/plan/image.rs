//! What becomes of a build: the image's name, base, command and layers.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;
use serde::Serialize;

use crate::plan::BuildPlan;
use crate::plan::base::Base;

/// A build plan and what becomes of the result.
#[derive(Debug, Serialize)]
pub struct ImagePlan {
    /// `name:tag`.
    pub image: String,
    pub platform: String,
    #[serde(flatten)]
    pub build: BuildPlan,
    pub base: Base,
    /// The image's `Cmd`.
    pub command: Vec<String>,
    /// Ours, from the bottom up; the base's lie below.
    pub layers: Vec<String>,
}

impl ImagePlan {
    /// `name` is a parsed reference.
    pub fn new(build: BuildPlan, base: Base, name: Option<String>) -> Result<ImagePlan> {
        let standard = || format!("{}:{}", build.host.name, build.host_version.replace('+', "-"));
        let image = name.unwrap_or_else(standard);
        let mut layers = vec!["libraries".to_owned(), build.host.package.clone(), "configuration".to_owned()];
        // Sorted, since plugins are; groups are numbered with as many digits.
        let of_plugins: BTreeSet<String> = build.plugins.iter().map(|plugin| build.layer_name(plugin)).collect();
        layers.extend(of_plugins);
        let command = build.command(&build.host.config);
        Ok(ImagePlan { image, platform: build.platform()?, base, command, layers, build })
    }
}

impl fmt::Display for ImagePlan {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let rustc = self.build.toolchain.verbose_version.lines().next().unwrap_or_default();
        writeln!(out, "image      {}", self.image)?;
        writeln!(out, "platform   {}", self.platform)?;
        writeln!(out, "engine     {}", self.build.engine.name())?;
        writeln!(out, "toolchain  {rustc}")?;
        writeln!(out, "base       {}", self.base)?;
        list(
            out,
            "plugins",
            self.build.plugins.iter().map(|plugin| format!("{} {} from {}", plugin.name, plugin.version, plugin.path)),
        )?;
        writeln!(out, "command    {}", self.command.join(" "))?;
        list(out, "layers", self.layers.iter().cloned())?;
        list(out, "Cargo.lock", self.build.lock_changes.iter().map(ToString::to_string))
    }
}

/// A heading in the first column, items in the second.
fn list(out: &mut fmt::Formatter, heading: &str, items: impl Iterator<Item = String>) -> fmt::Result {
    for (index, item) in items.enumerate() {
        writeln!(out, "{:<10} {item}", if index == 0 { heading } else { "" })?;
    }
    Ok(())
}
