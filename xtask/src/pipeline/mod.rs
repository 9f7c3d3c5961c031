//! What `image` does, from a request to a report: the stages, one after the other. Every command calls it.

pub mod buildx;
pub mod directories;
pub mod dockerfile;
pub mod layers;
pub mod matrix;
pub mod platforms;
pub mod prepare;
pub mod registry_cache;
mod remember;
pub mod report;
pub mod request;

use anyhow::{Result, ensure};

use crate::assemble::{Image, assemble};
use crate::attest;
use crate::cargo::toolchain::Toolchain;
use crate::compile;
use crate::containers::engine::Engine;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::Digest;
use crate::outside;
use crate::pipeline::prepare::Prepared;
use crate::pipeline::report::{ImageReport, NamedDocument};
use crate::pipeline::request::{BuildRequest, ImageRequest};
use crate::plan::{BuildPlan, ImagePlan};
use crate::publish::deliver::deliver;
use crate::publish::output::Output;
use crate::publish::push::Push;
use crate::reproduce;
use crate::source::copy;
use crate::support::session::Session;
use crate::support::threads::at_once;
use crate::support::ui::Stages;
use crate::verify::{Verification, contents, verify};

/// Makes an image, verifies it, and delivers it.
pub fn image(session: &Session, request: &ImageRequest) -> Result<ImageReport> {
    let mut stages = Stages::new(&session.ui);
    request.outputs.iter().try_for_each(Output::check)?;
    let prepared = stages.run("plan", || prepare::image(session, &request.plan))?;
    let Prepared { checkout: _, plan, base, engine } = &prepared;
    let engine = engine.as_ref();
    let receiver = engine.filter(|_| request.load);
    let push =
        request.push.as_deref().map(|name| Push::prepare(&session.ui, name, request.sign, engine)).transpose()?;
    session.ui.status("Planning", plan.build.summary()?);
    plan.forecast.announce(&session.ui);
    prepare::announce_lock(session, &plan.build);
    prepare::announce_crypto(session, &plan.build)?;
    let (dist, taken_from) = stages.run("build", || registry_cache::build(session, &plan.build, &request.cache))?;
    prepare::update_lock(session, &plan.build)?;
    let (before, image) = stages.run("assemble", || {
        let before = || receiver.map(|engine| engine.inspect(&session.ui, &plan.image)).transpose();
        at_once(before, || assemble(session, plan, &dist, base))
    });
    let (before, image) = (before?.flatten(), image?);
    let layers = layers::finished(plan, &image);
    layers::report(&session.ui, plan, &layers);
    let (documents, verification) = at_once(
        || attest::describe(&session.paths, plan, &dist, &image),
        || {
            stages.run("verify", || match request.verify {
                true => verify(session, plan, &image, base, engine, (request.load, before.as_ref())),
                false => contents::check(&contents::tree(&image, base)?, plan).map(|()| Verification::default()),
            })
        },
    );
    let (Verification { verified, loaded }, documents) = (verification?, documents?);
    if verified.is_none() {
        session.ui.status("Not verified", "the image was not started");
    }
    let reproduce = || {
        let sources = copy::digest(&session.paths.sources())?;
        reproduce::verify(session, plan, &image, |session| again(session, &prepared, &sources))
    };
    let reproduced = request.verify_reproducible.then(|| stages.run("reproduce", reproduce)).transpose()?;
    stages.run("deliver", || {
        deliver(session, plan, &image, &documents, &request.outputs, receiver, (before.as_ref(), loaded))
    })?;
    remember::remember(&session.paths, plan, &dist, &image)?;
    let push = || push.map(|push| push.run(session, plan, &image, &documents)).transpose();
    let pushed = stages.run("push", push)?;
    let archive = session.paths.archive(&plan.build.host.name);
    Ok(ImageReport {
        sizes: image.sizes(),
        manifest_digest: image.manifest_digest,
        config_digest: image.config_digest,
        documents: documents.iter().map(|document| NamedDocument::new(document, &archive)).collect(),
        archive,
        taken_from,
        loaded_into: receiver.map(Engine::program),
        verified,
        reproduced,
        pushed,
        command: plan.command.clone(),
        entrypoint: plan.entrypoint,
        plugins: contents::plugins(&dist)?,
        layers,
        milliseconds: stages.finish(),
        plan: prepared.plan,
    })
}

/// Compiles on this machine, into the dist directory.
pub fn build(session: &Session, request: &BuildRequest) -> Result<BuildPlan> {
    let checkout = outside::checkout(session, &request.selection, false)?;
    let toolchain = Toolchain::find(&session.ui, &session.paths.root, None)?;
    let mut plan = prepare::build(session, &checkout, request.locked, BuildEnvironment::Local, toolchain)?;
    if request.quick {
        plan = plan.for_runs();
    }
    session.ui.status("Planning", plan.summary()?);
    prepare::announce_lock(session, &plan);
    prepare::announce_crypto(session, &plan)?;
    compile::build(session, &plan)?;
    prepare::update_lock(session, &plan)?;
    Ok(plan)
}

/// The same image once more, in the session's target directory, from sources with this digest.
fn again(session: &Session, prepared: &Prepared, sources: &Digest) -> Result<Image> {
    let Prepared { checkout, plan, base, .. } = prepared;
    let (environment, toolchain) = (plan.build.environment.clone(), plan.build.toolchain.clone());
    // Of a part of the tree the lock file was not kept: it is resolved again, and the same.
    let locked = !plan.build.is_partial();
    let build = prepare::build(session, checkout, locked, environment, toolchain)?.on(&plan.base, base.layers.len())?;
    ensure!(
        copy::digest(&session.paths.sources())? == *sources,
        "the tree changed during the build; do not edit it until the images are compared"
    );
    let forecast = prepare::forecast(session, &build, base)?;
    let plan = ImagePlan::new(build, plan.base.clone(), Some(plan.image.clone()), forecast)?;
    let dist = compile::build(session, &plan.build)?;
    assemble(session, &plan, &dist, base)
}
