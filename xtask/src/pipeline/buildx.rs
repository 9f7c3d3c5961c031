//! The image by buildx, on whatever builder it has: another machine, a cluster.

use anyhow::Result;
use serde::Serialize;

use crate::containers::engine::buildx::{self, Build, To};
use crate::oci::documents::REVISION;
use crate::oci::reference;
use crate::pipeline::dockerfile::dockerfile;
use crate::pipeline::request::PlanRequest;
use crate::publish::sign;
use crate::support::files;
use crate::support::session::Session;

pub struct BuildxRequest {
    pub plan: PlanRequest,
    /// The builder's name; the current one if there is none.
    pub builder: Option<String>,
    /// The `NAME:TAG` to push it under.
    pub push: Option<String>,
    pub sign: bool,
}

/// What was built.
#[derive(Serialize)]
pub struct BuildxReport {
    /// The image in docker.
    pub image: String,
    /// As the builder says it: the manifest's, or with docker's own builder the configuration's.
    pub digest: String,
    pub pushed: Option<PushedByBuildx>,
    /// How the host is started.
    pub command: Vec<String>,
    /// Whether this is the image's `Entrypoint`, and not its `Cmd`.
    pub entrypoint: bool,
}

#[derive(Serialize)]
pub struct PushedByBuildx {
    pub reference: String,
    /// Of the manifest.
    pub digest: String,
    pub signed: bool,
}

/// Builds the image from the tree's Dockerfile, which starts it to check it, loads it into docker, and pushes it.
pub fn image(session: &Session, request: &BuildxRequest) -> Result<BuildxReport> {
    let Session { ui, paths, .. } = session;
    buildx::check(ui)?;
    let push = request.push.as_deref().map(|name| reference::in_registry("--push", name)).transpose()?;
    if request.sign {
        sign::check(ui)?;
    }
    let (text, plan) = dockerfile(session, &request.plan)?;
    let (file, image) = (paths.dockerfile(), plan.image_name(request.plan.image.as_deref()));
    files::write_changed(&file, text.as_bytes())?;
    let labels: Vec<String> = plan.origin.revision.iter().map(|revision| format!("{REVISION}={revision}")).collect();
    let build = Build {
        builder: request.builder.as_deref(),
        dockerfile: &file,
        context: &paths.sources(),
        labels: &labels,
        metadata: &paths.pushed_digest(),
    };
    ui.status("Building", format!("{image} from {} (buildx)", paths.relative(&file)));
    let digest = build.run(ui, &To::Engine(&image))?;
    ui.status("Loaded", format!("{image} into docker"));
    let pushed = match &push {
        None => None,
        Some(reference) => {
            let digest = build.run(ui, &To::Registry(reference))?;
            ui.status("Pushed", format!("{reference}@{digest}"));
            match request.sign {
                true => sign::index(ui, &reference::pinned(reference, &digest))?,
                false => ui.status("Not signed", format!("{reference}; `--sign` signs it")),
            }
            Some(PushedByBuildx { reference: reference.clone(), digest, signed: request.sign })
        }
    };
    let (command, entrypoint) = (plan.command(&plan.host.config), plan.host.entrypoint);
    Ok(BuildxReport { image, digest, pushed, command, entrypoint })
}
