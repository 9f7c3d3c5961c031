//! Documents of the OCI image specification, and docker's `manifest.json`: the parts that xtask reads.
//! Source: OCI image specification, descriptor.md, image-index.md, manifest.md, config.md;
//! <https://github.com/moby/docker-image-spec>, "Combined Image JSON + Filesystem Changeset Format".

use std::collections::BTreeMap;

use anyhow::{Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::oci::digest::Digest;

/// The annotation that names a manifest in a layout.
pub const NAME: &str = "org.opencontainers.image.ref.name";

/// The label of the commit that an image was built from. Source: OCI image specification, annotations.md.
pub const REVISION: &str = "org.opencontainers.image.revision";

/// `index.json`, and an index that it names.
#[derive(Debug, Deserialize)]
pub struct Index {
    pub manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    /// Of any algorithm: entries that are not read need no support.
    pub digest: String,
    #[serde(default)]
    pub artifact_type: Option<String>,
    #[serde(default)]
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    #[serde(default)]
    pub variant: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// An image's configuration.
#[derive(Debug, Deserialize)]
pub struct Config {
    #[serde(flatten)]
    pub platform: Platform,
    #[serde(default)]
    pub config: Settings,
    pub rootfs: RootFs,
}

/// What containers are started with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    pub env: Option<Vec<String>>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub working_dir: Option<Utf8PathBuf>,
    pub labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub struct RootFs {
    /// Digests of the uncompressed layers, from the bottom up.
    pub diff_ids: Vec<Digest>,
}

/// One image in `manifest.json`, by paths in the archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Saved {
    pub config: String,
    pub layers: Vec<String>,
}

/// Where a layout has a blob. Source: OCI image specification, image-layout.md, "Blobs".
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/{}", digest.path())
}

impl Descriptor {
    /// Whether it is an index of further images, as OCI or docker names one.
    pub fn is_index(&self) -> bool {
        self.media_type.ends_with("index.v1+json") || self.media_type.ends_with("manifest.list.v2+json")
    }

    /// Whether it describes a referrer of an image, not an image.
    pub fn is_artifact(&self) -> bool {
        self.artifact_type.is_some()
    }

    /// The digest, if it is one that is supported.
    pub fn sha256(&self) -> Result<Digest> {
        self.digest.parse().map_err(Error::msg)
    }

    /// Where a layout has it.
    pub fn path(&self) -> Result<String> {
        Ok(blob_path(&self.sha256()?))
    }
}

impl Settings {
    /// The commit that the image says it was built from.
    pub fn revision(&self) -> Option<&str> {
        self.labels.as_ref()?.get(REVISION).map(String::as_str)
    }

    /// The program that is started.
    pub fn program(&self) -> Option<Utf8PathBuf> {
        let mut command = self.entrypoint.iter().chain(&self.cmd).flatten();
        let dir = self.working_dir.as_deref().unwrap_or(Utf8Path::new("/"));
        command.next().map(|program| dir.join(program))
    }
}
