//! Turns dist files and a base image into an image: entries, layers, configuration, manifest. It uses no daemon.

pub mod archive;
mod closure;
pub mod config;
pub mod dockerfile;
mod entries;
#[cfg(test)]
mod example;
mod leaks;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::assemble::config::MANIFEST;
use crate::assemble::leaks::Leaks;
use crate::base::layers::BaseFiles;
use crate::compile::Dist;
use crate::oci::digest::Digest;
use crate::oci::layer::{self, Layer, NamedLayer, Store};
use crate::oci::listing::{self, Listed};
use crate::oci::rootfs::Tree;
use crate::oci::unpack::BaseLayer;
use crate::plan::ImagePlan;
use crate::source::revision::Origin;
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::session::Session;

/// A finished image: its manifest and configuration, and the layers in the store.
pub struct Image {
    pub manifest: Vec<u8>,
    pub manifest_digest: Digest,
    pub config: Vec<u8>,
    pub config_digest: Digest,
    /// From the bottom up.
    pub base_layers: Vec<NamedLayer>,
    /// Our layers, on top of the base's: from the bottom up.
    pub own_layers: Vec<NamedLayer>,
    pub store: Store,
    pub origin: Origin,
}

impl Image {
    fn new(
        plan: &ImagePlan,
        origin: Origin,
        env: &[String],
        base_layers: Vec<NamedLayer>,
        own_layers: Vec<NamedLayer>,
        store: Store,
    ) -> Image {
        let layers: Vec<&NamedLayer> = base_layers.iter().chain(&own_layers).collect();
        let config = config::config(plan, &origin, env, &layers);
        let config_digest = Digest::sha256(&config);
        let manifest = config::manifest(&config, &config_digest, &layers);
        let manifest_digest = Digest::sha256(&manifest);
        Image { manifest, manifest_digest, config, config_digest, base_layers, own_layers, store, origin }
    }

    /// All of them, from the bottom up.
    pub fn layers(&self) -> impl Iterator<Item = &NamedLayer> + Clone {
        self.base_layers.iter().chain(&self.own_layers)
    }

    /// The descriptor for indexes and referrers.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": MANIFEST, "digest": self.manifest_digest, "size": self.manifest.len() })
    }

    pub fn sizes(&self) -> Sizes {
        let size = |layers: &[NamedLayer]| Size {
            packed: layers.iter().map(|named| named.layer.size).sum(),
            unpacked: layers.iter().map(|named| named.layer.unpacked).sum(),
        };
        Sizes { base: size(&self.base_layers), own: size(&self.own_layers) }
    }
}

/// Of the base's layers and of ours.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sizes {
    pub base: Size,
    pub own: Size,
}

/// In bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Packed, as in registries.
    pub packed: u64,
    /// As tars.
    pub unpacked: u64,
}

pub fn assemble(session: &Session, plan: &ImagePlan, dist: &Dist, base: &BaseFiles) -> Result<Image> {
    let store = Store::new(session.paths.blobs());
    let base_layers = base.layers.iter().map(|layer| pack_base(&store, plan, layer)).collect::<Result<_>>()?;
    if let Some((own, other)) = closure::other_libc(dist, &base.tree) {
        session.ui.status("Bundling", format!("{own}: the base image {} has {other}", plan.base));
    }
    let own_layers = pack_own(&session.paths, &store, plan, dist, &base.tree)?;
    Ok(Image::new(plan, plan.build.origin.clone(), &base.env, base_layers, own_layers, store))
}

/// The packed layer if it exists; else packs it.
fn pack_base(store: &Store, plan: &ImagePlan, layer: &BaseLayer) -> Result<NamedLayer> {
    let reading = || format!("reading {}", layer.path);
    let packed = match &layer.blob {
        Some((digest, blob)) => store.adopt(layer, digest, blob)?,
        None => {
            let length = std::fs::metadata(&layer.path).with_context(reading)?.len();
            match store.find(&layer.diff_id, length) {
                Some(found) => found,
                None => {
                    let mut tar = std::fs::File::open(&layer.path).with_context(reading)?;
                    store.add_from(&layer.diff_id, &mut tar, length)?
                }
            }
        }
    };
    Ok(NamedLayer { name: plan.base.to_label(), layer: packed, files: Vec::new() })
}

/// Our layers, in the plan's order. Nothing is packed if a file must not be delivered.
fn pack_own(paths: &Paths, store: &Store, plan: &ImagePlan, dist: &Dist, base: &Tree) -> Result<Vec<NamedLayer>> {
    struct Unpacked<'a> {
        name: &'a str,
        tar: Vec<u8>,
        diff_id: Digest,
        files: Vec<Listed>,
        /// In the store, if it is.
        packed: Option<Layer>,
    }
    let (leaks, mut errors) = (Leaks::new(paths, dist, &plan.build.host)?, Errors::default());
    let mut entries = entries::gather(paths, plan, dist, base)?;
    let mut unpacked = Vec::new();
    for planned in &plan.layers {
        let name = planned.name.as_str();
        let entries = entries.remove(name).unwrap_or_default();
        let making = || format!("making the layer {name}");
        let laid = layer::lay(&entries, base).with_context(making)?;
        let tar = layer::tar(&laid).with_context(making)?;
        let diff_id = Digest::sha256(&tar);
        let packed = store.find(&diff_id, tar.len() as u64);
        // A layer in the store was checked when it was added.
        if packed.is_none() {
            leaks.find(&entries, &mut errors);
        }
        unpacked.push(Unpacked { name, tar, diff_id, files: listing::list(&laid), packed });
    }
    errors.report("the image")?;
    let pack = |Unpacked { name, tar, diff_id, files, packed }: Unpacked| {
        let layer = packed.map_or_else(|| store.add(&diff_id, &tar), Ok)?;
        Ok(NamedLayer { name: name.to_owned(), layer, files })
    };
    unpacked.into_iter().map(pack).collect()
}
