//! Remembers the image for the next run.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::assemble::Image;
use crate::compile::Dist;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::Digest;
use crate::oci::layer::NamedLayer;
use crate::plan::ImagePlan;
use crate::plan::last_image::{LastImage, LastLayer};
use crate::support::files;
use crate::support::paths::Paths;

/// Remembers an image as the last one. Writes nothing if it is remembered already.
pub fn remember(paths: &Paths, plan: &ImagePlan, dist: &Dist, image: &Image) -> Result<()> {
    let own = plan.layers.iter().zip(&image.own_layers);
    let layers = own.map(|(planned, NamedLayer { layer, files, .. })| {
        let packages = planned.what.packages(&plan.build);
        (planned.name.clone(), LastLayer { layer: layer.clone(), packages, files: files.clone() })
    });
    let base = image.base_layers.iter().map(|named| named.layer.digest).collect();
    let mut libraries = BTreeMap::new();
    if matches!(plan.build.environment, BuildEnvironment::Local) {
        let shared = std::iter::once(&dist.libraries.interpreter).chain(dist.libraries.shared.values());
        for library in shared {
            libraries.insert(library.path.clone(), Digest::sha256(&files::read(&library.path)?));
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
