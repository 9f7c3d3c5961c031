//! What was compiled, in a registry: a machine with the same inputs takes it from there and compiles nothing. One cargo run compiles
//! everything, so it is taken whole or not at all.

use std::io::Write;
use std::process::Output;

use anyhow::{Context, Error, Result, bail, ensure};
use camino::Utf8PathBuf;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assemble::config::{self, MANIFEST};
use crate::base::layout::read_blob;
use crate::compile::restore::restore;
use crate::compile::{self, Dist, cache};
use crate::containers::skopeo;
use crate::environment::options::BuildEnvironment;
use crate::oci::artifact;
use crate::oci::digest::Digest;
use crate::oci::documents::{self, Index};
use crate::oci::reference;
use crate::oci::unpack::uncompressed;
use crate::plan::{BuildPlan, CacheStatus};
use crate::publish::output::layout;
use crate::support::files;
use crate::support::session::Session;

/// The artifact, and what it contains: the list of the files, then each file, packed.
const TYPE: &str = "application/vnd.xtask.dist.v1";
const LIST: &str = "application/vnd.xtask.dist.list.v1+json";
const FILE: &str = "application/vnd.xtask.dist.file.v1+gzip";

/// The annotation with the digest of what it was compiled from.
const INPUTS: &str = "xtask.inputs";

/// Its name in layouts of ours.
const NAME: &str = "cache";

/// Where compiled files come from and go to: names of images, parsed.
#[derive(Clone, Debug, Default)]
pub struct RegistryCache {
    pub from: Vec<String>,
    pub to: Vec<String>,
}

/// What says which file is which.
#[derive(Deserialize, Serialize)]
struct List {
    inputs: Digest,
    /// Each path is a number: which file it is, among those that follow.
    dist: Dist,
    /// Of these files.
    files: Vec<Digest>,
}

impl RegistryCache {
    /// # Errors
    ///
    /// If a name is none of an image in a registry.
    pub fn parse(from: &[String], to: &[String]) -> Result<RegistryCache> {
        let parse = |option: &str, names: &[String]| -> Result<Vec<String>> {
            names.iter().map(|name| reference::in_registry(option, name)).collect()
        };
        Ok(RegistryCache { from: parse("--cache-from", from)?, to: parse("--cache-to", to)? })
    }

    /// The same for one platform of several, which would replace each other under one name.
    pub fn of_platform(&self, architecture: &str) -> RegistryCache {
        let with = |names: &[String]| names.iter().map(|name| format!("{name}-{architecture}")).collect();
        RegistryCache { from: with(&self.from), to: with(&self.to) }
    }

    fn is_used(&self) -> bool {
        !(self.from.is_empty() && self.to.is_empty())
    }
}

/// What is compiled, and the name under which a registry had it, if one did.
pub fn build(session: &Session, plan: &BuildPlan, registry: &RegistryCache) -> Result<(Dist, Option<String>)> {
    if !registry.is_used() {
        return Ok((compile::build(session, plan)?, None));
    }
    let (ui, inputs) = (&session.ui, inputs(session, plan)?);
    for reference in &registry.from {
        match take(session, plan, reference, &inputs) {
            Ok(dist) => {
                ui.status("Taken", format!("host, SDK and plugins from {reference}: they were compiled from the same"));
                return Ok((dist, Some(reference.clone())));
            }
            Err(error) => ui.status("Not taken", format!("{reference}: {error:#}")),
        }
    }
    let dist = compile::build(session, plan)?;
    for reference in &registry.to {
        match keep(session, &dist, reference, &inputs) {
            Ok(()) => ui.status("Kept", format!("host, SDK and plugins in {reference}")),
            // The image is no worse.
            Err(error) => ui.warning(format!("what was compiled is not kept: {error:#}")),
        }
    }
    Ok((dist, None))
}

/// What a registry that is named would give, without taking it.
pub fn look(session: &Session, plan: &BuildPlan, registry: &RegistryCache) -> Result<Vec<CacheStatus>> {
    if !registry.is_used() {
        return Ok(Vec::new());
    }
    let inputs = inputs(session, plan)?;
    let status = |reference: &String| {
        let manifest = skopeo::inspect(reference).output(&session.ui)?;
        let checked = succeeded(&manifest).and_then(|()| {
            let manifest: Value = serde_json::from_slice(&manifest.stdout).context("it is something else")?;
            check_manifest(&manifest, &inputs)
        });
        Ok(CacheStatus { reference: reference.clone(), why_not: checked.err().map(|error| format!("{error:#}")) })
    };
    registry.from.iter().map(status).collect()
}

/// The digest of what is compiled.
fn inputs(session: &Session, plan: &BuildPlan) -> Result<Digest> {
    let BuildEnvironment::Container(builder) = &plan.environment else {
        bail!(
            "--cache-from and --cache-to need a build in a container: what else this machine compiles with is not known"
        );
    };
    ensure!(skopeo::is_installed(&session.ui), "--cache-from and --cache-to need skopeo; install it");
    cache::inputs(&session.paths, plan, builder)
}

fn check_manifest(manifest: &Value, inputs: &Digest) -> Result<()> {
    ensure!(manifest["artifactType"] == TYPE, "it is something else");
    ensure!(manifest["annotations"][INPUTS] == inputs.to_string(), "it was compiled from something else");
    Ok(())
}

/// Skopeo's reason, if it failed.
fn succeeded(output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim().lines().last().unwrap_or("skopeo failed"));
    Ok(())
}

fn take(session: &Session, plan: &BuildPlan, reference: &str, inputs: &Digest) -> Result<Dist> {
    let layout = session.paths.cached();
    files::remove(&layout)?;
    let pull = skopeo::pull_artifact(reference, &layout, NAME);
    succeeded(&pull.output(&session.ui)?)?;
    let index: Index = serde_json::from_slice(&files::read(&layout.join("index.json"))?)?;
    let descriptor = index.manifests.first().context("it is empty")?;
    let manifest: Value = serde_json::from_slice(&read_blob(&layout, &descriptor.sha256()?)?)?;
    check_manifest(&manifest, inputs)?;
    let digest = |layer: &Value| layer["digest"].as_str().context("a layer has no digest")?.parse().map_err(Error::msg);
    let digests: Vec<Digest> =
        manifest["layers"].as_array().into_iter().flatten().map(digest).collect::<Result<_>>()?;
    let (list, packed) = digests.split_first().context("it has no layers")?;
    let List { inputs: of, dist: mut taken, files: contents } =
        serde_json::from_slice(&read_blob(&layout, list)?).context("reading its list of files")?;
    ensure!(of == *inputs, "its list of files is of another build");
    let paths = taken.paths_mut();
    let (listed, there) = (paths.len(), packed.len());
    ensure!(listed == there && contents.len() == there, "it has {there} files, and its list {listed}");
    for (number, (path, (digest, content))) in paths.into_iter().zip(packed.iter().zip(contents)).enumerate() {
        let bytes = uncompressed(&read_blob(&layout, digest)?)?;
        ensure!(Digest::sha256(&bytes) == content, "its file {number} is not the one that its list names");
        *path = layout.join("files").join(number.to_string());
        files::write_copy(path, &bytes)?;
    }
    restore(&session.paths, plan, taken)
}

fn keep(session: &Session, dist: &Dist, reference: &str, inputs: &Digest) -> Result<()> {
    let layout = session.paths.cached();
    files::remove(&layout)?;
    let mut list: Dist = serde_json::from_value(serde_json::to_value(dist)?)?;
    let (mut packed, mut contents) = (Vec::new(), Vec::new());
    for (number, path) in list.paths_mut().into_iter().enumerate() {
        let bytes = files::read(path)?;
        contents.push(Digest::sha256(&bytes));
        packed.push(pack(&bytes)?);
        // Where this machine has it is nobody's business.
        *path = Utf8PathBuf::from(number.to_string());
    }
    let list = config::bytes(&serde_json::to_value(List { inputs: *inputs, dist: list, files: contents })?);
    let layer =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": Digest::sha256(bytes), "size": bytes.len() });
    let layers: Vec<Value> =
        std::iter::once(layer(LIST, &list)).chain(packed.iter().map(|bytes| layer(FILE, bytes))).collect();
    let manifest = config::bytes(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": artifact::empty(),
        "layers": layers,
        "annotations": { (INPUTS): inputs },
    }));
    let mut descriptor = layer(MANIFEST, &manifest);
    descriptor["annotations"] = json!({ (documents::NAME): NAME });
    let blobs = [artifact::EMPTY.to_vec(), list, manifest].into_iter().chain(packed);
    let blobs = blobs.map(|bytes| Ok((Digest::sha256(&bytes), bytes)));
    layout::add(&layout, NAME, descriptor, blobs, std::iter::empty())?;
    let push = skopeo::push_layout(&layout, NAME, reference);
    push.succeeded(&skopeo::without_debug(push.output(&session.ui)?))
}

fn pack(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes)?;
    Ok(gzip.finish()?)
}
