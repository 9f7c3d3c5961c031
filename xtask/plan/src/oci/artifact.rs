//! Artifacts: what refers to an image, beside it in a layout or a registry.
//! Source: OCI image specification, manifest.md, "Guidelines for Artifact Usage".

use serde_json::{Value, json};

use crate::oci::digest::Digest;

/// The configuration of an artifact that needs none.
pub const EMPTY: &[u8] = b"{}";

/// Its descriptor.
pub fn empty() -> Value {
    json!({ "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::sha256(EMPTY), "size": EMPTY.len() })
}

pub struct Artifact {
    /// As an index lists it.
    pub descriptor: Value,
    pub manifest: Vec<u8>,
    /// What the manifest names.
    pub content: Vec<Vec<u8>>,
}

impl Artifact {
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }

    /// All that it is made of, the manifest last.
    pub fn blobs(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.content.iter().chain([&self.manifest])
    }
}
