//! `[workspace.metadata.image.matrix]`: what CI builds of the tree.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use crate::source::selection::Selection;
use crate::support::errors::Errors;

/// The platforms that images can be for, with the runner of GitHub that builds each natively.
/// Source: <https://docs.github.com/en/actions/reference/runners/github-hosted-runners>.
const PLATFORMS: [(&str, &str); 2] = [("linux/amd64", "ubuntu-24.04"), ("linux/arm64", "ubuntu-24.04-arm")];

/// One of them.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Platform {
    /// As OCI names it.
    pub architecture: String,
}

impl Platform {
    pub fn all() -> impl Iterator<Item = Platform> {
        PLATFORMS.iter().filter_map(|(platform, _)| platform.parse().ok())
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Platform, String> {
        match (unknown(text), text.strip_prefix("linux/")) {
            (None, Some(architecture)) => Ok(Platform { architecture: architecture.to_owned() }),
            (why, _) => Err(why.unwrap_or_default()),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "linux/{}", self.architecture)
    }
}

/// What the table says; without it, one image with all plugins, for one platform.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct MatrixSpec {
    /// The first one alone, if none is named: `linux/amd64`.
    #[serde(default)]
    pub platforms: Vec<String>,
    /// Beside the pinned one.
    #[serde(default)]
    pub toolchains: Vec<String>,
    /// The label of the machine that builds for a platform, where it is not GitHub's.
    #[serde(default)]
    pub runners: BTreeMap<String, String>,
    /// Sets of plugins, by name; without any, `full` has all plugins.
    #[serde(default)]
    pub flavours: BTreeMap<String, Flavour>,
}

/// As the options of `cargo xtask image`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Flavour {
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
}

impl MatrixSpec {
    /// What is wrong with the table.
    pub fn errors(&self) -> Errors {
        let mut errors = Errors::default();
        for platform in self.platforms.iter().chain(self.runners.keys()) {
            errors.extend(unknown(platform).map(|error| format!("[workspace.metadata.image.matrix]: {error}")));
        }
        for name in self.flavours.keys().filter(|name| !is_word(name)) {
            errors.push(format!(
                "[workspace.metadata.image.matrix]: the flavour `{name}` must have a name of lower case letters, digits and `-`"
            ));
        }
        errors
    }

    pub fn platforms(&self) -> Vec<String> {
        if self.platforms.is_empty() { vec![PLATFORMS[0].0.to_owned()] } else { self.platforms.clone() }
    }

    /// By name.
    pub fn flavours(&self) -> BTreeMap<String, Selection> {
        let selection = |flavour: &Flavour| Selection {
            only: flavour.only.clone(),
            without: flavour.without.clone(),
            ..Selection::default()
        };
        match self.flavours.is_empty() {
            true => BTreeMap::from([("full".to_owned(), Selection::default())]),
            false => self.flavours.iter().map(|(name, flavour)| (name.clone(), selection(flavour))).collect(),
        }
    }

    /// The machine that builds for a platform.
    pub fn runner(&self, platform: &str) -> String {
        let usual = || PLATFORMS.iter().find(|(known, _)| *known == platform).map(|(_, runner)| (*runner).to_owned());
        self.runners.get(platform).cloned().or_else(usual).unwrap_or_default()
    }
}

/// Why images cannot be for a platform.
pub fn unknown(platform: &str) -> Option<String> {
    let known = PLATFORMS.map(|(known, _)| known);
    (!known.contains(&platform)).then(|| format!("there is no platform `{platform}`; there are {}", known.join(", ")))
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
