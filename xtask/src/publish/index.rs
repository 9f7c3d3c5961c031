//! An index: images of several platforms under one digest. It is made of layouts, whose bytes stay as they are.
//! Source: OCI image specification, image-index.md.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::assemble::config::{self, INDEX};
use crate::base::layout::{Layout, MOST_INDEXES, read_blob};
use crate::containers::skopeo;
use crate::oci::artifact::Artifact;
use crate::oci::digest::Digest;
use crate::oci::documents::{Config, Descriptor, Index as Listed, Manifest, NAME, Platform, blob_path};
use crate::oci::reference;
use crate::publish::output::layout;
use crate::publish::{push, referrers, sign};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;

pub struct Index {
    /// By platform, in the order of the index.
    images: BTreeMap<String, Found>,
    bytes: Vec<u8>,
}

/// An image of a layout.
struct Found {
    dir: Utf8PathBuf,
    digest: Digest,
    /// As the index lists it.
    descriptor: Value,
    /// Its configuration and layers.
    blobs: Vec<Digest>,
    /// What refers to it.
    artifacts: Vec<Artifact>,
}

/// Checks before anything is built that an index can be pushed.
pub fn check_push(ui: &Ui) -> Result<()> {
    ensure!(skopeo::is_installed(ui), "--push of an index needs skopeo; install it");
    Ok(())
}

impl Index {
    /// All images of all layouts, one for each platform. Every byte is checked when it is written.
    pub fn join(dirs: &[Utf8PathBuf]) -> Result<Index> {
        let mut errors = Errors::default();
        let mut images: BTreeMap<String, Found> = BTreeMap::new();
        for dir in dirs {
            match read(dir) {
                Ok(found) if found.is_empty() => errors.push(format!("the OCI layout {dir} holds no image")),
                Ok(found) => {
                    for (platform, image) in found {
                        match images.get(&platform) {
                            Some(other) if other.digest == image.digest => {}
                            Some(other) => errors.push(format!(
                                "there are two images for {platform}: {} in {} and {} in {}; leave one out",
                                other.digest.short(),
                                other.dir,
                                image.digest.short(),
                                image.dir
                            )),
                            None => drop(images.insert(platform, image)),
                        }
                    }
                }
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        errors.report("the images of the index")?;
        let listed: Vec<&Value> = images.values().map(|image| &image.descriptor).collect();
        let bytes = config::bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed }));
        Ok(Index { images, bytes })
    }

    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }

    /// Its platforms, each with the digest of its image.
    pub fn platforms(&self) -> impl Iterator<Item = (&str, &Digest)> {
        self.images.iter().map(|(platform, image)| (platform.as_str(), &image.digest))
    }

    /// Writes it into a layout under a name, with its images and all that refers to them.
    pub fn write(&self, dir: &Utf8Path, name: &str) -> Result<bool> {
        let descriptor = json!({
            "mediaType": INDEX,
            "digest": self.digest(),
            "size": self.bytes.len(),
            "annotations": { (NAME): name },
        });
        let blobs = self.images.values().flat_map(|image| {
            image.blobs.iter().chain([&image.digest]).map(|digest| Ok((*digest, read_blob(&image.dir, digest)?)))
        });
        let own = std::iter::once(Ok((self.digest(), self.bytes.clone())));
        let artifacts = self.images.values().flat_map(|image| &image.artifacts);
        layout::add(dir, name, descriptor, blobs.chain(own), artifacts)
    }

    /// Pushes it, and signs it if that was asked for.
    pub fn deliver(&self, session: &Session, reference: &str, signed: bool) -> Result<()> {
        self.push(session, reference)?;
        match signed {
            true => sign::index(&session.ui, &reference::pinned(reference, &self.digest().to_string())),
            false => {
                session.ui.status("Not signed", format!("{reference}; `--sign` signs it"));
                Ok(())
            }
        }
    }

    /// Pushes it, its images, and what refers to these. The tag then names all of it or what it named before.
    fn push(&self, session: &Session, reference: &str) -> Result<()> {
        let Session { ui, paths, .. } = session;
        check_push(ui)?;
        let (layout, digest) = (paths.index(), self.digest());
        files::remove(&layout)?;
        self.write(&layout, reference)?;
        let blobs = self.images.values().flat_map(|image| image.blobs.iter().map(|digest| (&image.dir, digest)));
        let size = |(dir, digest): (&Utf8PathBuf, &Digest)| Ok((*digest, files::size(&dir.join(blob_path(digest)))?));
        let sizes: BTreeMap<Digest, u64> = blobs.map(size).collect::<Result<_>>()?;
        let moved = push::copy(ui, &skopeo::push_layout(&layout, reference, reference), reference, &digest, &sizes)?;
        ui.status("Pushed", format!("{reference}@{digest}{}", push::shown(moved)));
        for image in self.images.values() {
            // The index is pushed, even if they fail.
            if let Err(error) = referrers::push(session, reference, &image.digest, &image.artifacts) {
                ui.warning(format!("what refers to {} was not pushed: {error:#}", image.digest));
            }
        }
        Ok(())
    }
}

/// The images of a layout with their platforms.
fn read(dir: &Utf8Path) -> Result<Vec<(String, Found)>> {
    ensure!(Layout::is_layout(dir), "{dir} is not an OCI layout: it has no file `oci-layout`");
    let path = dir.join("index.json");
    let top: Listed = serde_json::from_slice(&files::read(&path)?).with_context(|| format!("reading {path}"))?;
    let mut manifests = BTreeSet::new();
    collect(dir, &top, 0, &mut manifests)?;
    let (mut images, mut artifacts) = (Vec::new(), Vec::new());
    for digest in manifests {
        let bytes = read_blob(dir, &digest)?;
        let value: Value = serde_json::from_slice(&bytes).with_context(|| format!("reading {digest} in {dir}"))?;
        match value["subject"]["digest"].as_str() {
            Some(subject) => artifacts.push((subject.to_owned(), artifact(dir, bytes, &value)?)),
            // It refers to nothing.
            None if value["artifactType"].is_string() => {}
            None => images.push(image(dir, &digest, &bytes, &value)?),
        }
    }
    for (subject, artifact) in artifacts {
        if let Some((_, image)) = images.iter_mut().find(|(_, image)| image.digest.to_string() == subject) {
            image.artifacts.push(artifact);
        }
    }
    Ok(images)
}

/// The manifests that an index leads to.
fn collect(dir: &Utf8Path, index: &Listed, depth: usize, found: &mut BTreeSet<Digest>) -> Result<()> {
    if depth > MOST_INDEXES {
        bail!("{dir} nests its indexes more than {MOST_INDEXES} deep");
    }
    for descriptor in &index.manifests {
        let digest = descriptor.sha256().with_context(|| format!("reading the OCI layout {dir}"))?;
        if descriptor.is_index() {
            collect(dir, &json(dir, &digest)?, depth + 1, found)?;
        } else {
            found.insert(digest);
        }
    }
    Ok(())
}

fn image(dir: &Utf8Path, digest: &Digest, bytes: &[u8], value: &Value) -> Result<(String, Found)> {
    let manifest: Manifest = serde_json::from_slice(bytes).with_context(|| format!("reading {digest} in {dir}"))?;
    let blobs = std::iter::once(&manifest.config).chain(&manifest.layers).map(Descriptor::sha256);
    let blobs: Vec<Digest> = blobs.collect::<Result<_>>().with_context(|| format!("reading {digest} in {dir}"))?;
    let Platform { os, architecture, variant } = json::<Config>(dir, &blobs[0])?.platform;
    let mut platform = json!({ "architecture": architecture, "os": os });
    let mut name = format!("{os}/{architecture}");
    if let Some(variant) = variant {
        name.push_str(&format!("/{variant}"));
        platform["variant"] = variant.into();
    }
    let descriptor = json!({
        "mediaType": value["mediaType"],
        "digest": digest,
        "size": bytes.len(),
        "platform": platform,
    });
    Ok((name, Found { dir: dir.to_owned(), digest: *digest, descriptor, blobs, artifacts: Vec::new() }))
}

fn artifact(dir: &Utf8Path, manifest: Vec<u8>, value: &Value) -> Result<Artifact> {
    let named = value["layers"].as_array().into_iter().flatten().chain([&value["config"]]);
    let digests = named.filter_map(|descriptor| descriptor["digest"].as_str()?.parse::<Digest>().ok());
    let content = digests.map(|digest| read_blob(dir, &digest)).collect::<Result<_>>()?;
    // Where the manifest names no type, its configuration's counts.
    let kind = Some(&value["artifactType"]).filter(|kind| kind.is_string()).unwrap_or(&value["config"]["mediaType"]);
    let descriptor = json!({
        "mediaType": value["mediaType"],
        "digest": Digest::sha256(&manifest),
        "size": manifest.len(),
        "artifactType": kind,
    });
    Ok(Artifact { descriptor, manifest, content })
}

fn json<T: DeserializeOwned>(dir: &Utf8Path, digest: &Digest) -> Result<T> {
    let path = dir.join(blob_path(digest));
    serde_json::from_slice(&read_blob(dir, digest)?).with_context(|| format!("reading {path}"))
}
