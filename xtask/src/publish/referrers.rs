//! Brings the documents of an image to the registry that has it: as artifacts, and in the list under a tag that is made of the
//! image's digest, where clients look if the registry keeps no list of referrers by itself. One that does goes by the
//! artifacts' own subject.
//! Source: OCI distribution specification, "Referrers Tag Schema".

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::assemble::archive;
use crate::assemble::config::{self, INDEX};
use crate::containers::skopeo;
use crate::oci::artifact::Artifact;
use crate::oci::digest::Digest;
use crate::oci::documents::{NAME, blob_path};
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// Descriptors with all their fields: what others wrote stays.
#[derive(Deserialize, Serialize)]
struct Index {
    manifests: Vec<Value>,
}

/// By skopeo; `reference` is what the image was pushed under, `image` is its digest. What others have listed there, such as signatures, stays.
pub fn push(session: &Session, reference: &str, image: &Digest, artifacts: &[Artifact]) -> Result<()> {
    let Session { ui, paths, .. } = session;
    let repository = reference.rsplit_once(':').map_or(reference, |(repository, _)| repository);
    let pushing = || format!("pushing them to {repository}");
    let tag = image.file_name();
    let layout = paths.referrers();
    let there = format!("{repository}:{tag}");
    files::remove(&layout)?;
    files::create_dir(&layout)?;
    let mut listed = Vec::new();
    if is_there(ui, &there).with_context(pushing)? {
        skopeo::pull_index(&there, &layout, &tag).read(ui).with_context(pushing)?;
        listed = nested(&layout).with_context(pushing)?;
    }
    let is_listed =
        |artifact: &&Artifact| listed.iter().any(|descriptor| descriptor["digest"] == artifact.digest().to_string());
    let new: Vec<&Artifact> = artifacts.iter().filter(|artifact| !is_listed(artifact)).collect();
    if new.is_empty() {
        return Ok(());
    }
    listed.extend(new.iter().map(|artifact| artifact.descriptor.clone()));
    for bytes in new.iter().flat_map(|artifact| artifact.blobs()) {
        write_blob(&layout, bytes)?;
    }
    let index = config::bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": listed }));
    let digest = write_blob(&layout, &index)?;
    let named = json!({ "mediaType": INDEX, "digest": digest, "size": index.len(), "annotations": { NAME: tag } });
    let top = config::bytes(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [named] }));
    files::write_changed(&layout.join("index.json"), &top)?;
    files::write_changed(&layout.join("oci-layout"), &archive::layout_file())?;
    skopeo::push_index(&layout, &tag, &there).read(ui).with_context(pushing)?;
    ui.status("Pushed", format!("SBOM and provenance to {repository}:{tag}"));
    Ok(())
}

/// Some users may read a tag and not list tags.
fn is_there(ui: &Ui, tag: &str) -> Result<bool> {
    let command = skopeo::inspect(tag);
    let output = command.output(ui)?;
    if !output.status.success() && says_unknown(&String::from_utf8_lossy(&output.stderr)) {
        return Ok(false);
    }
    command.succeeded(&output).map(|()| true)
}

/// Whether a registry said that it has no such manifest, or no such repository: by an error's code, as skopeo writes it. Much else is
/// unknown or not found, and then what is listed there must not be replaced.
/// Source: OCI distribution specification, "Error Codes".
fn says_unknown(text: &str) -> bool {
    let last = text.trim_end().trim_end_matches('"').lines().last().unwrap_or_default();
    let mut parts = last.split(": ");
    parts.any(|part| part == "reading manifest" || part.starts_with("reading manifest "))
        && parts.next().is_some_and(|code| matches!(code, "manifest unknown" | "name unknown"))
}

/// What the one index in a layout lists.
fn nested(layout: &Utf8Path) -> Result<Vec<Value>> {
    let read = |path: &Utf8Path| -> Result<Index> {
        serde_json::from_slice(&files::read(path)?).with_context(|| format!("reading {path}"))
    };
    let top = read(&layout.join("index.json"))?;
    let digest = top.manifests.first().and_then(|descriptor| descriptor["digest"].as_str()?.parse().ok());
    let digest = digest.with_context(|| format!("{layout} has no manifest"))?;
    Ok(read(&layout.join(blob_path(&digest)))?.manifests)
}

fn write_blob(layout: &Utf8Path, bytes: &[u8]) -> Result<Digest> {
    let digest = Digest::sha256(bytes);
    files::write_changed(&layout.join(blob_path(&digest)), bytes)?;
    Ok(digest)
}

#[cfg(test)]
mod tests {
    use super::says_unknown;

    #[test]
    fn only_a_registrys_own_code_says_that_nothing_is_there() {
        let check = |text: &str, expected| assert_eq!(says_unknown(text), expected, "{text}");
        let error = "time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"Error parsing image name \\\"docker://a/b:c\\\": ";
        check(&format!("{error}reading manifest sha256-00 in a/b: manifest unknown\"\n"), true);
        check(
            &format!("{error}reading manifest sha256-00 in a/b: manifest unknown: Requested image not found\"\n"),
            true,
        );
        check(
            &format!(
                "{error}reading manifest sha256-00 in a/b: name unknown: repository name not known to registry\"\n"
            ),
            true,
        );
        check(
            &format!("{error}pinging container registry a: x509: certificate signed by unknown authority\"\n"),
            false,
        );
        check(&format!("{error}reading manifest sha256-00 in a/b: denied: unknown user\"\n"), false);
        check(&format!("{error}reading manifest sha256-00 in a/b: unknown: Tag not found\"\n"), false);
        check(&format!("{error}pinging container registry a: dial tcp: lookup a: host not found\"\n"), false);
    }
}
