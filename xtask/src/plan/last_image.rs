//! What is remembered of the last image that was delivered: its layers, and what they were made from.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::assemble::Image;
use crate::compile::Dist;
use crate::environment::engine::Engine;
use crate::oci::layer::Layer;
use crate::oci::listing::Listed;
use crate::plan::ImagePlan;
use crate::plan::inputs::Inputs;
use crate::support::files;
use crate::support::paths::Paths;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LastImage {
    pub inputs: Inputs,
    /// Digests of the base's layers, as they are packed.
    pub base: Vec<String>,
    /// Ours, by name.
    pub layers: BTreeMap<String, LastLayer>,
    /// Digests of libraries that came from this machine, by path; from a builder's container none do.
    libraries: BTreeMap<Utf8PathBuf, String>,
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

    /// Written unless that is what is remembered.
    pub fn keep(paths: &Paths, plan: &ImagePlan, dist: &Dist, image: &Image) -> Result<()> {
        let own = plan.layers.iter().zip(image.own());
        let layers = own.map(|(planned, (layer, files))| {
            let packages = planned.what.packages(&plan.build);
            (planned.name.clone(), LastLayer { layer: layer.clone(), packages, files: files.to_vec() })
        });
        let base = image.layers[..image.base_layers].iter().map(|(_, layer)| layer.digest.clone()).collect();
        let mut libraries = BTreeMap::new();
        if matches!(plan.build.engine, Engine::Local) {
            let shared = std::iter::once(&dist.libraries.interpreter).chain(dist.libraries.shared.values());
            for library in shared {
                libraries.insert(library.path.clone(), files::digest(&files::read(&library.path)?));
            }
        }
        let inputs = plan.forecast.inputs.clone();
        let last = LastImage { inputs, base, layers: layers.collect(), libraries };
        let bytes = serde_json::to_vec(&last)?;
        if std::fs::read(paths.last_image()).is_ok_and(|old| old == bytes) {
            return Ok(());
        }
        files::write_atomically(&paths.last_image(), |out| Ok(out.write_all(&bytes)?))
    }

    /// Which of this machine's libraries are others now.
    pub fn changed_libraries(&self) -> impl Iterator<Item = String> {
        let is = |path: &Utf8PathBuf| std::fs::read(path).map(|bytes| files::digest(&bytes)).unwrap_or_default();
        let changed = self.libraries.iter().filter(move |(path, digest)| is(path) != **digest);
        changed.map(|(path, _)| format!("this machine's {path} changed"))
    }
}
