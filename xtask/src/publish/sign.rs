//! Signs what a registry has, by cosign: the digest, and each document as an attestation. Key or identity, and the services that take part,
//! are cosign's own settings (`COSIGN_*`).

use anyhow::{Context, Result, bail};

use crate::attest::Document;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// Checks before anything is built that cosign is there.
pub fn check(ui: &Ui) -> Result<()> {
    if !Invocation::new("cosign", ["version"]).output(ui).is_ok_and(|output| output.status.success()) {
        bail!("--sign needs cosign, which is not installed");
    }
    Ok(())
}

/// Signs an image, and attests its documents. `pinned` is its name with the digest in the registry.
pub fn image(session: &Session, pinned: &str, documents: &[Document]) -> Result<()> {
    let Session { ui, paths, .. } = session;
    sign(ui, pinned, &[])?;
    for document in documents {
        let (kind, predicate) = document.attestation()?;
        let path = paths.predicate();
        files::write_changed(&path, &predicate)?;
        let attested = cosign(ui, &["attest", "--yes", "--type", kind, "--predicate", path.as_str(), pinned]);
        files::remove(&path)?;
        attested.with_context(|| format!("attesting the {kind} of {pinned}, which is pushed and signed"))?;
    }
    ui.status("Signed", format!("{pinned}, with SBOM and provenance"));
    Ok(())
}

/// Signs an index and each of its images.
pub fn index(ui: &Ui, pinned: &str) -> Result<()> {
    sign(ui, pinned, &["--recursive"])?;
    ui.status("Signed", format!("{pinned}, with its images"));
    Ok(())
}

fn sign(ui: &Ui, pinned: &str, options: &[&str]) -> Result<()> {
    let signed = cosign(ui, &[&["sign", "--yes"], options, &[pinned]].concat());
    signed.with_context(|| format!("signing {pinned}, which is pushed: `cosign sign {pinned}` signs it later"))
}

fn cosign(ui: &Ui, args: &[&str]) -> Result<()> {
    Invocation::new("cosign", args.iter().copied()).read(ui).map(drop)
}
