//! The configuration of cargo in a container, in addition to the tree's: cargo takes all crates from one directory, and knows
//! the addresses of registries that manifests name.

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::support::variables::{Configuration, Registries};

/// `vendored` makes cargo take the crates from the directory. A source that the tree's configuration defines too gets the name that it has there: cargo takes
/// no source under two names.
pub fn config(vendored: &str, tree: &[Configuration], registries: &Registries) -> Result<String> {
    let mut config: Table = toml::from_str(vendored).context("reading the configuration of the crates")?;
    let sources = |config: &Table| config.get("source").and_then(Value::as_table).cloned().unwrap_or_default();
    let own: Vec<(String, Value)> = tree.iter().flat_map(|(_, config)| sources(config)).collect();
    let renamed = sources(&config).into_iter().map(|(name, source)| {
        let same = own.iter().find(|(_, own)| is_same(own, &source));
        (same.map_or(name, |(name, _)| name.clone()), source)
    });
    let renamed: Table = renamed.collect();
    config.insert("source".to_owned(), Value::Table(renamed));
    Ok(format!("{config}\n{}", registries.config))
}

/// Whether two definitions are of one registry, or of one revision of a repository.
fn is_same(one: &Value, other: &Value) -> bool {
    let part = |source: &Value, key: &str| {
        source.get(key).and_then(Value::as_str).map(|text| text.trim_end_matches('/').to_owned())
    };
    ["registry", "git"].iter().any(|key| one.get(key).is_some())
        && ["registry", "git", "branch", "tag", "rev"].iter().all(|key| part(one, key) == part(other, key))
}
