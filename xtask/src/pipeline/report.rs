//! The report of a request: what `--format json` prints.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::assemble::Sizes;
use crate::attest::Document;
use crate::oci::digest::Digest;
use crate::pipeline::layers::FinishedLayer;
use crate::plan::ImagePlan;
use crate::publish::push::Pushed;
use crate::reproduce::Reproduced;
use crate::verify::Verified;
use crate::verify::contents::PluginReport;

/// A finished, delivered image.
#[derive(Serialize)]
pub struct ImageReport {
    pub manifest_digest: Digest,
    pub config_digest: Digest,
    pub archive: Utf8PathBuf,
    /// The bill of materials, then the provenance.
    pub documents: Vec<NamedDocument>,
    /// The name under which a registry had what was compiled.
    pub taken_from: Option<String>,
    /// The container engine that has it.
    pub loaded_into: Option<&'static str>,
    pub verified: Option<Verified>,
    /// Only if it was requested.
    pub reproduced: Option<Reproduced>,
    pub pushed: Option<Pushed>,
    /// How the host is started.
    pub command: Vec<String>,
    /// Whether this is the image's `Entrypoint`, and not its `Cmd`.
    pub entrypoint: bool,
    pub plugins: Vec<PluginReport>,
    pub sizes: Sizes,
    /// The base's first.
    pub layers: Vec<FinishedLayer>,
    /// Of each stage.
    pub milliseconds: BTreeMap<&'static str, u128>,
    pub plan: ImagePlan,
}

#[derive(Serialize)]
pub struct NamedDocument {
    media_type: &'static str,
    /// Beside the archive.
    file: Utf8PathBuf,
    /// The digest that the document has as an artifact, in a layout or a registry.
    referrer: Digest,
}

impl NamedDocument {
    pub fn new(document: &Document, archive: &Utf8Path) -> NamedDocument {
        NamedDocument { media_type: document.media_type, file: document.beside(archive), referrer: document.digest() }
    }
}
