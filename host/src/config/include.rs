//! Reads the directory of provider definitions that a configuration includes, such as the defaults that plugins ship.

use super::{ProviderConfig, Reader, table};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use toml::Table;

/// What a file of the directory may hold.
#[provost_sdk::config]
struct Fragment {
    #[serde(default)]
    #[schemars(with = "serde_json::Value")]
    providers: BTreeMap<String, Table>,
}

/// Reads every `*.toml` of `dir`. Providers of the names in `own` are replaced by those, whole, and not looked at.
pub fn read(dir: &Path, own: &BTreeMap<String, Table>, reader: &mut Reader) -> Vec<ProviderConfig> {
    let files = match files(dir) {
        Ok(files) => files,
        Err(error) => {
            let message = format!("listing {}: {error}: create the directory, or remove the key", dir.display());
            reader.error("include", &message);
            return Vec::new();
        }
    };
    let mut by_name: BTreeMap<String, ProviderConfig> = BTreeMap::new();
    for file in files {
        let mut reader = Reader { path: &file, errors: reader.errors };
        let Some(fragment) = table(&file, reader.errors).and_then(|table| reader.section::<Fragment>("", table)) else {
            continue;
        };
        for (name, table) in fragment.providers.into_iter().filter(|(name, _)| !own.contains_key(name)) {
            match by_name.entry(name) {
                Entry::Vacant(entry) => {
                    let provider = ProviderConfig::read(entry.key().clone(), table, &mut reader);
                    entry.insert(provider);
                }
                Entry::Occupied(entry) => {
                    let key = format!("providers.{}", entry.key());
                    let first = entry.get().file.display();
                    let message = format!(
                        "{first} also has a provider with this name; rename one of them, or define the provider in the \
                         configuration itself"
                    );
                    reader.error(&key, &message);
                }
            }
        }
    }
    by_name.into_values().collect()
}

/// The directory's files, sorted. Hidden ones belong to editors.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
