//! Verifies a finished image: checks the files in its layers, then runs its own command with the host's check flag, in the unpacked root
//! file system, or in a container if that does not succeed here.

pub mod contents;
mod unpacked;

use std::fs;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::assemble::{Image, archive};
use crate::base::layers::BaseFiles;
use crate::containers::engine::Engine;
use crate::containers::engine::run::FOREIGN;
use crate::containers::labels::Labels;
use crate::oci::digest::Digest;
use crate::plan::ImagePlan;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::threads::at_once;
use crate::support::ui::Ui;
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
    /// Its id in the container engine that is to keep it, if it was asked for that.
    pub held: Option<String>,
}

/// An error if the image does not start. An image that was verified once is not verified again. `keep`: the engine is to keep the
/// image, and loads it meanwhile.
pub fn verify(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    base: &BaseFiles,
    engine: Option<&Engine>,
    keep: bool,
) -> Result<Verification> {
    let Session { ui, paths, .. } = session;
    let verified = already(paths, image);
    if verified.is_some() {
        return Ok(Verification { verified, held: None });
    }
    let mut command = plan.command.clone();
    command.push(plan.build.host.check_flag.clone());
    // Loading takes longer than all else: the engine begins at once.
    let (loaded, here) = at_once(
        || engine.filter(|_| keep).map(|engine| Loaded::find(ui, engine, image)),
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
    let held = loaded.as_ref().map(|loaded| loaded.id.clone());
    let started = match (here, engine) {
        (Ok(Outcome::Started { by, said }), _) => Some((by, said)),
        // A container may have what this machine denies.
        (_, Some(engine)) => in_engine(session, plan, image, engine, loaded, &command)?,
        (Ok(Outcome::Failed(error)) | Err(error), None) => return Err(error),
        (Ok(Outcome::NotTried(why)), None) => {
            ui.warning(format!("the image is not verified: docker and podman are not available, and {why}"));
            None
        }
    };
    let Some((by, said)) = started else { return Ok(Verification { verified: None, held }) };
    ui.status("Verifying", format!("{} ({by}): {said}", command.join(" ")));
    let verified = Verified { manifest_digest: image.manifest_digest, by: by.to_owned(), said };
    let text = serde_json::to_vec(&verified)?;
    files::write_atomically(&paths.verified(), |out| Ok(out.write_all(&text)?))?;
    Ok(Verification { verified: Some(verified), held })
}

fn already(paths: &Paths, image: &Image) -> Option<Verified> {
    let verified: Verified = serde_json::from_slice(&fs::read(paths.verified()).ok()?).ok()?;
    (verified.manifest_digest == image.manifest_digest).then_some(verified)
}

/// An image in a container engine, without a name: no name may point to an image that does not start.
struct Loaded {
    id: String,
    /// Whether it was there before. Then it belongs to somebody else.
    known: bool,
}

impl Loaded {
    fn find(ui: &Ui, engine: &Engine, image: &Image) -> Result<Loaded> {
        if let Some(id) = held(ui, engine, image)? {
            return Ok(Loaded { id, known: true });
        }
        let id = engine.load(ui, |out| archive::write(image, None, out))?;
        Ok(Loaded { id, known: false })
    }

    /// Removes an image that is not to be kept. An error of the removal would hide the real one.
    fn discard(&self, ui: &Ui, engine: &Engine) {
        if !self.known {
            let _ = engine.remove(ui, &self.id);
        }
    }
}

/// Starts the image in a container; `loaded` if the engine keeps it. Returns by what it was started and what the host printed, or `None` if
/// it is for another architecture.
fn in_engine(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    engine: &Engine,
    loaded: Option<Loaded>,
    command: &[String],
) -> Result<Option<(&'static str, String)>> {
    let ui = &session.ui;
    let labels = Labels::new(session)?;
    let keep = loaded.is_some();
    let loaded = loaded.map_or_else(|| Loaded::find(ui, engine, image), Ok)?;
    labels.remove_leftovers(ui, engine)?;
    let checked = engine.check(ui, &labels.process_name("verify"), &labels.options(), &loaded.id, command);
    let foreign = match &checked {
        Err(error) if format!("{error:#}").contains(FOREIGN) => {
            Some(format!("linux/{}", engine.architecture(ui)?)).filter(|native| plan.platform != *native)
        }
        _ => None,
    };
    if !keep || checked.is_err() && foreign.is_none() {
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

/// The container engine's id of this image: the digest of its configuration, or with a containerd image store of its
/// manifest.
pub fn held(ui: &Ui, engine: &Engine, image: &Image) -> Result<Option<String>> {
    let [config, manifest] = [&image.config_digest, &image.manifest_digest].map(ToString::to_string);
    Ok(engine.inspect_first(ui, &[&config, &manifest])?.map(|info| info.id))
}
