//! Plugin assets: files that a plugin reads, and the configuration of a provider.

use anyhow::{Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::source::copy::is_source;
use crate::source::manifest::HostSpec;
use crate::source::submodules;
use crate::support::errors::Errors;

/// `[package.metadata.HOST]` of a plugin, HOST being the host's package.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    #[serde(default)]
    assets: Vec<Utf8PathBuf>,
    config: Option<Utf8PathBuf>,
}

/// Paths relative to the plugin's directory; each exists.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PluginAssets {
    /// Files, and directories with everything in them.
    #[serde(rename = "assets")]
    pub files: Vec<Utf8PathBuf>,
    /// A file.
    pub config: Option<Utf8PathBuf>,
}

/// Reads the table in the metadata of the plugin in `dir`; adds what is wrong to `errors`.
pub fn read(
    root: &Utf8Path,
    dir: &Utf8Path,
    metadata: &toml::Table,
    host: &HostSpec,
    errors: &mut Errors,
) -> PluginAssets {
    let Some(table) = metadata.get(&host.package) else { return PluginAssets::default() };
    let heading = format!("{dir}/Cargo.toml: [package.metadata.{}]", host.package);
    let table = match table.clone().try_into::<Table>() {
        Ok(table) => table,
        Err(error) => {
            errors.push(format!("{heading}: {}", error.to_string().trim_end()));
            return PluginAssets::default();
        }
    };
    if table.config.is_some() && host.plugin_config.is_none() {
        errors.push(format!(
            "{heading}: `config` needs a host that reads a directory of configurations; set `plugin-config` in \
             [workspace.metadata.image], or remove the key"
        ));
    }
    let plugin = root.join(dir);
    for path in table.assets.iter().chain(&table.config) {
        if let Err(error) = check(path, &plugin) {
            let error = submodules::error(root, &dir.join(path)).unwrap_or_else(|| error.to_string());
            errors.push(format!("{heading}: {error}"));
        }
    }
    if let Some(path) = table.config.as_ref().filter(|path| plugin.join(path).is_dir()) {
        errors.push(format!("{heading}: `{path}` is a directory; use a file for `config`"));
    }
    PluginAssets { files: table.assets, config: table.config }
}

fn check(path: &Utf8Path, dir: &Utf8Path) -> Result<()> {
    if !path.components().all(|part| matches!(part, Utf8Component::Normal(_))) || path.as_str().is_empty() {
        bail!("`{path}` must be a path inside of the plugin's directory, without `..`");
    }
    if !dir.join(path).exists() {
        bail!("`{path}` does not exist; add it, or correct the path");
    }
    let mut walk = WalkDir::new(dir.join(path)).follow_links(true).into_iter().filter_entry(is_source);
    if !walk.any(|entry| entry.is_ok_and(|entry| entry.file_type().is_file())) {
        bail!("`{path}` contains no file; add one, or remove the path");
    }
    Ok(())
}
