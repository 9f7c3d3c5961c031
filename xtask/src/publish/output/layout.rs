//! Writes an image into an OCI layout that may contain others. Ours is identified by its name; others stay.
//! Source: OCI image specification, image-layout.md.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::assemble::config::{self, INDEX};
use crate::assemble::{Image, archive};
use crate::attest::Document;
use crate::oci::digest::Digest;
use crate::oci::documents::{NAME, blob_path};
use crate::oci::layer::NamedLayer;
use crate::support::files;

/// Whoever reads the directory meanwhile sees the old image or the new one: blobs come first, then the index that names them, and what
/// only our old entry named goes last. Returns whether anything had to be written.
pub fn write(image: &Image, name: &str, documents: &[Document], dir: &Utf8Path) -> Result<bool> {
    let (others, old) = split(dir, name)?;
    let mut written = false;
    let mut write_blob = |digest: &Digest, bytes: &[u8]| -> Result<()> {
        written |= files::write_changed(&dir.join(blob_path(digest)), bytes)?;
        Ok(())
    };
    for NamedLayer { layer, .. } in image.layers() {
        write_blob(&layer.digest, &image.store.read(&layer.digest)?)?;
    }
    for (digest, bytes) in [(&image.config_digest, &image.config), (&image.manifest_digest, &image.manifest)] {
        write_blob(digest, bytes)?;
    }
    for bytes in documents.iter().flat_map(Document::blobs) {
        write_blob(&Digest::sha256(bytes), bytes)?;
    }
    written |= files::write_changed(&dir.join("oci-layout"), &archive::layout_file())?;
    let referrers: Vec<Value> = documents.iter().map(Document::descriptor).collect();
    let ours: Value = serde_json::from_slice(&archive::index(image, Some(name), &referrers))?;
    let ours = ours["manifests"].as_array().cloned().unwrap_or_default();
    // Two names may mean one image with the same documents.
    let ours = ours.into_iter().filter(|new| !others.contains(new));
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
    let is_of = |images: &[Value], digest: &str| images.iter().any(|image| image["digest"] == digest);
    let referrers: Vec<bool> =
        others.iter().map(|entry| subject(entry).is_some_and(|of| is_of(&old, &of) && !is_of(&others, &of))).collect();
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
