//! Checks the files in a finished image: compares ABI records with the host's, and imports with what the libraries export. It
//! starts nothing.

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use provost_record::{Comparison, ReadError, Record, Report, Seal, compare, inspect, missing};
use serde::Serialize;

use crate::assemble::Image;
use crate::base::layers::BaseFiles;
use crate::compile::libraries::is_interpreter;
use crate::compile::{BuiltPlugin, Dist};
use crate::elf::dynamic::Elf;
use crate::elf::exports::Exported;
use crate::oci::layer::NamedLayer;
use crate::oci::reader::Blobs;
use crate::oci::rootfs::Tree;
use crate::oci::unpack::uncompressed;
use crate::plan::ImagePlan;
use crate::support::errors::Errors;
use crate::support::files;

/// An image's files with ABI records.
pub struct Contents {
    /// Path in the image and content, sorted.
    files: Vec<(Utf8PathBuf, Vec<u8>)>,
    /// Which of them the image starts.
    host: Option<usize>,
    /// What the image's libraries export.
    there: Exported,
}

/// The root file system of a finished image; the base's files were read from its layers.
pub fn tree(image: &Image, base: &BaseFiles) -> Result<Tree> {
    let mut tree = base.tree.clone();
    for NamedLayer { name, layer, .. } in &image.own_layers {
        let tar = uncompressed(&image.store.read(&layer.digest)?);
        tar.and_then(|tar| tree.add_bytes(tar)).with_context(|| format!("unpacking the layer {name}"))?;
    }
    Ok(tree)
}

/// A plugin, as `--format json` shows it.
#[derive(Serialize)]
pub struct PluginReport {
    pub name: String,
    pub version: String,
    /// In the image, beside the host.
    pub file: String,
    pub abi: Record,
}

/// The plugins by what their files say.
pub fn plugins(dist: &Dist) -> Result<Vec<PluginReport>> {
    let report = |plugin: &BuiltPlugin| {
        let path = &plugin.file.path;
        let abi = provost_record::read(&files::read(path)?).with_context(|| format!("reading {path}"))?;
        let (name, version) = (plugin.name.clone(), plugin.version.clone());
        Ok(PluginReport { name, version, file: plugin.file.name.clone(), abi })
    };
    dist.plugins.iter().map(report).collect()
}

/// Checks that the host and every plugin of the plan, as they are in the image, fit together.
pub fn check(tree: &Tree, plan: &ImagePlan) -> Result<()> {
    let build = &plan.build;
    let place = |name: &str| build.host.working_dir.join(name);
    let mut files = Vec::new();
    let plugins = build.plugins.iter().map(|plugin| build.file_name(plugin));
    for path in std::iter::once(build.host.package.clone()).chain(plugins).map(|name| place(&name)) {
        let bytes = tree.read(&path)?.with_context(|| format!("the image has no {path}"))?;
        files.push((path, bytes));
    }
    let contents = Contents { there: exported(tree, &files, &place(&build.host.package))?, files, host: Some(0) };
    let mut errors = Errors::default();
    for report in contents.reports() {
        match report {
            Ok(Report { file, inspection, comparison }) => {
                if inspection.seal != Seal::Sealed {
                    errors.push(format!("{file} is {}: it is not the file that was built", inspection.seal));
                }
                let Some(comparison) = comparison else { continue };
                if !comparison.differences.is_empty() {
                    let table = provost_record::table(&comparison.differences);
                    errors.push(format!("{file} was built against a different SDK than the host:\n{table}"));
                }
                if let Some(missing) = comparison.missing {
                    errors.push(format!("{file}: {missing}"));
                }
            }
            Err(error) => errors.push(format!("{error:#}")),
        }
    }
    errors.report("the finished image")
}

impl Contents {
    pub fn read(blobs: &Blobs) -> Result<Contents> {
        let (config, layers) = blobs.image()?;
        let mut tree = Tree::default();
        for layer in layers {
            let tar = uncompressed(&blobs.read(&layer)?);
            tar.and_then(|tar| tree.add_bytes(tar)).with_context(|| format!("unpacking the layer {layer}"))?;
        }
        let started = config.config.program().map(|program| tree.resolve(&program)).transpose()?;
        let mut files = Vec::new();
        for path in tree.files() {
            let bytes = tree.read(path)?.unwrap_or_default();
            let of_others = [ReadError::NotElf, ReadError::NotElf64, ReadError::NoRecord];
            match inspect(&bytes) {
                Err(ReadError::Machine(_) | ReadError::NotShared(_)) => {}
                Err(error) if of_others.contains(&error) => {}
                _ => files.push((Utf8Path::new("/").join(path), bytes)),
            }
        }
        let is_host = |path: &Utf8Path| started.as_ref().is_some_and(|host| path == Utf8Path::new("/").join(host));
        let host = files.iter().position(|(path, _)| is_host(path));
        let there = match host {
            Some(host) => exported(&tree, &files, &files[host].0)?,
            None => Exported::default(),
        };
        Ok(Contents { files, host, there })
    }

    /// The record of each file, or why it could not be read.
    pub fn reports(&self) -> impl Iterator<Item = Result<Report<'_>>> {
        let host = self.host.map(|host| &self.files[host]);
        let host = host.and_then(|(path, bytes)| Some((path, inspect(bytes).ok()?.record)));
        self.files.iter().enumerate().map(move |(index, (path, bytes))| {
            let failed = |error| anyhow!("{path}: {error}");
            let inspection = inspect(bytes).map_err(failed)?;
            let comparison = match &host {
                Some((host, record)) if self.host != Some(index) => Some(Comparison {
                    with: host.to_string(),
                    differences: compare(&inspection.record, record),
                    missing: missing(bytes, &self.there).map_err(failed)?,
                }),
                _ => None,
            };
            Ok(Report { file: path.to_string(), inspection, comparison })
        })
    }
}

/// What the libraries export that these files need. Where the dynamic linker would look depends on its configuration, so a
/// library is taken from anywhere, first from beside the host. Only a start shows whether the linker finds it there.
fn exported(tree: &Tree, files: &[(Utf8PathBuf, Vec<u8>)], host: &Utf8Path) -> Result<Exported> {
    let program = tree.read(host)?.with_context(|| format!("the image has no {host}"))?;
    let interpreter = Elf::parse(&program).with_context(|| format!("reading {host}"))?.interpreter;
    let beside = host.parent().unwrap_or(Utf8Path::new("/"));
    let needing = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    Exported::gather(needing, |name| {
        let interpreter = interpreter.as_deref().map(Utf8Path::new).filter(|place| is_interpreter(place, name));
        let anywhere = tree.named(name).map(Utf8Path::to_owned);
        let places = interpreter.map(Utf8Path::to_owned).into_iter().chain([beside.join(name)]).chain(anywhere);
        for place in places {
            if let Some(bytes) = tree.read(&place)?.filter(|bytes| bytes.starts_with(b"\x7fELF")) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    })
}
