//! What is remembered of the last image: its layers and their inputs.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::oci::layer::Layer;
use crate::oci::listing::Listed;
use crate::plan::inputs::Inputs;
use crate::support::paths::Paths;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LastImage {
    pub inputs: Inputs,
    /// Digests of the base's layers, as they are packed.
    pub base: Vec<Digest>,
    /// Ours, by name.
    pub layers: BTreeMap<String, LastLayer>,
    /// Digests of libraries that came from this machine, by path; from a builder's container none do.
    pub libraries: BTreeMap<Utf8PathBuf, Digest>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LastLayer {
    pub layer: Layer,
    pub packages: Vec<String>,
    pub files: Vec<Listed>,
}

impl LastImage {
    /// `None` if there is none, or one that another version of the build system remembered.
    pub fn read(paths: &Paths) -> Option<LastImage> {
        serde_json::from_slice(&std::fs::read(paths.last_image()).ok()?).ok()
    }

    /// The size of a file of our layers, in bytes; `path` is absolute in the image.
    pub fn size_of(&self, path: &Utf8Path) -> Option<u64> {
        let path = path.strip_prefix("/").ok()?;
        let files = self.layers.values().flat_map(|layer| &layer.files);
        Some(files.into_iter().find(|listed| listed.path == path)?.content.as_ref()?.size)
    }

    /// Which of this machine's libraries changed.
    pub fn changed_libraries(&self) -> impl Iterator<Item = String> {
        let is = |path: &Utf8PathBuf| std::fs::read(path).map(|bytes| Digest::sha256(&bytes)).ok();
        let changed = self.libraries.iter().filter(move |(path, digest)| is(path) != Some(**digest));
        changed.map(|(path, _)| format!("this machine's {path} changed"))
    }
}
