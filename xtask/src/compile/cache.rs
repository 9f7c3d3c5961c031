//! What a container built last, so that nothing at all runs when no input changed.

use std::fs;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::compile::Dist;
use crate::environment::builder::Builder;
use crate::plan::BuildPlan;
use crate::source::copy;
use crate::support::files;
use crate::support::paths::Paths;

#[derive(Deserialize, Serialize)]
struct Memory {
    key: String,
    /// Of every file of the dist, of its assets and of its libraries.
    digests: Vec<String>,
    dist: Dist,
}

/// A digest over everything that goes into the build: the plugins, the sources, the lock, the builder, compiler, target and
/// flags.
pub fn key(paths: &Paths, plan: &BuildPlan, builder: &Builder) -> Result<String> {
    let mut hash = Sha256::new();
    let (toolchain, flags) = (&plan.toolchain, &plan.rustflags);
    hash.update(format!("{} {} {} {flags:?}\n", builder.id, toolchain.channel, toolchain.target));
    // What was built beside earlier builds is no answer where it is to begin with nothing.
    hash.update(format!("isolated {}\n", plan.isolated));
    // The build system decides flags, and what is made of cargo's files.
    hash.update(files::own_program()?);
    // The same sources may be built with the plugins that only tests have, or without.
    for plugin in &plan.plugins {
        hash.update(format!("{} {}\n", plugin.name, plugin.path));
    }
    hash.update(copy::digest(&paths.sources())?);
    Ok(files::hex(&hash.finalize()))
}

/// What was built under this key, if all of it is still there as it was.
pub fn recall(paths: &Paths, key: &str) -> Option<Dist> {
    let memory: Memory = serde_json::from_slice(&fs::read(paths.built()).ok()?).ok()?;
    (memory.key == key && digests(&memory.dist).ok()? == memory.digests).then_some(memory.dist)
}

pub fn keep(paths: &Paths, key: &str, dist: &Dist) -> Result<()> {
    let text = serde_json::to_vec(&serde_json::json!({ "key": key, "digests": digests(dist)?, "dist": dist }))?;
    files::write_atomically(&paths.built(), |out| Ok(out.write_all(&text)?))
}

fn digests(dist: &Dist) -> Result<Vec<String>> {
    let built = dist.files.iter().map(|file| &file.path);
    let libraries = std::iter::once(&dist.libraries.interpreter).chain(dist.libraries.shared.values());
    let assets = dist.assets.iter().map(|asset| &asset.path);
    built
        .chain(assets)
        .chain(libraries.map(|library| &library.path))
        .map(|path| Ok(files::digest(&files::read(path)?)))
        .collect()
}
