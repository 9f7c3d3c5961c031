//! Remembers what was built last, so that nothing runs when no input changed.

use std::fs;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::compile::Dist;
use crate::compile::surroundings::{self, Outside};
use crate::environment::builder::Builder;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::{Digest, Hasher};
use crate::plan::BuildPlan;
use crate::source::copy;
use crate::support::files;
use crate::support::paths::Paths;

#[derive(Deserialize, Serialize)]
struct Memory {
    key: Digest,
    /// Of every file of the dist, of its assets and of its libraries.
    digests: Vec<Digest>,
    /// What this machine's compiler read; a builder has no such files.
    outside: Outside,
    dist: Dist,
}

/// A digest over everything that goes into a build in a container, the same on every machine: the plugins, the sources with the build
/// system's own, the lock, the builder, compiler, target and flags.
pub fn inputs(paths: &Paths, plan: &BuildPlan, builder: &Builder) -> Result<Digest> {
    let mut hash = Hasher::default();
    hash.update(&builder.id);
    hash.update(sources(paths, plan)?.to_string());
    Ok(hash.finish())
}

fn sources(paths: &Paths, plan: &BuildPlan) -> Result<Digest> {
    let mut hash = Hasher::default();
    let BuildPlan { toolchain, rustflags, profile, .. } = plan;
    hash.update(format!("{} {} {profile} {rustflags:?}\n", toolchain.channel, toolchain.target));
    // The same sources may be built with the plugins that only tests have, or without.
    for plugin in &plan.plugins {
        hash.update(format!("{} {}\n", plugin.name, plugin.path));
    }
    hash.update(copy::digest(&paths.sources())?.to_string());
    Ok(hash.finish())
}

/// The same on this machine, by this program.
pub fn key(paths: &Paths, plan: &BuildPlan) -> Result<Digest> {
    let mut hash = Hasher::default();
    match &plan.environment {
        BuildEnvironment::Container(builder) => hash.update(inputs(paths, plan, builder)?.to_string()),
        BuildEnvironment::Local => {
            hash.update(sources(paths, plan)?.to_string());
            hash.update(surroundings::digest(paths, plan)?.to_string());
        }
    }
    // A build from scratch must not use what was built on top of earlier builds.
    hash.update(format!("isolated {}\n", plan.isolated));
    // The build system decides flags, and what is made of cargo's files.
    hash.update(Digest::own_program()?.to_string());
    Ok(hash.finish())
}

/// What was built under this key, if all of it, and all that it was built of, is still there as it was.
pub fn recall(paths: &Paths, key: &Digest) -> Option<Dist> {
    let memory: Memory = serde_json::from_slice(&fs::read(paths.built()).ok()?).ok()?;
    let is_same =
        |(path, digest): (&Utf8PathBuf, &Option<Digest>)| !path.is_dir() && surroundings::digest_of(path) == *digest;
    (memory.key == *key && memory.outside.iter().all(is_same) && digests(&memory.dist).ok()? == memory.digests)
        .then_some(memory.dist)
}

/// `outside` is what was read outside of the sources.
pub fn keep(paths: &Paths, key: &Digest, dist: &Dist, outside: &Outside) -> Result<()> {
    let memory = serde_json::json!({ "key": key, "digests": digests(dist)?, "outside": outside, "dist": dist });
    let text = serde_json::to_vec(&memory)?;
    files::write_atomically(&paths.built(), |out| Ok(out.write_all(&text)?))
}

fn digests(dist: &Dist) -> Result<Vec<Digest>> {
    let built = dist.files().map(|file| &file.path);
    let libraries = std::iter::once(&dist.libraries.interpreter).chain(dist.libraries.shared.values());
    let assets = dist.plugins.iter().flat_map(|plugin| &plugin.assets).map(|asset| &asset.path);
    built
        .chain(assets)
        .chain(libraries.map(|library| &library.path))
        .map(|path| Ok(Digest::sha256(&files::read(path)?)))
        .collect()
}
