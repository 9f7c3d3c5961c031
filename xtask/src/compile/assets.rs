//! The files that plugins ship: in the dist directory they lie beside the plugins, as they do in the image.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::plan::Plugin;
use crate::source::sync::Source;

/// Holds a directory for each plugin that ships files, named as the plugin is.
const DIR: &str = "assets";

#[derive(Deserialize, Serialize)]
pub struct Asset {
    /// Beside the host, in the image too.
    pub name: Utf8PathBuf,
    pub path: Utf8PathBuf,
    pub executable: bool,
}

/// Every asset of a plugin, in the copy of the sources.
pub fn gather(sources: &Utf8Path, plugin: &Plugin) -> Result<Vec<Asset>> {
    let mut assets = Vec::new();
    let dir = sources.join(&plugin.path);
    for shipped in plugin.assets.files.iter().map(|path| dir.join(path)) {
        for entry in WalkDir::new(&shipped).sort_by_file_name() {
            let entry = entry.with_context(|| format!("reading {shipped}"))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let path = Utf8Path::from_path(entry.path()).context("the copy's paths are UTF-8")?;
            let Source { path, executable } = Source::file(path.to_owned())?;
            let name = Utf8Path::new(DIR).join(&plugin.name).join(path.strip_prefix(&dir)?);
            assets.push(Asset { name, path, executable });
        }
    }
    Ok(assets)
}
