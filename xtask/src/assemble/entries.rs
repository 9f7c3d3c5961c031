//! Lists the content of each of our layers.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::assemble::closure;
use crate::compile::{Dist, DistFile};
use crate::oci::entry::{Entry, ROOT};
use crate::oci::rootfs::Tree;
use crate::plan::ImagePlan;
use crate::plan::forecast::Content;
use crate::support::files;
use crate::support::paths::Paths;

/// By the layers' names.
pub fn gather<'a>(
    paths: &Paths,
    plan: &'a ImagePlan,
    dist: &Dist,
    base: &Tree,
) -> Result<BTreeMap<&'a str, Vec<Entry>>> {
    let entries = |content: &Content| match content {
        Content::Libraries => libraries(plan, dist, base),
        Content::Host => host(plan, dist),
        Content::Configuration => configuration(paths, plan),
        Content::Plugins(names) => plugins(paths, plan, dist, names),
    };
    plan.layers.iter().map(|layer| Ok((layer.name.as_str(), entries(&layer.what)?))).collect()
}

fn program(plan: &ImagePlan, file: &DistFile) -> Result<Entry> {
    Ok(Entry::file(&plan.build.host.working_dir.join(&file.name), files::read(&file.path)?, true))
}

fn libraries(plan: &ImagePlan, dist: &Dist, base: &Tree) -> Result<Vec<Entry>> {
    let mut entries = closure::find(dist, base, &plan.build.host.working_dir)?;
    for library in std::iter::once(&dist.sdk).chain(&dist.std) {
        entries.push(program(plan, library)?);
    }
    Ok(entries)
}

fn host(plan: &ImagePlan, dist: &Dist) -> Result<Vec<Entry>> {
    let host = &plan.build.host;
    Ok(vec![Entry::dir(&host.state_dir, host.user), program(plan, &dist.host)?])
}

fn configuration(paths: &Paths, plan: &ImagePlan) -> Result<Vec<Entry>> {
    let host = &plan.build.host;
    let default = files::read(&paths.root.join(&host.default_config))?;
    let mut entries = vec![Entry::file(&host.config, default, false)];
    entries.extend(host.plugin_config.iter().map(|dir| Entry::dir(dir, ROOT)));
    Ok(entries)
}

fn plugins(paths: &Paths, plan: &ImagePlan, dist: &Dist, names: &[String]) -> Result<Vec<Entry>> {
    let host = &plan.build.host;
    let mut entries = Vec::new();
    for plugin in dist.plugins.iter().filter(|plugin| names.contains(&plugin.name)) {
        entries.push(program(plan, &plugin.file)?);
        for asset in &plugin.assets {
            let place = host.working_dir.join(&asset.name);
            entries.push(Entry::file(&place, files::read(&asset.path)?, asset.executable));
        }
    }
    for plugin in plan.build.plugins.iter().filter(|plugin| names.contains(&plugin.name)) {
        if let (Some(config), Some(dir)) = (&plugin.assets.config, &host.plugin_config) {
            let bytes = files::read(&paths.sources().join(&plugin.path).join(config))?;
            entries.push(Entry::file(&dir.join(format!("{}.toml", plugin.name)), bytes, false));
        }
    }
    Ok(entries)
}
