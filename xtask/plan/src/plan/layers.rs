//! Which layers an image has, within the limit of container engines.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::base::Base;
use crate::oci::digest::Digest;
use crate::plan::forecast::Content;
use crate::plan::{BuildPlan, Plugin};

/// Up to this number of plugins, each has its own layer, if the base leaves room.
const MOST_OWN_LAYERS: usize = 100;

/// Container engines accept no more layers.
/// Source: docker's and containers/storage's overlay drivers, `maxDepth`.
const MOST_LAYERS: usize = 127;

/// The layers of the libraries, the host and the configuration.
const OTHER_LAYERS: usize = 3;

/// More plugins share this number of layers.
const GROUPS: u64 = 64;

impl BuildPlan {
    /// The number of layers below the image's own.
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

    /// The image's own layers by name, from the bottom up.
    pub fn layers(&self) -> Vec<(String, Content)> {
        let mut layers = vec![
            ("libraries".to_owned(), Content::Libraries),
            (self.host.package.clone(), Content::Host),
            ("configuration".to_owned(), Content::Configuration),
        ];
        // Sorted, since plugins are; groups are numbered with as many digits.
        let mut of_plugins: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for plugin in &self.plugins {
            of_plugins.entry(self.layer_name(plugin)).or_default().push(plugin.name.clone());
        }
        layers.extend(of_plugins.into_iter().map(|(name, plugins)| (name, Content::Plugins(plugins))));
        layers
    }

    /// The layer of a plugin's file: its own, or its group's if there are many plugins or many base layers.
    /// Adding a plugin to many others changes one group.
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
