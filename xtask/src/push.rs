//! Brings an image to a registry: by skopeo the very bytes of the archive, by docker or podman what they make of them.

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use serde::Serialize;

use crate::plan::reference;
use crate::process::Invocation;
use crate::runtime::Runtime;
use crate::ui::Ui;

/// Where to, and by what.
pub struct Push {
    reference: String,
    by: Pusher,
}

enum Pusher {
    Skopeo,
    Runtime(Runtime),
}

/// What a registry has now.
#[derive(Serialize)]
pub struct Pushed {
    pub reference: String,
    /// The manifest's, as the registry knows it.
    pub digest: String,
}

impl Push {
    /// What can be known before anything compiles.
    pub fn prepare(ui: &Ui, name: &str, runtime: Option<&Runtime>) -> Result<Push> {
        let reference = reference::parse(name)?;
        if !reference::names_registry(&reference) {
            bail!("--push {name} names no registry; write it out, as in ghcr.io/you/{name}");
        }
        let skopeo = Invocation::new("skopeo", ["--version"]).output(ui);
        let by = match (skopeo.is_ok_and(|output| output.status.success()), runtime) {
            (true, _) => Pusher::Skopeo,
            (false, Some(runtime)) => Pusher::Runtime(runtime.clone()),
            (false, None) => bail!("--push needs skopeo, docker or podman; install one of them"),
        };
        Ok(Push { reference, by })
    }

    /// `name` is what the runtime has the image under. How the registry is reached, and as whom, is set in the tool's own
    /// configuration.
    pub fn run(self, ui: &Ui, archive: &Utf8Path, name: &str, digest: &str) -> Result<Pushed> {
        let reference = &self.reference;
        let there = match &self.by {
            Pusher::Skopeo => {
                let (from, to) = (format!("oci-archive:{archive}"), format!("docker://{reference}"));
                let copy = Invocation::new("skopeo", ["copy", "--quiet", "--preserve-digests", &from, &to]);
                copy.read(ui).with_context(|| format!("pushing {reference}"))?;
                digest.to_owned()
            }
            Pusher::Runtime(runtime) => {
                runtime.tag(ui, name, reference)?;
                runtime.push(ui, reference).with_context(|| format!("pushing {reference}"))?
            }
        };
        ui.status("Pushed", format!("{reference}@{there}"));
        if there != digest {
            ui.warning(format!(
                "the registry has another digest than the archive, {digest}: docker and podman pack layers anew; with skopeo \
                 installed it is the same"
            ));
        }
        Ok(Pushed { reference: self.reference, digest: there })
    }
}
