//! Pushes an image to a registry: skopeo pushes the bytes of the archive, docker and podman compress the layers again.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::assemble::Image;
use crate::attest::Document;
use crate::containers::engine::Engine;
use crate::containers::engine::images::INVALID_REFERENCE;
use crate::containers::skopeo;
use crate::oci::artifact::Artifact;
use crate::oci::digest::Digest;
use crate::oci::reference;
use crate::plan::ImagePlan;
use crate::publish::{referrers, sign};
use crate::support::command::Invocation;
use crate::support::session::Session;
use crate::support::ui::{Ui, size};

/// Where to, and by what.
pub struct Push {
    reference: String,
    /// Whether what is pushed is signed.
    sign: bool,
    by: Pusher,
}

enum Pusher {
    Skopeo,
    Engine(Engine),
}

/// What a registry has now.
#[derive(Serialize)]
pub struct Pushed {
    pub reference: String,
    /// The manifest's, as the registry knows it.
    pub digest: String,
    /// How many bytes were sent, without the documents; `None` if that is not known.
    pub moved: Option<u64>,
    pub signed: bool,
    /// The digests of the documents, which only skopeo pushes.
    pub referrers: Vec<Digest>,
}

impl Push {
    /// What can be known before anything compiles.
    pub fn prepare(ui: &Ui, name: &str, sign: bool, engine: Option<&Engine>) -> Result<Push> {
        let reference = reference::in_registry("--push", name)?;
        let by = match (skopeo::is_installed(ui), engine) {
            (true, _) => Pusher::Skopeo,
            (false, Some(engine)) => Pusher::Engine(engine.clone()),
            (false, None) => bail!("--push needs skopeo, docker or podman; install one of them"),
        };
        if reference.starts_with('[') {
            check_address(ui, &by, &reference)?;
        }
        if sign {
            sign::check(ui)?;
        }
        Ok(Push { reference, sign, by })
    }

    /// Pushes the image, then its documents. Address and login of the registry are set in the tool's own
    /// configuration.
    pub fn run(self, session: &Session, plan: &ImagePlan, image: &Image, documents: &[Document]) -> Result<Pushed> {
        let Session { ui, paths, .. } = session;
        let (reference, digest) = (&self.reference, &image.manifest_digest);
        let mut moved = None;
        let there = match &self.by {
            Pusher::Skopeo => {
                let archive = paths.archive(&plan.build.host.name);
                let layers = image.layers().map(|named| (named.layer.digest, named.layer.size));
                let documents = [(image.config_digest, image.config.len() as u64)];
                let sizes: BTreeMap<Digest, u64> = layers.chain(documents).collect();
                moved = copy(ui, &skopeo::push_archive(&archive, reference), reference, digest, &sizes)?
                    .map(|bytes| bytes + image.manifest.len() as u64);
                digest.to_string()
            }
            Pusher::Engine(engine) => {
                engine.tag(ui, &plan.image, reference)?;
                engine.push(ui, reference, &paths.pushed_digest()).with_context(|| format!("pushing {reference}"))?
            }
        };
        ui.status("Pushed", format!("{reference}@{there}{}", shown(moved)));
        if there != digest.to_string() {
            ui.warning(format!(
                "the digest in the registry differs from the archive's, {digest}: docker and podman compress layers again; \
                 install skopeo to push the bytes of the archive"
            ));
        }
        let referrers = match self.by {
            Pusher::Skopeo => {
                // The image is pushed, even if the documents fail.
                let artifacts: Vec<Artifact> = documents.iter().map(Document::artifact).collect();
                match referrers::push(session, &self.reference, digest, &artifacts) {
                    Ok(()) => documents.iter().map(Document::digest).collect(),
                    Err(error) => {
                        ui.warning(format!(
                            "the SBOM and the provenance were not pushed; they are beside the archive: \
                             {error:#}"
                        ));
                        Vec::new()
                    }
                }
            }
            Pusher::Engine(engine) => {
                ui.warning(format!(
                    "the SBOM and the provenance were not pushed: {engine} can push only images; install skopeo to push them"
                ));
                Vec::new()
            }
        };
        // That it is pushed is no success where a signature was asked for.
        match self.sign {
            true => sign::image(session, &reference::pinned(reference, &there), documents)?,
            false => ui.status("Not signed", format!("{reference}; `--sign` signs it")),
        }
        Ok(Pushed { moved, signed: self.sign, reference: self.reference, digest: there, referrers })
    }
}

/// Older tools do not accept an IPv6 address as a registry, and say so only at the end.
fn check_address(ui: &Ui, by: &Pusher, reference: &str) -> Result<()> {
    let (tool, refuses) = match by {
        Pusher::Skopeo => {
            let output = skopeo::inspect(reference).output(ui)?;
            ("skopeo", String::from_utf8_lossy(&output.stderr).contains(INVALID_REFERENCE))
        }
        Pusher::Engine(engine) => (engine.program(), engine.refuses(ui, reference)?),
    };
    if refuses {
        bail!(
            "--push {reference}: this {tool} does not support an IPv6 address for a registry; give the address a name in DNS \
             or /etc/hosts and push to it"
        );
    }
    Ok(())
}

/// Copies an image or an index to a registry by skopeo; returns how many bytes of its blobs, whose sizes are these, were sent, if skopeo
/// said so. What the registry has is not sent.
pub fn copy(
    ui: &Ui,
    command: &Invocation,
    reference: &str,
    digest: &Digest,
    sizes: &BTreeMap<Digest, u64>,
) -> Result<Option<u64>> {
    let output = command.output(ui)?;
    // A tag that must not be overwritten is no error if it has this image already.
    if !output.status.success() && !is_there(ui, reference, digest) {
        command.succeeded(&skopeo::without_debug(output)).with_context(|| format!("pushing {reference}"))?;
        return Ok(None);
    }
    let size = |digest: &String| digest.parse().ok().and_then(|digest: Digest| sizes.get(&digest));
    Ok(skopeo::uploaded(&output).map(|uploaded| uploaded.iter().filter_map(size).sum()))
}

/// `, 12 KB sent`
pub fn shown(moved: Option<u64>) -> String {
    moved.map(|bytes| format!(", {} sent", size(bytes))).unwrap_or_default()
}

/// Whether the registry has this image under the name.
fn is_there(ui: &Ui, reference: &str, digest: &Digest) -> bool {
    let output = skopeo::inspect(reference).output(ui);
    output.is_ok_and(|output| output.status.success() && Digest::sha256(&output.stdout) == *digest)
}
