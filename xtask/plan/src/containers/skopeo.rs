//! skopeo: every argument that it gets. It moves images and documents between layouts, archives and registries, byte for byte.

use std::collections::BTreeSet;
use std::process::Output;

use camino::Utf8Path;

use crate::oci::reference::{self, qualified, without_tag};
use crate::support::command::Invocation;
use crate::support::ui::Ui;

/// Whether skopeo is installed.
pub fn is_installed(ui: &Ui) -> bool {
    Invocation::new("skopeo", ["--version"]).output(ui).is_ok_and(|output| output.status.success())
}

/// Copies an image of a registry into an OCI layout, under a name there.
pub fn pull(reference: &str, layout: &Utf8Path, name: &str, architecture: &str) -> Invocation {
    let platform = ["--override-os", "linux", "--override-arch", architecture];
    let copy = Invocation::new("skopeo", platform).args(["copy", "--quiet"]);
    let copy = copy.args(without_tls(reference, "--src-tls-verify=false"));
    copy.args([format!("docker://{}", without_tag(&qualified(reference))), format!("oci:{layout}:{name}")])
}

/// Pushes an OCI archive as it is, and says what it uploads: see [`uploaded`].
pub fn push_archive(archive: &Utf8Path, reference: &str) -> Invocation {
    let copy = Invocation::new("skopeo", ["--debug", "copy", "--quiet", "--preserve-digests"]);
    let copy = copy.args(without_tls(reference, "--dest-tls-verify=false"));
    copy.args([format!("oci-archive:{archive}"), format!("docker://{reference}")])
}

/// The digests of the blobs that a push uploaded, by its messages; the registry had, or could mount, all others. `None` if the messages say
/// nothing of blobs, as those of another skopeo may.
/// Source: `PutBlobWithOptions` and `TryReusingBlobWithOptions` of <https://github.com/containers/image>, docker/docker_image_dest.go.
pub fn uploaded(output: &Output) -> Option<BTreeSet<String>> {
    let said = String::from_utf8_lossy(&output.stderr);
    let digest = |line: &str| Some(line.split_once("Upload of layer ")?.1.split(' ').next()?.to_owned());
    said.contains("/blobs/sha256:").then(|| said.lines().filter_map(digest).collect())
}

/// Leaves errors alone of what skopeo says with `--debug`.
pub fn without_debug(mut output: Output) -> Output {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines = said.split_inclusive('\n').filter(|line| !line.contains(" level=debug "));
    output.stderr = lines.collect::<String>().into_bytes();
    output
}

/// Writes the manifest that a registry has under a name to stdout.
pub fn inspect(reference: &str) -> Invocation {
    let inspect = Invocation::new("skopeo", ["inspect", "--raw"]);
    inspect.args(without_tls(reference, "--tls-verify=false")).args([format!("docker://{reference}")])
}

/// Writes the configuration of an image in a registry to stdout.
pub fn inspect_config(reference: &str) -> Invocation {
    let inspect = Invocation::new("skopeo", ["--override-os", "linux", "inspect", "--config", "--raw"]);
    inspect
        .args(without_tls(reference, "--tls-verify=false"))
        .args([format!("docker://{}", without_tag(&qualified(reference)))])
}

/// Copies an artifact from a registry into a layout as it is.
pub fn pull_artifact(reference: &str, layout: &Utf8Path, name: &str) -> Invocation {
    let copy = Invocation::new("skopeo", ["copy", "--quiet", "--preserve-digests"]);
    let copy = copy.args(without_tls(reference, "--src-tls-verify=false"));
    copy.args([format!("docker://{reference}"), format!("oci:{layout}:{name}")])
}

/// Copies an index with all that it lists from a registry into a layout.
pub fn pull_index(reference: &str, layout: &Utf8Path, name: &str) -> Invocation {
    let copy = Invocation::new("skopeo", ["copy", "--quiet", "--all", "--preserve-digests"]);
    let copy = copy.args(without_tls(reference, "--src-tls-verify=false"));
    copy.args([format!("docker://{reference}"), format!("oci:{layout}:{name}")])
}

/// Pushes what a layout has under a name as it is, with all that it lists, and says what it uploads: see [`uploaded`].
pub fn push_layout(layout: &Utf8Path, name: &str, reference: &str) -> Invocation {
    let copy = Invocation::new("skopeo", ["--debug", "copy", "--quiet", "--all", "--preserve-digests"]);
    let copy = copy.args(without_tls(reference, "--dest-tls-verify=false"));
    copy.args([format!("oci:{layout}:{name}"), format!("docker://{reference}")])
}

/// Copies an index with all that it lists from a layout into a registry.
///
/// Without `--preserve-digests`: a skopeo that does not know `artifactType` (1.9.3, say) leaves it out of the index, and with that
/// option pushes no index at all. The artifacts stay as they are.
pub fn push_index(layout: &Utf8Path, name: &str, reference: &str) -> Invocation {
    let copy = Invocation::new("skopeo", ["copy", "--quiet", "--all"]);
    let copy = copy.args(without_tls(reference, "--dest-tls-verify=false"));
    copy.args([format!("oci:{layout}:{name}"), format!("docker://{reference}")])
}

/// The option for a registry on this machine, which docker asks without TLS too.
fn without_tls<'o>(reference: &str, option: &'o str) -> Option<&'o str> {
    reference::is_loopback(reference).then_some(option)
}
