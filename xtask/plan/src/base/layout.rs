//! A base image in an OCI layout, a directory that skopeo, buildah or umoci wrote. Its layers go into the image
//! unchanged.
//! Source: OCI image specification, image-layout.md, image-index.md, manifest.md, config.md.

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;

use crate::oci::digest::Digest;
use crate::oci::documents::{Config, Descriptor, Index, Manifest, NAME, Platform, blob_path};
use crate::oci::unpack::{self, BaseLayer};
use crate::support::files;

/// How deeply indexes may be nested.
pub const MOST_INDEXES: usize = 4;

#[derive(Clone, Debug)]
pub struct Layout {
    pub dir: Utf8PathBuf,
    /// Of the image's manifest.
    pub digest: Digest,
    pub env: Vec<String>,
    layers: Vec<Descriptor>,
    diff_ids: Vec<Digest>,
}

impl Layout {
    pub fn is_layout(dir: &Utf8Path) -> bool {
        dir.join("oci-layout").is_file()
    }

    /// The image of a layout for linux and this architecture: the one with this name, or the only one. Artifacts, such as
    /// referrers, are no images.
    pub fn read(dir: &Utf8Path, name: Option<&str>, architecture: &str) -> Result<Layout> {
        if !Layout::is_layout(dir) {
            bail!("{dir} is not an OCI layout: it has no file `oci-layout`");
        }
        let dir = dir.canonicalize_utf8().with_context(|| format!("finding {dir}"))?;
        let path = dir.join("index.json");
        let index: Index = serde_json::from_slice(&files::read(&path)?).with_context(|| format!("reading {path}"))?;
        let named = |descriptor: &&Descriptor| {
            !descriptor.is_artifact()
                && name.is_none_or(|name| descriptor.annotations.get(NAME).is_some_and(|is| is == name))
        };
        let listed: Vec<Descriptor> = index.manifests.iter().filter(named).cloned().collect();
        let candidates = fitting(&dir, listed, architecture, 0)?;
        let [chosen] = candidates.as_slice() else {
            let names = index.manifests.iter().filter_map(|of| of.annotations.get(NAME));
            let names: Vec<&str> = names.map(String::as_str).collect();
            bail!(
                "the OCI layout {dir} holds {} matching images, expected one; choose one with oci:{dir}:NAME (it has: {})",
                candidates.len(),
                if names.is_empty() { "no names".to_owned() } else { names.join(", ") }
            );
        };
        Layout::open(&dir, &supported(&dir, chosen)?, architecture)
    }

    fn open(dir: &Utf8Path, digest: &Digest, architecture: &str) -> Result<Layout> {
        let manifest: Manifest = blob(dir, digest)?;
        let config: Config = blob(dir, &supported(dir, &manifest.config)?)?;
        let Platform { os, architecture: has, .. } = &config.platform;
        if (os.as_str(), has.as_str()) != ("linux", architecture) {
            bail!("the image in {dir} is {os}/{has}, but the build is for linux/{architecture}");
        }
        let diff_ids = config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            bail!(
                "the image in {dir} has {} layers, but its configuration lists {}",
                manifest.layers.len(),
                diff_ids.len()
            );
        }
        Ok(Layout {
            dir: dir.to_owned(),
            digest: *digest,
            env: config.config.env.unwrap_or_default(),
            layers: manifest.layers,
            diff_ids,
        })
    }

    /// Whether these are its layers, by their digests uncompressed.
    pub fn is_of(&self, diff_ids: &[Digest]) -> bool {
        self.diff_ids == diff_ids
    }

    /// Its layers, unpacked into `dir` if they are missing.
    pub fn layers(&self, dir: &Utf8Path) -> Result<Vec<BaseLayer>> {
        let layers = self.layers.iter().zip(&self.diff_ids);
        layers.map(|(descriptor, diff_id)| self.layer(dir, descriptor, diff_id)).collect()
    }

    fn layer(&self, dir: &Utf8Path, descriptor: &Descriptor, diff_id: &Digest) -> Result<BaseLayer> {
        let digest = supported(&self.dir, descriptor)?;
        let blob = self.dir.join(blob_path(&digest));
        let path = dir.join(format!("{}.tar", diff_id.file_name()));
        if !unpack::is_whole(&path, diff_id) {
            let reading = || format!("reading the base image's layer {blob}");
            let is = unpack::digest(&blob).with_context(reading)?;
            if is != digest {
                bail!("{blob} is damaged: its digest is {is}; write the layout again");
            }
            let unpacked = unpack::unpack(&mut std::fs::File::open(&blob).with_context(reading)?, &path, diff_id);
            if let Some(other) = unpacked.with_context(reading)? {
                bail!("the base image's layer {blob} holds {other}, but its configuration names {diff_id}");
            }
        }
        let blob = unpack::is_gzip(&blob)?.then_some((digest, blob));
        Ok(BaseLayer { path, diff_id: *diff_id, blob })
    }
}

/// The images among these, and among those that an index lists, for linux and this architecture. A descriptor need not say what
/// its platform. Then, if there is a choice, the image's configuration decides.
fn fitting(dir: &Utf8Path, listed: Vec<Descriptor>, architecture: &str, depth: usize) -> Result<Vec<Descriptor>> {
    if depth > MOST_INDEXES {
        bail!("{dir} nests its indexes more than {MOST_INDEXES} deep");
    }
    let several = listed.len() > 1;
    let mut found: Vec<Descriptor> = Vec::new();
    for mut descriptor in listed {
        if descriptor.is_index() {
            let nested: Index = blob(dir, &supported(dir, &descriptor)?)?;
            let images = nested.manifests.into_iter().filter(|descriptor| !descriptor.is_artifact()).collect();
            found.extend(fitting(dir, images, architecture, depth + 1)?);
            continue;
        }
        if several && descriptor.platform.is_none() {
            let manifest: Manifest = blob(dir, &supported(dir, &descriptor)?)?;
            descriptor.platform = Some(blob::<Config>(dir, &supported(dir, &manifest.config)?)?.platform);
        }
        if descriptor.platform.as_ref().is_none_or(|is| is.os == "linux" && is.architecture == architecture) {
            found.push(descriptor);
        }
    }
    // One image may be listed twice. Of several variants the plain one runs on every machine of the architecture.
    found.sort_by(|one, other| one.digest.cmp(&other.digest));
    found.dedup_by(|one, other| one.digest == other.digest);
    let plain = |descriptor: &Descriptor| {
        let variant = descriptor.platform.as_ref().and_then(|platform| platform.variant.as_deref());
        matches!((architecture, variant), (_, None) | ("amd64", Some("v1")) | ("arm64", Some("v8")))
    };
    if found.len() > 1 && found.iter().filter(|descriptor| plain(descriptor)).count() == 1 {
        found.retain(plain);
    }
    Ok(found)
}

fn blob<T: DeserializeOwned>(dir: &Utf8Path, digest: &Digest) -> Result<T> {
    serde_json::from_slice(&read_blob(dir, digest)?).with_context(|| format!("reading {digest} in {dir}"))
}

/// A blob of a layout, which has the digest that names it.
pub fn read_blob(dir: &Utf8Path, digest: &Digest) -> Result<Vec<u8>> {
    let path = dir.join(blob_path(digest));
    let bytes = files::read(&path)?;
    let is = Digest::sha256(&bytes);
    if is != *digest {
        bail!("{path} is damaged: its digest is {is}; write the layout again");
    }
    Ok(bytes)
}

fn supported(dir: &Utf8Path, descriptor: &Descriptor) -> Result<Digest> {
    descriptor.sha256().with_context(|| format!("reading the OCI layout {dir}"))
}
