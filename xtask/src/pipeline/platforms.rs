//! Images of one tree for several platforms, and the index that names them.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Serialize;

use crate::containers::engine::Engine;
use crate::oci::digest::Digest;
use crate::oci::reference;
use crate::pipeline;
use crate::pipeline::report::ImageReport;
use crate::pipeline::request::{ImageRequest, PlanRequest};
use crate::publish::index::{self, Index};
use crate::publish::output::{self, Output};
use crate::publish::sign;
use crate::source::manifest;
use crate::source::matrix::Platform;
use crate::support::files;
use crate::support::session::Session;

/// The index, and its images.
#[derive(Serialize)]
pub struct PlatformsReport {
    pub index_digest: Digest,
    /// The layout of the index with its images.
    pub layout: Utf8PathBuf,
    pub pushed: Option<String>,
    pub images: Vec<ImageReport>,
}

/// What differs from platform to platform.
pub struct PlatformsRequest {
    /// For each platform.
    pub plans: Vec<(Platform, PlanRequest)>,
    /// For the first platform; its outputs, its push and its signature are the index's.
    pub image: ImageRequest,
}

/// Makes an image for each platform, joins them by digest, and delivers the index. A container engine gets the image of its own platform, or
/// else the first.
pub fn images(session: &Session, request: PlatformsRequest) -> Result<PlatformsReport> {
    let PlatformsRequest { plans, image } = request;
    let ui = &session.ui;
    let name = manifest::read(&session.paths.root)?.image().name.clone();
    output::check_layouts(&image.outputs)?;
    let push = image.push.as_deref().map(|name| reference::in_registry("--push", name)).transpose()?;
    if push.is_some() {
        index::check_push(ui)?;
    }
    if image.sign {
        sign::check(ui)?;
    }
    let native = Engine::find(ui, &[]).and_then(|engine| engine.architecture(ui)).unwrap_or_default();
    let position = plans.iter().position(|(platform, _)| platform.architecture == native).unwrap_or_default();
    let (mut images, mut layouts) = (Vec::new(), Vec::new());
    for (at, (platform, plan)) in plans.into_iter().enumerate() {
        let inside = session.inside(&session.paths.for_platform(&platform.architecture));
        let layout = inside.paths.platforms_layout(&name);
        files::remove(&layout)?;
        let request = ImageRequest {
            plan,
            outputs: vec![Output::Layout(layout.clone())],
            push: None,
            sign: false,
            cache: image.cache.of_platform(&platform.architecture),
            load: at == position,
            verify: image.verify,
            verify_reproducible: image.verify_reproducible,
        };
        let report = pipeline::image(&inside, &request)?;
        match report.loaded_into {
            Some(engine) => ui.status("Loaded", format!("{platform} into {engine}, which has one platform of a name")),
            None => ui.status("Not loaded", format!("{platform}: it is in the index alone")),
        }
        images.push(report);
        layouts.push(layout);
    }
    let joined = Index::join(&layouts)?;
    let layout = session.paths.platforms_layout(&name);
    let tag = push.as_ref().or(images.first().map(|image| &image.plan.image)).cloned().unwrap_or(name);
    let standard = Output::Layout(layout.clone());
    for output in std::iter::once(&standard).chain(&image.outputs) {
        let verb = if joined.write(output.path(), &tag)? { "Written" } else { "Unchanged" };
        ui.status(verb, format!("{}, the index of {} platforms", session.paths.relative(output.path()), images.len()));
    }
    if let Some(reference) = &push {
        joined.deliver(session, reference, image.sign)?;
    }
    Ok(PlatformsReport { index_digest: joined.digest(), layout, pushed: push, images })
}
