//! The inputs of an image's layers, as far as they are known before anything is compiled. Equal inputs make equal layers.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::base::layers::BaseFiles;
use crate::cargo::resolution::{Resolution, Source};
use crate::cargo::toolchain::cargo_home;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::Digest;
use crate::oci::layer::FORMAT;
use crate::plan::BuildPlan;
use crate::source::copy;
use crate::support::files;
use crate::support::paths::Paths;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    pub environment: Environment,
    /// What host, SDK and plugins are compiled from, with what their build scripts and macros need.
    pub crates: Resolution,
    /// Digests of the tree's own: of the packages, by directory, and of the default configuration, by path.
    pub sources: BTreeMap<String, Digest>,
}

/// What all layers share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Digest of the build system's own program, which decides flags and bytes.
    pub xtask: Option<Digest>,
    /// Of the bytes that layers come out as.
    pub format: u32,
    /// The whole answer of `rustc -vV`.
    pub rustc: String,
    pub target: String,
    /// The tree's and the user's.
    pub rustflags: Vec<String>,
    /// The builder's id; on this machine, the user's configuration of cargo.
    pub builder: String,
    /// Digest of what the workspace says about all its packages, and about the paths in the image.
    pub workspace: Option<Digest>,
    /// Digests of the base's layers, unpacked.
    pub base: Vec<Digest>,
}

impl Inputs {
    /// Reads the copy of the sources; `crates` are those that it resolves to.
    pub fn gather(paths: &Paths, plan: &BuildPlan, base: &BaseFiles, crates: Resolution) -> Result<Inputs> {
        let dirs = crates.crates().keys().filter_map(|found| match &found.source {
            Source::Tree(dir) => Some(dir.as_str()),
            Source::Registry | Source::Other(_) => None,
        });
        let mut sources = copy::digests(&paths.sources(), &dirs.collect())?;
        let config = &plan.host.default_config;
        sources.insert(config.to_string(), Digest::sha256(&files::read(&paths.root.join(config))?));
        Ok(Inputs { environment: Environment::gather(paths, plan, base)?, crates, sources })
    }
}

impl Environment {
    fn gather(paths: &Paths, plan: &BuildPlan, base: &BaseFiles) -> Result<Environment> {
        Ok(Environment {
            xtask: Some(Digest::own_program()?),
            format: FORMAT,
            rustc: plan.toolchain.verbose_version.clone(),
            target: plan.toolchain.target.clone(),
            rustflags: plan.rustflags.clone(),
            builder: match &plan.environment {
                BuildEnvironment::Container(builder) => builder.id.clone(),
                BuildEnvironment::Local => {
                    let config = std::fs::read(cargo_home()?.join("config.toml")).unwrap_or_default();
                    format!("this machine, {}", Digest::sha256(&config))
                }
            },
            workspace: Some(workspace(paths, plan)?),
            base: base.layers.iter().map(|layer| layer.diff_id).collect(),
        })
    }
}

/// Without the packages and crates, which the other inputs list more exactly. Crates that are used under another
/// name stay: a resolution does not show that.
fn workspace(paths: &Paths, plan: &BuildPlan) -> Result<Digest> {
    let path = paths.sources().join("Cargo.toml");
    let mut manifest: toml::Table =
        toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
    if let Some(workspace) = manifest.get_mut("workspace").and_then(toml::Value::as_table_mut) {
        for key in ["members", "default-members", "exclude", "metadata"] {
            workspace.remove(key);
        }
        if let Some(dependencies) = workspace.get_mut("dependencies").and_then(toml::Value::as_table_mut) {
            dependencies.retain(|_, dependency| dependency.get("package").is_some());
        }
    }
    let config = files::read_text(&paths.sources().join(copy::CONFIG))?;
    let host = &plan.host;
    let places = [&host.working_dir, &host.state_dir, &host.config];
    let (names, plugin_config) = ([&host.package, &host.sdk, &host.extension], &host.plugin_config);
    let places = format!("{places:?} {plugin_config:?} {names:?} {:?}", host.user);
    Ok(Digest::sha256(format!("{manifest}\n{config}\n{places}").as_bytes()))
}
