//! Predicts the status of each layer before anything is compiled: reused, if its inputs are the same. A layer with other inputs
//! may still come out the same.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::Result;
use serde::{Serialize, Serializer};

use crate::cargo::features;
use crate::cargo::resolution::{Crate, Source};
use crate::oci::digest::Digest;
use crate::plan::BuildPlan;
use crate::plan::changes::Changes;
use crate::plan::inputs::Inputs;
use crate::plan::last_image::{LastImage, LastLayer};
use crate::support::paths::Paths;
use crate::support::ui::{Ui, count, size};

/// The content of one of our layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Libraries,
    Host,
    Configuration,
    /// By their names.
    Plugins(Vec<String>),
}

/// Whether a layer is the same as in the last image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "forecast", rename_all = "kebab-case")]
pub enum LayerStatus {
    Reused {
        digest: Digest,
        /// Packed, in bytes.
        size: u64,
    },
    New {
        why: Vec<String>,
    },
}

/// A feature that a crate did not have in the last image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedOn {
    pub of: Crate,
    pub feature: String,
    /// Packages of the tree.
    pub by: BTreeSet<String>,
    /// Whether the SDK uses the crate, and so every layer changes.
    pub shared: bool,
}

/// The inputs of the next image and of the last one.
#[derive(Debug)]
pub struct Forecast {
    pub last: Option<LastImage>,
    pub inputs: Inputs,
    pub turned_on: Vec<TurnedOn>,
}

impl Forecast {
    /// `features` answers which features of a crate are turned on, and by whom.
    pub fn make(
        paths: &Paths,
        plan: &BuildPlan,
        last: Option<LastImage>,
        inputs: Inputs,
        features: impl Fn(&Crate) -> Result<String>,
    ) -> Result<Forecast> {
        let turned_on = match &last {
            Some(last) => turned_on(paths, plan, &last.inputs, &inputs, features)?,
            None => Vec::new(),
        };
        Ok(Forecast { last, inputs, turned_on })
    }

    pub fn status(&self, plan: &BuildPlan, name: &str, content: &Content) -> LayerStatus {
        let Some(last) = &self.last else { return LayerStatus::New { why: vec!["first image".to_owned()] } };
        let Some(before) = last.layers.get(name) else {
            return LayerStatus::New { why: vec![format!("{content} was added")] };
        };
        let why = self.reasons(plan, last, before, content);
        match why.is_empty() {
            true => LayerStatus::Reused { digest: before.layer.digest, size: before.layer.size },
            false => LayerStatus::New { why },
        }
    }

    fn reasons(&self, plan: &BuildPlan, last: &LastImage, before: &LastLayer, content: &Content) -> Vec<String> {
        let changes =
            Changes { before: &last.inputs, after: &self.inputs, sdk: &plan.host.sdk, turned_on: &self.turned_on };
        let mut why = changes.of_environment();
        why.extend(changes.of_packages(&before.packages, &content.packages(plan)));
        match content {
            Content::Configuration => why.extend(changes.of_source(plan.host.default_config.as_str())),
            Content::Libraries => why.extend(last.changed_libraries()),
            Content::Host | Content::Plugins(_) => {}
        }
        why
    }

    /// Says which shared crates have more features than in the last image.
    pub fn announce(&self, ui: &Ui) {
        for feature in self.turned_on.iter().filter(|feature| feature.shared) {
            ui.status("Features", format!("{feature}: every layer changes"));
        }
    }
}

/// Who turned on the features that crates did not have before: those who turn it on and whose own files changed, if any
/// did, else all who turn it on.
pub fn turned_on(
    paths: &Paths,
    plan: &BuildPlan,
    before: &Inputs,
    after: &Inputs,
    features: impl Fn(&Crate) -> Result<String>,
) -> Result<Vec<TurnedOn>> {
    let crates = &after.crates;
    let shared = crates.member(&plan.host.sdk).map(|sdk| crates.closure(sdk)).unwrap_or_default();
    let changed = |name: &String| match crates.member(name).map(|member| &member.source) {
        Some(Source::Tree(dir)) => before.sources.get(dir) != after.sources.get(dir),
        _ => false,
    };
    let mut turned_on = Vec::new();
    for (found, compiled) in crates.crates() {
        let Some(had) = before.crates.crates().get(found) else { continue };
        let new: Vec<&String> = compiled.features.difference(&had.features).collect();
        if new.is_empty() {
            continue;
        }
        let answer = features(found)?;
        for feature in new {
            let by = features::paths(&answer, feature, &paths.sources())?;
            let mut by: BTreeSet<String> = by.into_keys().collect();
            if by.iter().any(changed) {
                by.retain(changed);
            }
            let shared = shared.contains(found);
            turned_on.push(TurnedOn { of: found.clone(), feature: feature.clone(), by, shared });
        }
    }
    Ok(turned_on)
}

impl Content {
    /// The packages that its files are built from.
    pub fn packages(&self, plan: &BuildPlan) -> Vec<String> {
        match self {
            Content::Libraries => vec![plan.host.sdk.clone()],
            Content::Host => vec![plan.host.package.clone()],
            Content::Configuration => Vec::new(),
            Content::Plugins(names) => names.clone(),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Content::Libraries => write!(out, "the SDK and shared libraries"),
            Content::Host => write!(out, "the host"),
            Content::Configuration => write!(out, "the default configuration"),
            Content::Plugins(names) => match names.as_slice() {
                [name] => write!(out, "the plugin {name}"),
                names => write!(out, "{}", count(names.len(), "plugin")),
            },
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// `reused sha256:0123456789ab 40 KB`, `new: plugins/file changed`.
impl fmt::Display for LayerStatus {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LayerStatus::Reused { digest, size: bytes } => write!(out, "reused {} {}", digest.short(), size(*bytes)),
            LayerStatus::New { why } => write!(out, "new: {}", summary(why)),
        }
    }
}

/// `smtp turned on serde_json/preserve_order`.
impl fmt::Display for TurnedOn {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let by: Vec<&str> = self.by.iter().map(String::as_str).collect();
        match by.as_slice() {
            [] => write!(out, "{}/{} was turned on", self.of.name, self.feature),
            by => write!(out, "{} turned on {}/{}", by.join(" and "), self.of.name, self.feature),
        }
    }
}

/// The first reasons, and how many more there are.
pub fn summary(why: &[String]) -> String {
    const MOST: usize = 3;
    match why.len().saturating_sub(MOST) {
        0 => why.join("; "),
        more => format!("{}; and {more} more", why[..MOST].join("; ")),
    }
}
