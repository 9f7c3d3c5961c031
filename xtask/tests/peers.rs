//! The archive, read by every tool that reads images: under its name, with the digests that were printed.

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use camino::Utf8Path;
use serde_json::Value;
use support::{Tree, run};
use walkdir::WalkDir;

const NAME: &str = "ghcr.io/xtask-test/greeter:peers";

fn image(tree: &Tree) -> (Value, String) {
    let image = tree.image(&["--base", "scratch", "--tag", NAME]);
    (image, tree.image_folder().join("greeter.tar").into_string())
}

#[test]
fn docker_loads_it() {
    let tree = Tree::small("peers-docker").without_runtime();
    let (image, archive) = image(&tree);
    assert_eq!(run("docker", &["load", "--input", &archive]), format!("Loaded image: {NAME}"));
    let id = run("docker", &["image", "inspect", "--format", "{{.Id}}", NAME]);
    let said = run("docker", &["run", "--rm", "--read-only", NAME]);
    run("docker", &["rmi", NAME]);
    // The configuration's digest, or the manifest's with a containerd image store.
    assert!([&image["config_digest"], &image["manifest_digest"]].contains(&&Value::from(id)));
    assert_eq!(said, "tone = \"polite\"\ngoodbye\nhello");
}

#[test]
fn podman_loads_it() {
    let tree = Tree::small("peers-podman").without_runtime();
    let (image, archive) = image(&tree);
    // A store of its own, so that nobody's images are touched.
    let store = tree.root.join("store");
    // Podman refuses a path of more than 50 characters here.
    let state = std::env::temp_dir().join(format!("xtask-{}", std::process::id()));
    let state = state.to_str().expect("a UTF-8 path");
    let own = ["--root", store.as_str(), "--runroot", state, "--storage-driver", "vfs"];
    let loaded = run("podman", &[own.as_slice(), &["load", "--input", &archive]].concat());
    let id = run("podman", &[own.as_slice(), &["image", "inspect", "--format", "{{.Id}}", NAME]].concat());
    let _ = std::fs::remove_dir_all(state);
    assert_eq!(loaded, format!("Loaded image: {NAME}"));
    assert_eq!(image["config_digest"], format!("sha256:{id}"));
}

#[test]
fn skopeo_copies_it_with_its_digest() {
    let tree = Tree::small("peers-skopeo").without_runtime();
    let (image, archive) = image(&tree);
    let source = format!("oci-archive:{archive}");
    let inspected: Value = serde_json::from_str(&run("skopeo", &["inspect", &source])).expect("JSON");
    assert_eq!(inspected["Digest"], image["manifest_digest"]);
    let copy = format!("dir:{}", tree.root.join("copy"));
    run("skopeo", &["copy", "--quiet", "--preserve-digests", &source, &copy]);
    let inspected: Value = serde_json::from_str(&run("skopeo", &["inspect", &copy])).expect("JSON");
    assert_eq!(inspected["Digest"], image["manifest_digest"]);
}

/// Every file of a root file system, with its mode.
fn files(root: &Utf8Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let entries = WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry"));
    let file = |entry: walkdir::DirEntry| {
        let path = Utf8Path::from_path(entry.path()).expect("a UTF-8 path");
        let mode = entry.metadata().expect("a mode").permissions().mode() & 0o7777;
        (path.strip_prefix(root).expect("a path inside").to_string(), (mode, std::fs::read(path).expect("content")))
    };
    entries.filter(|entry| entry.file_type().is_file()).map(file).collect()
}

#[test]
fn umoci_unpacks_what_was_assembled() {
    let tree = Tree::small("peers-umoci").without_runtime();
    tree.image(&["--base", "scratch", "--tag", NAME, "--output", "oci:out"]);
    let bundle = tree.root.join("bundle");
    run("umoci", &["unpack", "--image", &format!("{}:{NAME}", tree.root.join("out")), bundle.as_str()]);
    let unpacked = files(&bundle.join("rootfs"));
    for name in ["greeter", "libgreeter_sdk.so", "hello.plug", "goodbye.plug"] {
        let built = std::fs::read(tree.image_folder().join("dist").join(name)).expect("a built file");
        assert_eq!(unpacked.get(&format!("opt/greeter/{name}")), Some(&(0o755, built)), "{name}");
    }
    let settings = tree.read("greeter/default.toml").into_bytes();
    assert_eq!(unpacked.get("opt/greeter/etc/settings.toml"), Some(&(0o644, settings)));
    // Beside them only shared libraries.
    let own = |path: &str| path.starts_with("opt/greeter/") || path.contains(".so");
    assert!(unpacked.keys().all(|path| own(path)), "{:?}", unpacked.keys());
}
