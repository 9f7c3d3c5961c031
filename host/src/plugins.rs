//! The plugins of the command line: their records are read and compared, all of them, before the first one is loaded.

use crate::faults::Faults;
use crate::loader;
use crate::records::Demand;
use crate::refusals::{Refusal, Refusals, TOGETHER};
use provost_sdk::plugin::Plugin;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

/// The loaded plugins by name.
pub struct Plugins {
    by_name: BTreeMap<String, Loaded>,
}

/// A loaded plugin.
pub struct Loaded {
    /// The version of its package.
    pub version: String,
    /// What it exports.
    pub plugin: &'static Plugin,
}

impl Plugins {
    /// Loads the plugins in `paths`. What is wrong goes to `faults`, and then none is loaded.
    pub fn load(paths: &[PathBuf], faults: &mut Faults) -> Option<Self> {
        let demand = match Demand::of_this_host() {
            Ok(demand) => demand,
            Err(error) => {
                faults.add(error);
                return None;
            }
        };
        let mut found = BTreeMap::new();
        let mut refusals = Refusals::of(paths.len());
        for path in paths {
            if let Err(refusal) = examine(path, &demand, &mut found) {
                refusals.add(path.display(), refusal);
            }
        }
        if !refusals.is_empty() {
            faults.add(refusals.to_string());
            return None;
        }
        let mut sound = true;
        let mut by_name = BTreeMap::new();
        for (name, (path, version)) in found {
            match loader::load(path) {
                Ok(plugin) => {
                    by_name.insert(name, Loaded { version, plugin });
                }
                Err(error) => {
                    faults.add(format!("loading {}: {error}; {TOGETHER}", path.display()));
                    sound = false;
                }
            }
        }
        sound.then_some(Self { by_name })
    }

    /// The plugin `name`.
    pub fn get(&self, name: &str) -> Option<&Loaded> {
        self.by_name.get(name)
    }

    /// The names of all plugins, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// How many plugins are loaded.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }
}

/// Judges one file, and adds it to those found by then: path and version by name.
fn examine<'a>(
    path: &'a Path,
    demand: &Demand,
    found: &mut BTreeMap<String, (&'a Path, String)>,
) -> Result<(), Refusal> {
    let have = demand.judge(path)?;
    match found.entry(have.plugin) {
        Entry::Vacant(entry) => {
            entry.insert((path, have.version));
            Ok(())
        }
        Entry::Occupied(entry) => {
            let have = format!("{}, first given as {}", entry.key(), entry.get().0.display());
            let remedy = format!("remove `--prov {}`", path.display());
            Err(Refusal::new("plugin", have, "each plugin once", remedy))
        }
    }
}
