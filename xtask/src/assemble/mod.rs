//! Dist files and a base to an image: entries, layers, configuration, manifest. No daemon takes part in it.

pub mod archive;
mod closure;
pub mod config;
mod leaks;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use crate::assemble::config::MANIFEST;
use crate::assemble::leaks::Leaks;
use crate::base::layers::BaseFiles;
use crate::compile::{Dist, Part};
use crate::oci::entry::{Entry, ROOT};
use crate::oci::layer::{self, Layer, Store};
use crate::oci::listing::{self, Listed};
use crate::oci::rootfs::Tree;
use crate::plan::ImagePlan;
use crate::source::revision::Origin;
use crate::support::faults::Faults;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;

/// A finished image: its manifest and configuration, and the layers in the store.
pub struct Image {
    pub manifest: Vec<u8>,
    pub manifest_digest: String,
    pub config: Vec<u8>,
    pub config_digest: String,
    /// From the bottom up, the base's first, each with what it is.
    pub layers: Vec<(String, Layer)>,
    /// How many of the layers are the base's.
    pub base_layers: usize,
    /// Of each of our layers.
    pub files: Vec<Vec<Listed>>,
    pub store: Store,
    pub origin: Origin,
}

impl Image {
    fn new(
        config: Vec<u8>,
        layers: Vec<(String, Layer)>,
        base_layers: usize,
        files: Vec<Vec<Listed>>,
        store: Store,
        origin: Origin,
    ) -> Image {
        let config_digest = files::digest(&config);
        let manifest = config::manifest(&config, &config_digest, &layers);
        let manifest_digest = files::digest(&manifest);
        Image { manifest, manifest_digest, config, config_digest, layers, base_layers, files, store, origin }
    }

    /// What indexes and referrers know it by.
    pub fn descriptor(&self) -> Value {
        json!({ "mediaType": MANIFEST, "digest": self.manifest_digest, "size": self.manifest.len() })
    }

    /// Our layers from the bottom up, with what they hold.
    pub fn own(&self) -> impl Iterator<Item = (&Layer, &[Listed])> {
        let own = self.layers[self.base_layers..].iter().map(|(_, layer)| layer);
        own.zip(self.files.iter().map(Vec::as_slice))
    }

    pub fn sizes(&self) -> Sizes {
        let size = |layers: &[(String, Layer)]| Size {
            packed: layers.iter().map(|(_, layer)| layer.size).sum(),
            unpacked: layers.iter().map(|(_, layer)| layer.unpacked).sum(),
        };
        let (base, own) = self.layers.split_at(self.base_layers);
        Sizes { base: size(base), own: size(own) }
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
    /// As registries keep it.
    pub packed: u64,
    /// As tars.
    pub unpacked: u64,
}

pub fn assemble(session: &Session, plan: &ImagePlan, dist: &Dist, base: &BaseFiles) -> Result<Image> {
    let Session { ui, paths, .. } = session;
    let store = Store::new(paths.blobs());
    let mut layers = Vec::new();
    for layer in &base.layers {
        let packed = match &layer.blob {
            Some((digest, blob)) => store.adopt(layer, digest, blob)?,
            None => {
                let length = std::fs::metadata(&layer.path).with_context(|| format!("reading {}", layer.path))?.len();
                let found = store.find(&layer.diff_id, length);
                match found {
                    Some(found) => found,
                    None => {
                        let mut tar =
                            std::fs::File::open(&layer.path).with_context(|| format!("reading {}", layer.path))?;
                        store.add_from(&layer.diff_id, &mut tar, length)?
                    }
                }
            }
        };
        layers.push((plan.base.to_label(), packed));
    }
    let base_layers = layers.len();
    if let Some((own, other)) = closure::other_libc(dist, &base.tree) {
        ui.status("Adding", format!("{own}, which comes along: the base {} has {other}", plan.base));
    }
    let (leaks, mut faults) = (Leaks::of(paths, dist, &plan.build.host)?, Faults::default());
    let (mut tars, mut files) = (Vec::new(), Vec::new());
    let names = plan.layers.iter().map(|layer| &layer.name);
    for (name, entries) in names.zip(entries(paths, plan, dist, &base.tree)?) {
        let making = || format!("making the layer {name}");
        let laid = layer::lay(&entries, &base.tree).with_context(making)?;
        let tar = layer::tar(&laid).with_context(making)?;
        files.push(listing::list(&laid));
        let diff_id = files::digest(&tar);
        let found = store.find(&diff_id, tar.len() as u64);
        // A layer that is in the store was looked through when it got there.
        if found.is_none() {
            leaks.find(&entries, &mut faults);
        }
        tars.push((name, tar, diff_id, found));
    }
    faults.report("the image")?;
    for (name, tar, diff_id, found) in tars {
        layers.push((name.clone(), found.map_or_else(|| store.add(&diff_id, &tar), Ok)?));
    }
    let origin = plan.build.origin.clone();
    let config = config::config(plan, &origin, &base.env, &layers);
    Ok(Image::new(config, layers, base_layers, files, store, origin))
}

/// What each of our layers holds, in the plan's order.
fn entries(paths: &Paths, plan: &ImagePlan, dist: &Dist, base: &Tree) -> Result<Vec<Vec<Entry>>> {
    let host = &plan.build.host;
    let file = |file: &crate::compile::DistFile| -> Result<Entry> {
        Ok(Entry::file(&host.working_folder.join(&file.name), files::read(&file.path)?, true))
    };
    let of_part = |part: Part| dist.files.iter().filter(move |file| file.part == part);
    let mut libraries = closure::find(dist, base, &host.working_folder)?;
    for library in of_part(Part::Sdk).chain(of_part(Part::Std)) {
        libraries.push(file(library)?);
    }
    let mut program = vec![Entry::folder(&host.state_folder, host.user)];
    for host in of_part(Part::Host) {
        program.push(file(host)?);
    }
    let default_config = files::read(&paths.root.join(&host.default_config))?;
    let mut configuration = vec![Entry::file(&host.config, default_config, false)];
    configuration.extend(host.plugin_config.iter().map(|folder| Entry::folder(folder, ROOT)));
    let mut layers = vec![libraries, program, configuration];
    let mut of_plugins: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for (plugin, built) in plan.build.plugins.iter().zip(of_part(Part::Plugin)) {
        let layer = of_plugins.entry(plan.build.layer_name(plugin)).or_default();
        layer.push(file(built)?);
        for asset in dist.assets.iter().filter(|asset| asset.plugin == plugin.name) {
            let place = host.working_folder.join(&asset.name);
            layer.push(Entry::file(&place, files::read(&asset.path)?, asset.executable));
        }
        if let (Some(config), Some(folder)) = (&plugin.shipped.config, &host.plugin_config) {
            let bytes = files::read(&paths.sources().join(&plugin.path).join(config))?;
            layer.push(Entry::file(&folder.join(format!("{}.toml", plugin.name)), bytes, false));
        }
    }
    layers.extend(of_plugins.into_values());
    Ok(layers)
}
