//! The crates that are linked into a built file, in the file itself: scanners find them in an image without its SBOM.
//! Source: <https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md>.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use crate::cargo::resolution::{Crate, Source};
use crate::elf::edit;
use crate::plan::BuildPlan;

const SECTION: &str = ".dep-v0";

#[derive(Serialize)]
struct VersionInfo<'a> {
    packages: Vec<Package<'a>>,
}

#[derive(Serialize)]
struct Package<'a> {
    name: &'a str,
    version: &'a str,
    source: &'static str,
    /// Indices into the list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    root: bool,
}

/// Adds the list to the file of a package of the tree. What host and plugins use of the SDK is in the SDK's own file.
pub fn add(plan: &BuildPlan, name: &str, file: &mut Vec<u8>) -> Result<()> {
    if edit::section(file, SECTION)?.is_some() {
        return Ok(());
    }
    edit::append(file, SECTION, &packed(plan, name)?)
}

/// Whether a file has this list.
pub fn is_there(plan: &BuildPlan, name: &str, file: &[u8]) -> Result<bool> {
    Ok(edit::section(file, SECTION)? == Some(packed(plan, name)?.as_slice()))
}

fn packed(plan: &BuildPlan, name: &str) -> Result<Vec<u8>> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(&serde_json::to_vec(&list(plan, name)?)?)?;
    Ok(zlib.finish()?)
}

fn list<'a>(plan: &'a BuildPlan, name: &str) -> Result<VersionInfo<'a>> {
    let resolution = &plan.resolution;
    let member =
        |name: &str| resolution.member(name).with_context(|| format!("`cargo tree` named no package `{name}`"));
    let (package, sdk) = (member(name)?, member(&plan.host.sdk)?);
    let linked = resolution.linked(package, sdk);
    let index: BTreeMap<&Crate, usize> = linked.iter().enumerate().map(|(index, found)| (*found, index)).collect();
    let packages = linked.iter().map(|found| {
        let is_elsewhere = *found == sdk && package != sdk;
        let compiled = resolution.crates().get(*found).filter(|_| !is_elsewhere);
        let dependencies = compiled.into_iter().flat_map(|compiled| &compiled.dependencies);
        let mut dependencies: Vec<usize> = dependencies.filter_map(|needed| index.get(needed).copied()).collect();
        dependencies.sort_unstable();
        let source = match &found.source {
            Source::Registry => "crates.io",
            Source::Tree(_) => "local",
            Source::Other(source) if source.starts_with("registry ") => "registry",
            Source::Other(source) if source.contains("://") => "git",
            // A directory outside of the tree.
            Source::Other(_) => "local",
        };
        Package { name: &found.name, version: &found.version, source, dependencies, root: *found == package }
    });
    Ok(VersionInfo { packages: packages.collect() })
}
