//! The status of each layer of a finished image: reused from the last image, or new and why.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::assemble::Image;
use crate::oci::layer::{Layer, NamedLayer};
use crate::oci::listing::Listed;
use crate::plan::ImagePlan;
use crate::plan::forecast::{LayerStatus, summary};
use crate::plan::last_image::LastLayer;
use crate::support::ui::{Ui, size};

/// A layer that grew by fewer bytes is not said to have grown.
const NOTICEABLE: u64 = 100_000;

/// A layer, as `--format json` shows it.
#[derive(Serialize)]
pub struct FinishedLayer {
    pub name: String,
    pub what: String,
    #[serde(flatten)]
    pub layer: Layer,
    /// Whether the last image lacks it.
    pub new: bool,
    pub why: Vec<String>,
    /// By how many bytes it is larger than in the last image.
    #[serde(skip)]
    growth: u64,
    /// Its content; not listed for layers of the base image.
    pub files: Vec<Listed>,
}

/// From the bottom up, the base's layers first.
pub fn finished(plan: &ImagePlan, image: &Image) -> Vec<FinishedLayer> {
    let last = plan.forecast.last.as_ref();
    let base = image.base_layers.iter().map(|NamedLayer { name, layer, .. }| {
        let why = match last {
            None => vec!["first image".to_owned()],
            Some(last) if last.base.contains(&layer.digest) => Vec::new(),
            Some(last) if last.inputs.environment.base.contains(&layer.diff_id) => {
                vec!["the base image is compressed differently".to_owned()]
            }
            Some(_) => vec!["the base image changed".to_owned()],
        };
        FinishedLayer::new(name, "the base image".to_owned(), layer, why, &[])
    });
    let own = plan.layers.iter().zip(&image.own_layers).map(|(planned, NamedLayer { layer, files, .. })| {
        let before = last.and_then(|last| last.layers.get(&planned.name));
        let why = match (&planned.status, before) {
            (_, Some(before)) if before.layer.digest == layer.digest => Vec::new(),
            (LayerStatus::New { why }, _) => why.clone(),
            (LayerStatus::Reused { .. }, before) => unforeseen(before, files),
        };
        let finished = FinishedLayer::new(&planned.name, planned.what.to_string(), layer, why, files);
        let growth = before.map_or(0, |before| layer.size.saturating_sub(before.layer.size));
        FinishedLayer { growth, ..finished }
    });
    base.chain(own).collect()
}

/// A change that only the built files show: usually a plugin that needs one more library of the system.
fn unforeseen(before: Option<&LastLayer>, after: &[Listed]) -> Vec<String> {
    let before = before.map(|layer| layer.files.as_slice()).unwrap_or_default();
    let by_path = |files: &[Listed]| -> BTreeMap<String, Listed> {
        files.iter().map(|file| (file.path.to_string(), file.clone())).collect()
    };
    let (before, after) = (by_path(before), by_path(after));
    let removed = before.keys().filter(|path| !after.contains_key(*path)).map(|path| format!("/{path} is gone"));
    let other = after.iter().filter_map(|(path, file)| match before.get(path) {
        None => Some(format!("/{path} came along")),
        Some(old) => (old != file).then(|| format!("/{path} came out different")),
    });
    removed.chain(other).collect()
}

impl FinishedLayer {
    fn new(name: &str, what: String, layer: &Layer, why: Vec<String>, files: &[Listed]) -> FinishedLayer {
        FinishedLayer {
            name: name.to_owned(),
            what,
            layer: layer.clone(),
            new: !why.is_empty(),
            why,
            growth: 0,
            files: files.to_vec(),
        }
    }
}

/// One line for the image, and one for each layer.
pub fn report(ui: &Ui, plan: &ImagePlan, layers: &[FinishedLayer]) {
    let new: Vec<String> = layers
        .iter()
        .filter(|layer| layer.new)
        .map(|layer| format!("{} {}", layer.name, size(layer.layer.size)))
        .collect();
    let named = if new.is_empty() { String::new() } else { format!(" ({})", new.join(", ")) };
    let (all, reused) = (layers.len(), layers.len() - new.len());
    ui.status("Assembling", format!("{all} layers on {}: {} new{named}, {reused} reused", plan.base, new.len()));
    for layer in layers {
        let (name, what) = (&layer.name, &layer.what);
        let growth = if layer.growth < NOTICEABLE { String::new() } else { format!(" ({} more)", size(layer.growth)) };
        let line = format!("{name} ({what}), {}{growth} {}", size(layer.layer.size), layer.layer.digest.short());
        match layer.new {
            true => ui.status("New", format!("{line}: {}", summary(&layer.why))),
            false => ui.status("Reused", line),
        }
    }
}
