//! Writes the Dockerfile that makes the image of a tree on any builder.

use anyhow::{Result, bail, ensure};

use crate::assemble::dockerfile::{self, Parts};
use crate::base::{Base, is_no_image};
use crate::cargo::query;
use crate::cargo::toolchain::{self, Toolchain};
use crate::containers::dockerfile::{Part, part, read};
use crate::containers::images::{BASE_FILE, BUILDER_FILE};
use crate::environment::options::BuildEnvironment;
use crate::outside;
use crate::pipeline::request::PlanRequest;
use crate::plan::BuildPlan;
use crate::source::{copy, left_out, revision};
use crate::support::session::Session;

/// In the builder of the Dockerfile, the base image is one tar.
const BASE_LAYERS: usize = 1;

/// The Dockerfile, and the plan that it follows. The sources are in the copy.
pub fn dockerfile(session: &Session, request: &PlanRequest) -> Result<(String, BuildPlan)> {
    let paths = &session.paths;
    let (environment, selection) = (&request.environment, &request.selection);
    ensure!(
        selection.with.is_empty(),
        "--with: a Dockerfile sees the tree alone; add the plugin with `cargo xtask add`"
    );
    let checkout = outside::checkout(session, selection, request.test_plugins)?;
    let named = |image: &str, name: &str| Part {
        arguments: String::new(),
        stages: format!("FROM {image} AS {name}\n"),
        name: name.to_owned(),
    };
    let builder = match &environment.builder_image {
        Some(image) => named(image, "builder"),
        None => part(&paths.root.join(BUILDER_FILE), "builder")?,
    };
    let (base, base_name) = match &environment.base {
        Some(image) if is_no_image(image) => {
            bail!("--base {image}: a Dockerfile starts from an image by its name; push it to a registry, or load it")
        }
        Some(image) => (named(image, "base"), image.clone()),
        None => {
            let path = paths.root.join(BASE_FILE);
            (part(&path, "base")?, read(&path)?.base().unwrap_or(BASE_FILE).to_owned())
        }
    };
    let left_out = copy::sync(paths, &checkout.workspace, &checkout.discovered)?;
    left_out::announce(&session.ui, &left_out);
    let channel = environment.toolchain.clone().map_or_else(|| toolchain::pinned(&paths.root), Ok)?;
    let toolchain = Toolchain { channel, ..Toolchain::default() };
    let plan = BuildPlan::new(&checkout, &query::members(session)?, BuildEnvironment::Local, toolchain)?;
    let mut plan = BuildPlan { origin: revision::query(session, &left_out)?, ..plan.on(&Base::Scratch, BASE_LAYERS)? };
    plan.host.entrypoint |= request.entrypoint;
    let mut options = Vec::new();
    for (option, names) in [("--only", &selection.only), ("--without", &selection.without)] {
        if !names.is_empty() {
            options.push(format!("{option} {}", names.join(",")));
        }
    }
    options.extend(environment.toolchain.iter().map(|channel| format!("--toolchain {channel}")));
    let locked = paths.root.join("Cargo.lock").exists();
    let text = dockerfile::write(&plan, &Parts { builder, base, base_name: &base_name, options, locked })?;
    Ok((text, plan))
}
