//! The plugins of the command line: their records are read and compared, all of them, before the first one is loaded.

use crate::faults::Faults;
use crate::loader;
use provost_record::{Record, compare, read, table};
use provost_sdk::abi;
use provost_sdk::plugin::Plugin;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

/// The extension of a plugin's file.
const EXTENSION: &str = "prov";

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
        let want = match want() {
            Ok(want) => want,
            Err(error) => {
                faults.add(error);
                return None;
            }
        };
        let mut found = BTreeMap::new();
        let mut sound = true;
        for path in paths {
            if let Err(error) = examine(path, &want, &mut found) {
                faults.add(error);
                sound = false;
            }
        }
        if !sound {
            return None;
        }
        let mut by_name = BTreeMap::new();
        for (name, (path, version)) in found {
            match loader::load(path) {
                Ok(plugin) => {
                    by_name.insert(name, Loaded { version, plugin });
                }
                Err(error) => {
                    faults.add(format!("loading {}: {error}; {REMEDY}", path.display()));
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

/// What mends every difference.
const REMEDY: &str = "host and plugins must be built together: `cargo xtask image`";

/// What the record of each plugin must say.
fn want() -> Result<Record, String> {
    if abi::provost_link_anchor() != abi::SOURCE {
        return Err(format!("the SDK that is loaded was made from other sources than this host's; {REMEDY}"));
    }
    Ok(Record {
        format: abi::FORMAT,
        plugin: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sdk: abi::VERSION.to_owned(),
        source: abi::SOURCE.to_owned(),
        rustc: abi::RUSTC.to_owned(),
        target: abi::TARGET.to_owned(),
        profile: abi::PROFILE.to_owned(),
        anchor: loader::anchor()?,
    })
}

/// Reads and judges one file, and adds it to those found by then: path and version by name.
fn examine<'a>(path: &'a Path, want: &Record, found: &mut BTreeMap<String, (&'a Path, String)>) -> Result<(), String> {
    let shown = path.display();
    let have = record(path)?;
    let differences = compare(&have, want);
    if !differences.is_empty() {
        return Err(format!("{shown}: it was not built with this host; {REMEDY}\n{}", table(&differences)));
    }
    if have.plugin == want.plugin {
        return Err(format!("{shown}: it is the host itself: name a .{EXTENSION} file"));
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name != format!("{}.{EXTENSION}", have.plugin) {
        return Err(format!("{shown}: it is the plugin `{0}`: rename the file to {0}.{EXTENSION}", have.plugin));
    }
    match found.entry(have.plugin) {
        Entry::Vacant(entry) => {
            entry.insert((path, have.version));
            Ok(())
        }
        Entry::Occupied(entry) => {
            let (first, name) = (entry.get().0.display(), entry.key());
            Err(format!("{shown}: the plugin `{name}` is given twice, first as {first}: remove one"))
        }
    }
}

fn record(path: &Path) -> Result<Record, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("reading the plugin {shown}: {error}"))?;
    // A pipe or a device would be read for ever.
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "no file" };
        return Err(format!("reading the plugin {shown}: it is {what}: name a .{EXTENSION} file"));
    }
    let bytes = fs::read(path).map_err(|error| format!("reading the plugin {shown}: {error}"))?;
    read(&bytes).map_err(|error| format!("{shown}: {error}"))
}
