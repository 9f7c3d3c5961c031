//! Verifies a finished image: checks the files in its layers, then runs its own command with the host's check flag, in the unpacked root
//! file system, or in a container if that does not succeed here.

pub mod contents;
pub mod loaded;
mod unpacked;

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::assemble::Image;
use crate::base::layers::BaseFiles;
use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::containers::engine::run::FOREIGN;
use crate::containers::labels::Labels;
use crate::oci::digest::Digest;
use crate::plan::ImagePlan;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::threads::at_once;
use crate::verify::loaded::Loaded;
use crate::verify::unpacked::Outcome;

/// The result of this stage.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verified {
    pub manifest_digest: Digest,
    /// `docker`, `podman`, `chroot` or `user namespace`.
    pub by: String,
    /// What the host printed.
    pub said: String,
}

/// What is known of an image after this stage.
#[derive(Default)]
pub struct Verification {
    /// `None` if nothing here can start the image.
    pub verified: Option<Verified>,
    /// The image in the container engine that is to keep it, if it was asked for that.
    pub loaded: Option<Loaded>,
}

/// An error if the image does not start. An image that was verified once is not verified again. `keep`: the engine is to keep the
/// image, and loads it meanwhile, in place of the one `before`.
pub fn verify(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    base: &BaseFiles,
    engine: Option<&Engine>,
    (keep, before): (bool, Option<&ImageInfo>),
) -> Result<Verification> {
    let Session { ui, paths, .. } = session;
    let verified = already(paths, image);
    if verified.is_some() {
        return Ok(Verification { verified, loaded: None });
    }
    let mut command = plan.command.clone();
    command.push(plan.build.host.check_flag.clone());
    // Loading takes longer than all else: the engine begins at once.
    let (loaded, here) = at_once(
        || engine.filter(|_| keep).map(|engine| Loaded::load(ui, engine, image, before)),
        || {
            let tree = contents::tree(image, base)?;
            contents::check(&tree, plan)?;
            anyhow::Ok(unpacked::start(session, plan, (&tree, &base.env), &command, engine.is_none()))
        },
    );
    let here = here.inspect_err(|_| {
        if let (Some(engine), Some(Ok(loaded))) = (engine, &loaded) {
            loaded.discard(ui, engine);
        }
    })?;
    let loaded = loaded.transpose()?;
    let started = match (here, engine) {
        (Ok(Outcome::Started { by, said }), _) => Some((by, said)),
        // A container may have what this machine denies.
        (_, Some(engine)) => {
            // An entrypoint is there already.
            let args = if plan.entrypoint { &command[plan.command.len()..] } else { &command };
            in_engine(session, plan, image, engine, loaded.as_ref(), args)?
        }
        (Ok(Outcome::Failed(error)) | Err(error), None) => return Err(error),
        (Ok(Outcome::NotTried(why)), None) => {
            ui.warning(format!("the image is not verified: docker and podman are not available, and {why}"));
            None
        }
    };
    let Some((by, said)) = started else { return Ok(Verification { verified: None, loaded }) };
    ui.status("Verifying", format!("{} ({by}): {said}", command.join(" ")));
    let verified = Verified { manifest_digest: image.manifest_digest, by: by.to_owned(), said };
    let text = serde_json::to_vec(&verified)?;
    files::write_atomically(&paths.verified(), |out| Ok(out.write_all(&text)?))?;
    Ok(Verification { verified: Some(verified), loaded })
}

fn already(paths: &Paths, image: &Image) -> Option<Verified> {
    let verified: Verified = serde_json::from_slice(&fs::read(paths.verified()).ok()?).ok()?;
    (verified.manifest_digest == image.manifest_digest).then_some(verified)
}

/// Starts the image in a container; `kept` if the engine keeps it. Returns by what it was started and what the host printed, or `None` if
/// it is for another architecture.
fn in_engine(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    engine: &Engine,
    kept: Option<&Loaded>,
    args: &[String],
) -> Result<Option<(&'static str, String)>> {
    let ui = &session.ui;
    let labels = Labels::new(session)?;
    let found = kept.is_none().then(|| Loaded::load(ui, engine, image, None)).transpose()?;
    let loaded = kept.or(found.as_ref()).context("an image is kept, or found")?;
    labels.remove_leftovers(ui, engine)?;
    let checked = engine.check(ui, &labels.process_name("verify"), &labels.options(), &loaded.id, args);
    let foreign = match &checked {
        Err(error) if format!("{error:#}").contains(FOREIGN) => {
            Some(format!("linux/{}", engine.architecture(ui)?)).filter(|native| plan.platform != *native)
        }
        _ => None,
    };
    if kept.is_none() || checked.is_err() && foreign.is_none() {
        loaded.discard(ui, engine);
    }
    if let Some(native) = foreign {
        ui.status(
            "Not started",
            format!(
                "other architecture: {engine} runs {native} and has no emulator for {}; ABI records and libraries were checked by \
                 reading",
                plan.platform
            ),
        );
        return Ok(None);
    }
    Ok(Some((engine.program(), checked?)))
}
