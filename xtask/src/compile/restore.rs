//! Fills the dist directory with files that another machine built from the same inputs, and sealed. Nothing that it says of itself is
//! taken for true.

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Component, Utf8Path};
use provost_record::Seal;

use crate::compile::{Dist, DistFile, auditable, dist};
use crate::plan::BuildPlan;
use crate::support::files;
use crate::support::paths::Paths;

/// Checks the files and makes the dist directory hold them.
///
/// # Errors
///
/// If one of them is not what this plan would build.
pub fn restore(paths: &Paths, plan: &BuildPlan, mut built: Dist) -> Result<Dist> {
    let expected: Vec<String> = plan.plugins.iter().map(|plugin| plan.file_name(plugin)).collect();
    let found: Vec<&str> = built.plugins.iter().map(|plugin| plugin.file.name.as_str()).collect();
    ensure!(built.host.name == plan.host.package && found == expected, "it has other plugins: {}", found.join(", "));
    check_names(&built)?;
    let std = built.std.as_ref().map(|file| files::read(&file.path)).transpose()?;
    let std = std.map(|bytes| provost_record::seal::digest(&bytes));
    for (package, file) in dist::packages(plan).zip(built.compiled()) {
        check_file(plan, package, file, std.as_ref()).with_context(|| file.name.clone())?;
    }
    dist::check_records(&built.host, &built.plugins)?;
    let (host, sdk) = (files::read(&built.host.path)?, files::read(&built.sdk.path)?);
    let differences = provost_record::compare(&provost_record::read_sdk(&sdk)?, &provost_record::read(&host)?);
    ensure!(differences.is_empty(), "the host was built with another SDK:\n{}", provost_record::table(&differences));
    dist::check_imports(&built)?;
    dist::write(&paths.dist(), &mut built)?;
    Ok(built)
}

/// Every name stays inside of the directory that it is written to.
fn check_names(built: &Dist) -> Result<()> {
    let is_inside = |path: &Utf8Path| path.components().all(|part| matches!(part, Utf8Component::Normal(_)));
    let files = built.files().map(|file| Utf8Path::new(&file.name));
    let assets = built.plugins.iter().flat_map(|plugin| &plugin.assets).map(|asset| asset.name.as_path());
    let outside = files.chain(assets).find(|name| !is_inside(name));
    outside.map_or(Ok(()), |name| bail!("it names the path {name}, which is outside of it"))
}

/// Whether the file was built whole, of this package, with these crates and with this std.
fn check_file(plan: &BuildPlan, package: &str, file: &DistFile, std: Option<&String>) -> Result<()> {
    let bytes = files::read(&file.path)?;
    ensure!(provost_record::seal(&bytes)? == Seal::Sealed, "it is not the file that was built");
    ensure!(provost_record::seal::std_digest(&bytes)?.as_ref() == std, "it was built with another std");
    ensure!(auditable::is_there(plan, package, &bytes)?, "it is another package, or other crates are linked into it");
    Ok(())
}
