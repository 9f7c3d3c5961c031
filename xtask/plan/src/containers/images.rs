//! Gets images by name, or from the tree's Dockerfiles.

use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;

use crate::containers::dockerfile::{self, Dockerfile, Unusable};
use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::containers::labels::Labels;
use crate::oci::digest::Digest;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;

pub const BUILDER_FILE: &str = "docker/builder.Dockerfile";
pub const BASE_FILE: &str = "docker/deploy.Dockerfile";

/// The image that a Dockerfile describes: used directly if the file only names one, else built from the file.
pub fn described(session: &Session, engine: &Engine, file: &str, limit: Duration) -> Result<(String, ImageInfo)> {
    let Session { ui, paths, .. } = session;
    let path = paths.root.join(file);
    let (from, all) = match dockerfile::read(&path)? {
        Dockerfile::Names(image) => return named(ui, engine, &image, limit),
        Dockerfile::Built { from, all } => (from, all),
    };
    let mut ids = Vec::new();
    for image in &from {
        ids.push(named(ui, engine, image, limit)?.1.id);
    }
    let name = built_name(&path, &ids)?;
    // For the others only a build can tell whether they changed; it takes what did not change from its cache.
    if let Some(info) = engine.inspect(ui, &name)?.filter(|_| all) {
        return Ok((name, info));
    }
    ui.status("Building", format!("{file} ({engine})"));
    engine.build(ui, &Labels::new(session)?.options(), &path, &name).map_err(|error| Unusable(format!("{error:#}")))?;
    found(ui, engine, name)
}

/// The image with this name, pulled unless the container engine has it.
pub fn named(ui: &Ui, engine: &Engine, reference: &str, limit: Duration) -> Result<(String, ImageInfo)> {
    if let Some(info) = engine.inspect(ui, reference)? {
        return Ok((reference.to_owned(), info));
    }
    ui.status("Pulling", format!("{reference} ({engine})"));
    engine.pull(ui, reference, limit)?;
    found(ui, engine, reference.to_owned())
}

fn found(ui: &Ui, engine: &Engine, reference: String) -> Result<(String, ImageInfo)> {
    let info = engine.inspect(ui, &reference)?;
    let info = info.with_context(|| format!("{engine} has no image {reference} although it reported success"))?;
    Ok((reference, info))
}

/// A name that depends on content: on everything in the Dockerfile's directory, which may get into it, and on the images
/// that it starts from, by their current ids.
fn built_name(path: &Utf8Path, ids: &[String]) -> Result<String> {
    let dir = path.parent().context("a Dockerfile lies in a directory")?;
    let mut content = ids.concat().into_bytes();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        let inside = Utf8Path::from_path(entry.path()).with_context(|| format!("a path in {dir} is not UTF-8"))?;
        if entry.file_type().is_file() {
            content.extend_from_slice(inside.strip_prefix(dir)?.as_str().as_bytes());
            content.extend_from_slice(Digest::sha256(&files::read(inside)?).to_string().as_bytes());
        }
    }
    let stem = path.file_stem().unwrap_or_default();
    Ok(format!("localhost/xtask/{stem}:{}", &Digest::sha256(&content).prefix(16)))
}
