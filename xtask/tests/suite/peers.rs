//! The archive: two engines make the same, and every tool that reads images reads it, under its name, with the digests that were
//! printed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;

use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers};
use crate::support::{Tree, run, sha256};
use camino::Utf8Path;
use serde_json::Value;
use walkdir::WalkDir;

const NAME: &str = "ghcr.io/xtask-test/greeter:peers";

fn image(tree: &Tree) -> (Value, String) {
    let image = tree.image(&["--base", "scratch", "--tag", NAME]);
    (image, tree.image_dir().join("greeter.tar").into_string())
}

#[test]
fn docker_loads_it() {
    let tree = Tree::small("peers-docker").without_engine();
    let (image, archive) = image(&tree);
    assert_eq!(run("docker", &["load", "--input", &archive]), format!("Loaded image: {NAME}"));
    let id = run("docker", &["image", "inspect", "--format", "{{.Id}}", NAME]);
    let said = run("docker", &["run", "--rm", "--read-only", NAME]);
    run("docker", &["rmi", NAME]);
    // The configuration's digest, or the manifest's with a containerd image store.
    assert!([&image["config_digest"], &image["manifest_digest"]].contains(&&Value::from(id)));
    assert_eq!(said, GREETINGS);
}

#[test]
fn podman_loads_it() {
    let tree = Tree::small("peers-podman").without_engine();
    let (image, archive) = image(&tree);
    // A store of its own, so that nobody's images are touched.
    let store = tree.root.join("store");
    // Podman refuses a path of more than 50 characters here.
    let state = tempfile::tempdir().expect("a temporary directory");
    let state = state.path().to_str().expect("a UTF-8 path");
    let own = ["--root", store.as_str(), "--runroot", state, "--storage-driver", "vfs"];
    let loaded = run("podman", &[own.as_slice(), &["load", "--input", &archive]].concat());
    let id = run("podman", &[own.as_slice(), &["image", "inspect", "--format", "{{.Id}}", NAME]].concat());
    let said = run("podman", &[own.as_slice(), &["run", "--rm", "--read-only", "--network", "none", NAME]].concat());
    assert_eq!(loaded, format!("Loaded image: {NAME}"));
    assert_eq!(image["config_digest"], format!("sha256:{id}"));
    assert_eq!(said, GREETINGS);
}

#[test]
fn skopeo_copies_it_there_and_back_with_its_digest() {
    let tree = Tree::small("peers-skopeo").without_engine();
    let (image, archive) = image(&tree);
    let places = [
        format!("oci-archive:{archive}"),
        format!("dir:{}", tree.root.join("copy")),
        format!("oci-archive:{}", tree.root.join("back.tar")),
        format!("oci:{}", tree.root.join("layout")),
    ];
    for (from, to) in places.iter().zip(&places[1..]) {
        run("skopeo", &["copy", "--quiet", "--preserve-digests", from, to]);
    }
    for place in &places {
        let inspected: Value = serde_json::from_str(&run("skopeo", &["inspect", place])).expect("JSON");
        assert_eq!(inspected["Digest"], image["manifest_digest"], "{place}");
    }
}

#[test]
fn docker_and_podman_make_the_same() {
    let tree = Tree::small("peers-made");
    let engines = [Engine::docker(), Engine::podman()];
    let _leftovers = engines.each_ref().map(|engine| Leftovers::new(engine, &tree, NAME));
    let digests = engines.each_ref().map(|engine| {
        let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", "scratch", "--tag", NAME];
        let image = tree.image(&args);
        assert_eq!(image["loaded_into"], engine.program.as_str());
        // Nothing of one engine's is left to be taken for the other's own.
        std::fs::remove_dir_all(tree.image_dir()).expect("the directory of the build");
        image["manifest_digest"].clone()
    });
    assert_eq!(digests[0], digests[1]);
}

/// What is at a path: mode, owner, and of a file its size and its content's digest.
type Files = BTreeMap<String, String>;

/// A root file system that umoci unpacked.
fn unpacked(tree: &Tree, image: &str, name: &str) -> Files {
    let bundle = tree.root.join(name);
    run("umoci", &["unpack", "--image", image, bundle.as_str()]);
    let root = bundle.join("rootfs");
    let file = |entry: walkdir::Result<walkdir::DirEntry>| {
        let entry = entry.expect("an entry");
        let path = Utf8Path::from_path(entry.path()).expect("a UTF-8 path");
        let metadata = entry.metadata().expect("metadata");
        let owned = format!("{:04o} {}:{}", metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        let is = match metadata.file_type() {
            kind if kind.is_symlink() => format!("-> {}", std::fs::read_link(path).expect("a link").display()),
            kind if kind.is_file() => {
                let content = std::fs::read(path).expect("content");
                format!("{owned} {} {}", content.len(), sha256(&content))
            }
            _ => owned,
        };
        (path.strip_prefix(&root).expect("a path inside").to_string(), is)
    };
    WalkDir::new(&root).min_depth(1).into_iter().map(file).collect()
}

/// The same, as `--format json` lists it.
fn listed(image: &Value) -> Files {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let file = |file: &Value| {
        let owned = format!("{} {}", text(&file["mode"]), text(&file["owner"]));
        let is = match file.get("sha256") {
            Some(digest) => format!("{owned} {} {}", file["size"], text(digest)),
            None => owned,
        };
        (text(&file["path"]), is)
    };
    let layers = image["layers"].as_array().expect("layers").iter();
    layers.flat_map(|layer| layer["files"].as_array().expect("files")).map(file).collect()
}

#[test]
fn umoci_unpacks_what_is_listed() {
    let tree = Tree::small("peers-umoci").without_engine();
    let image = tree.image(&["--base", "scratch", "--tag", NAME, "--output", "oci:out"]);
    let there = unpacked(&tree, &format!("{}:{NAME}", tree.root.join("out")), "bundle");
    assert!(there.contains_key("opt/greeter/hello.plug"), "{:?}", there.keys());
    assert_eq!(there, listed(&image));
}

#[test]
fn umoci_unpacks_the_base_and_what_is_listed() {
    let tree = Tree::small("peers-umoci-base").without_engine();
    let base = format!("{}:{ALPINE}", tree.root.join("base"));
    run("skopeo", &["copy", "--quiet", &format!("docker-daemon:{ALPINE}"), &format!("oci:{base}")]);
    let image = tree.image(&["--base", &format!("oci:{base}"), "--tag", NAME, "--output", "oci:out"]);
    let mut expected = unpacked(&tree, &base, "base-bundle");
    let own = listed(&image);
    let replaced: Vec<&String> = own.keys().filter(|path| expected.contains_key(*path)).collect();
    assert_eq!(replaced, [""; 0], "what the base image has stays");
    expected.extend(own);
    assert_eq!(unpacked(&tree, &format!("{}:{NAME}", tree.root.join("out")), "bundle"), expected);
}
