//! Documents about a finished image: what is in it, and how it was made. The same image has the same documents.
//!
//! A document is a file beside the image; in an OCI layout and in a registry it is an artifact that has the image as its
//! subject. Source: OCI image specification, manifest.md, "Guidelines for Artifact Usage".

mod component;
mod package_url;
mod provenance;
mod sbom;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::assemble::Image;
use crate::assemble::config::{self, MANIFEST};
use crate::base::Base;
use crate::cargo::lockfile::Lock;
use crate::compile::Dist;
use crate::oci::artifact::{self, Artifact, EMPTY};
use crate::oci::digest::Digest;
use crate::plan::ImagePlan;
use crate::support::files;
use crate::support::paths::Paths;

/// The media type of an in-toto statement.
const STATEMENT: &str = "application/vnd.in-toto+json";

pub struct Document {
    /// File extension of the file beside the image.
    extension: &'static str,
    pub media_type: &'static str,
    bytes: Vec<u8>,
    /// Of the artifact.
    manifest: Vec<u8>,
}

/// The image's bill of materials and its provenance.
pub fn describe(paths: &Paths, plan: &ImagePlan, dist: &Dist, image: &Image) -> Result<[Document; 2]> {
    let path = paths.sources().join("Cargo.lock");
    let lock = files::read_text(&path)?;
    let sbom = sbom::sbom(plan, dist, image, &Lock::parse(&lock).with_context(|| format!("reading {path}"))?)?;
    let provenance = provenance::statement(plan, image, &Digest::sha256(lock.as_bytes()));
    Ok([
        Document::new("cdx.json", "application/vnd.cyclonedx+json", &sbom, image)?,
        // One statement, not signed: a bundle, `.intoto.jsonl`, holds signed ones.
        Document::new("provenance.json", STATEMENT, &provenance, image)?,
    ])
}

impl Document {
    fn new(extension: &'static str, media_type: &'static str, content: &Value, image: &Image) -> Result<Document> {
        let mut bytes = serde_json::to_vec_pretty(content)?;
        bytes.push(b'\n');
        let manifest = config::bytes(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": media_type,
            "config": artifact::empty(),
            "layers": [{ "mediaType": media_type, "digest": Digest::sha256(&bytes), "size": bytes.len() }],
            "subject": image.descriptor(),
        }));
        Ok(Document { extension, media_type, bytes, manifest })
    }

    /// The digest of the artifact.
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    pub fn artifact(&self) -> Artifact {
        let descriptor = json!({
            "mediaType": MANIFEST,
            "digest": self.digest(),
            "size": self.manifest.len(),
            "artifactType": self.media_type,
        });
        Artifact { descriptor, manifest: self.manifest.clone(), content: vec![EMPTY.to_vec(), self.bytes.clone()] }
    }

    /// What cosign calls its type, and the predicate of an attestation: a statement's own.
    pub fn attestation(&self) -> Result<(&'static str, Vec<u8>)> {
        if self.media_type == STATEMENT {
            let statement: Value = serde_json::from_slice(&self.bytes)?;
            return Ok(("slsaprovenance1", config::bytes(&statement["predicate"])));
        }
        Ok(("cyclonedx", self.bytes.clone()))
    }

    /// The file beside an image: `NAME.cdx.json` for `NAME.tar`.
    pub fn beside(&self, image: &Utf8Path) -> Utf8PathBuf {
        let name = image.as_str().trim_end_matches('/');
        format!("{}.{}", name.strip_suffix(".tar").unwrap_or(name), self.extension).into()
    }

    /// Returns whether the file had to be written.
    pub fn write_beside(&self, image: &Utf8Path) -> Result<bool> {
        files::write_changed(&self.beside(image), &self.bytes)
    }
}

/// The base's digest; `scratch` has none. Of an image the one that pins it, else what the container engine knows it by.
fn base_digest(base: &Base, image: &Image) -> Option<String> {
    match base {
        Base::Scratch => None,
        Base::Tar(_) => image.base_layers.first().map(|named| named.layer.diff_id.to_string()),
        Base::Layout { layout, .. } => base.digest().map(str::to_owned).or_else(|| Some(layout.digest.to_string())),
        Base::Image { id, .. } => base.digest().or(Some(id)).map(str::to_owned),
    }
}
