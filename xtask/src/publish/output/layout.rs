//! Writes an image, or an index of images, into an OCI layout that may contain others. Ours is identified by its name; others stay.
//! Source: OCI image specification, image-layout.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::assemble::config::{self, INDEX};
use crate::assemble::{Image, archive};
use crate::oci::artifact::Artifact;
use crate::oci::digest::Digest;
use crate::oci::documents::{NAME, blob_path};
use crate::oci::layer::NamedLayer;
use crate::support::files;

/// Writes an image with its artifacts.
pub fn write(image: &Image, name: &str, artifacts: &[Artifact], dir: &Utf8Path) -> Result<bool> {
    let layers = image.layers().map(|NamedLayer { layer, .. }| Ok((layer.digest, image.store.read(&layer.digest)?)));
    let documents = [(image.config_digest, image.config.clone()), (image.manifest_digest, image.manifest.clone())];
    let index: Value = serde_json::from_slice(&archive::index(image, Some(name), &[]))?;
    add(dir, name, index["manifests"][0].clone(), layers.chain(documents.map(Ok)), artifacts.iter())
}

/// Adds what `descriptor` describes and `blobs` contain, with its artifacts, in place of what had this name.
///
/// Whoever reads the directory meanwhile sees the old image or the new one: blobs come first, then the index that names them, and what
/// only our old entry named goes last. Returns whether anything had to be written.
pub fn add<'a>(
    dir: &Utf8Path,
    name: &str,
    descriptor: Value,
    blobs: impl Iterator<Item = Result<(Digest, Vec<u8>)>>,
    artifacts: impl Iterator<Item = &'a Artifact> + Clone,
) -> Result<bool> {
    let (others, old) = split(dir, name)?;
    let mut written = false;
    let artifact_blobs =
        artifacts.clone().flat_map(Artifact::blobs).map(|bytes| Ok((Digest::sha256(bytes), bytes.clone())));
    for blob in blobs.chain(artifact_blobs) {
        let (digest, bytes) = blob?;
        written |= files::write_changed(&dir.join(blob_path(&digest)), &bytes)?;
    }
    written |= files::write_changed(&dir.join("oci-layout"), &archive::layout_file())?;
    let ours = std::iter::once(descriptor).chain(artifacts.map(|artifact| artifact.descriptor.clone()));
    // Two names may mean one image with the same documents.
    let ours = ours.filter(|new| !others.contains(new));
    let manifests: Vec<Value> = others.iter().cloned().chain(ours).collect();
    let index = config::bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }));
    written |= files::write_changed(&dir.join("index.json"), &index)?;
    remove_unnamed(dir, &old, &manifests)?;
    for dir in [dir, &dir.join("blobs/sha256")] {
        files::remove_partials(dir)?;
    }
    Ok(written)
}

/// What a layout lists; nothing, if it is not there yet.
pub fn listed(dir: &Utf8Path) -> Result<Vec<Value>> {
    let path = dir.join("index.json");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let index: Value = serde_json::from_slice(&files::read(&path)?).with_context(|| format!("reading {path}"))?;
    index["manifests"]
        .as_array()
        .cloned()
        .with_context(|| format!("{path} lists no manifests; write to another directory"))
}

/// What a layout lists, but ours; and ours: the image of this name, and what refers to it alone.
fn split(dir: &Utf8Path, name: &str) -> Result<(Vec<Value>, Vec<Value>)> {
    let listed = listed(dir)?;
    let (mut old, mut others): (Vec<Value>, Vec<Value>) =
        listed.into_iter().partition(|entry| entry["annotations"][NAME] == name);
    let subject = |entry: &Value| {
        let manifest = digest(entry).and_then(|digest| read(dir, &digest));
        manifest.and_then(|manifest| manifest["subject"]["digest"].as_str().map(str::to_owned))
    };
    // Also the images of an index.
    let named = |entries: &[Value]| {
        let mut found = BTreeSet::new();
        for entry in entries {
            follow(dir, entry, &mut found);
        }
        found.iter().map(Digest::to_string).collect::<BTreeSet<_>>()
    };
    let images: Vec<Value> = others.iter().filter(|entry| subject(entry).is_none()).cloned().collect();
    let (of_old, of_others) = (named(&old), named(&images));
    let is_ours = |of: String| of_old.contains(&of) && !of_others.contains(&of);
    let referrers: Vec<bool> = others.iter().map(|entry| subject(entry).is_some_and(is_ours)).collect();
    let mut refers = referrers.into_iter();
    let ours: Vec<Value> = others.extract_if(.., |_| refers.next().unwrap_or(false)).collect();
    old.extend(ours);
    Ok((others, old))
}

/// Removes what these old entries named and none of the new ones does; nothing, if one of them cannot be followed.
fn remove_unnamed(dir: &Utf8Path, old: &[Value], new: &[Value]) -> Result<()> {
    let (mut gone, mut kept) = (BTreeSet::new(), BTreeSet::new());
    let followed =
        old.iter().all(|entry| follow(dir, entry, &mut gone)) && new.iter().all(|entry| follow(dir, entry, &mut kept));
    if followed {
        for digest in gone.difference(&kept) {
            files::remove(&dir.join(blob_path(digest)))?;
        }
    }
    Ok(())
}

/// Adds the digests of all that a descriptor leads to. Whether all of it could be read.
fn follow(dir: &Utf8Path, descriptor: &Value, found: &mut BTreeSet<Digest>) -> bool {
    let Some(digest) = digest(descriptor) else { return false };
    if !found.insert(digest) {
        return true;
    }
    let kind = descriptor["mediaType"].as_str().unwrap_or_default();
    if !(kind.contains("manifest") || kind.contains("index")) {
        return true;
    }
    let Some(manifest) = read(dir, &digest) else { return false };
    let lists = ["manifests", "layers"].iter().filter_map(|key| manifest[*key].as_array()).flatten();
    let config = Some(&manifest["config"]).filter(|config| config.is_object());
    lists.chain(config).all(|descriptor| follow(dir, descriptor, found))
}

/// The digest that a descriptor names, if it is one that is supported.
fn digest(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

fn read(dir: &Utf8Path, digest: &Digest) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(dir.join(blob_path(digest))).ok()?).ok()
}
