//! Which layers an image has, within the limit of container engines.

use anyhow::{Result, bail};

use crate::base::Base;
use crate::oci::digest::Digest;
use crate::plan::{BuildPlan, Plugin};

/// So many plugins have a layer each, if the base leaves room.
const MOST_OWN_LAYERS: usize = 100;

/// Container engines take no more layers.
/// Source: docker's and containers/storage's overlay drivers, `maxDepth`.
const MOST_LAYERS: usize = 127;

/// The libraries', the host's and the configuration's.
const OTHER_LAYERS: usize = 3;

/// More plugins than that share so many.
const GROUPS: u64 = 64;

impl BuildPlan {
    /// What lies below the image's own layers.
    pub fn on(mut self, base: &Base, layers: usize) -> Result<BuildPlan> {
        let most = MOST_LAYERS - OTHER_LAYERS - usize::from(!self.plugins.is_empty());
        if layers > most {
            bail!(
                "the base image {base} has {layers} layers, but container engines support {MOST_LAYERS} in all; choose one \
                 with at most {most}, or flatten it into a tar with `docker export`"
            );
        }
        self.base_layers = layers;
        Ok(self)
    }

    /// The layer that a plugin's file is in: one of its own, or that of its group where there are many, or many below.
    /// Adding a plugin to many changes one group.
    pub fn layer_name(&self, plugin: &Plugin) -> String {
        let room = MOST_LAYERS.saturating_sub(OTHER_LAYERS + self.base_layers);
        if self.plugins.len() <= MOST_OWN_LAYERS.min(room) {
            return self.file_name(plugin);
        }
        let groups = GROUPS.min(room.max(1) as u64);
        let group = u64::from(Digest::sha256(&plugin.name).number()) % groups;
        format!("plugins-{group:02}")
    }
}
