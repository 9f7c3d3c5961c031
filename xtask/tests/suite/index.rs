//! `cargo xtask index` joins images of several platforms, byte by byte.

use std::fs;

use crate::support::engine::{Engine, GREETINGS};
use crate::support::layout::{blob, put, read};
use crate::support::registry::Registry;
use crate::support::{Tree, check, run, sha256};
use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use serde_json::{Value, json};

/// An image, and the same for another platform: what a machine of that platform would have built, but for the programs in it.
fn layouts(tree: &Tree) -> [Utf8PathBuf; 2] {
    let [amd64, arm64] = ["amd64", "arm64"].map(|name| tree.root.join("target").join(name));
    tree.image(&["--base", "scratch", "--tag", "greeter:1", "--output", &format!("oci:{amd64}")]);
    fs::create_dir_all(arm64.join("blobs/sha256")).expect("a directory");
    for path in [amd64.join("oci-layout"), amd64.join("index.json")] {
        fs::copy(&path, arm64.join(path.file_name().expect("a name"))).expect("a copy");
    }
    for blob in fs::read_dir(amd64.join("blobs/sha256")).expect("blobs") {
        let blob = blob.expect("a blob");
        fs::copy(blob.path(), arm64.join("blobs/sha256").join(blob.file_name().to_str().expect("a digest")))
            .expect("a copy");
    }
    let mut index = read(&arm64, "index.json");
    let mut manifest = blob(&arm64, &index["manifests"][0]);
    let mut config = blob(&arm64, &manifest["config"]);
    config["architecture"] = "arm64".into();
    manifest["config"] = put(&arm64, &config, &manifest["config"]);
    index["manifests"] = json!([put(&arm64, &manifest, &index["manifests"][0])]);
    fs::write(arm64.join("index.json"), index.to_string()).expect("an index");
    [amd64, arm64]
}

#[test]
fn images_of_two_machines_become_one_index() {
    let tree = Tree::small("index");
    let elsewhere = Tree::small("index-registry");
    let registry = Registry::start(&elsewhere);
    let tree = registry.trusted_by(tree);
    let [amd64, arm64] = layouts(&tree);
    let (repository, name) = (format!("{}/greeter", registry.address), format!("{}/greeter:1", registry.address));
    let joined = tree.root.join("target/joined");
    let output = format!("oci:{joined}");
    let args = ["index", arm64.as_str(), &format!("oci:{amd64}"), "--push", &name, "--output", &output];
    let run_index = tree.xtask(&args);
    assert_eq!(run_index.code, Some(0), "{}", run_index.stderr);
    let digest = run_index.stdout.trim();

    let [one, other] = [&amd64, &arm64].map(|dir| read(dir, "index.json")["manifests"][0]["digest"].clone());
    let raw =
        |reference: &str| run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    let index = raw(&name);
    assert_eq!(format!("sha256:{}", sha256(index.as_bytes())), digest);
    let index: Value = serde_json::from_str(&index).expect("JSON");
    let listed: Vec<Value> = index["manifests"]
        .as_array()
        .expect("manifests")
        .iter()
        .map(|image| json!([image["platform"], image["digest"]]))
        .collect();
    assert_eq!(
        listed,
        [
            json!([{ "architecture": "amd64", "os": "linux" }, one]),
            json!([{ "architecture": "arm64", "os": "linux" }, other]),
        ]
    );
    // What refers to an image is beside it, in the registry as in the layout.
    let one = one.as_str().expect("a digest");
    let referrers: Value =
        serde_json::from_str(&raw(&format!("{repository}:{}", one.replace(':', "-")))).expect("JSON");
    let artifact = |of: &Value| -> Value {
        let reference = format!("{repository}@{}", of["digest"].as_str().expect("a digest"));
        serde_json::from_str::<Value>(&raw(&reference)).expect("JSON")["artifactType"].clone()
    };
    let mut types: Vec<String> =
        referrers["manifests"].as_array().expect("manifests").iter().map(|of| artifact(of).to_string()).collect();
    types.sort();
    assert_eq!(types, ["\"application/vnd.cyclonedx+json\"", "\"application/vnd.in-toto+json\""]);
    let layout = read(&joined, "index.json");
    assert_eq!(layout["manifests"].as_array().expect("manifests").len(), 3);
    assert_eq!(
        (
            &layout["manifests"][0]["digest"],
            &layout["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"]
        ),
        (&json!(digest), &json!(name))
    );

    // Each machine gets its own.
    let engine = Engine::docker();
    let pinned = format!("{repository}@{digest}");
    engine.read(&["pull", "--quiet", &pinned]);
    assert_eq!(engine.run(&pinned), GREETINGS);
    engine.read(&["rmi", "--force", &pinned]);
    let config = ["--override-arch", "arm64", "inspect", "--config", "--tls-verify=false", &format!("docker://{name}")];
    let config: Value = serde_json::from_str(&run("skopeo", &config)).expect("JSON");
    assert_eq!(config["architecture"], "arm64");

    // A second run finds it there, and an index is joined with images, too.
    let again = tree.xtask(&args);
    assert_eq!((again.code, again.stdout.trim()), (Some(0), digest), "{}", again.stderr);
    assert!(again.stderr.contains("Unchanged target/joined\n"), "{}", again.stderr);
    let more = tree.xtask(&["index", joined.as_str(), amd64.as_str()]);
    assert_eq!((more.code, more.stdout.trim()), (Some(0), digest), "{}", more.stderr);
    // One platform less: what only the other needed goes, and what refers to it.
    let less = tree.xtask(&["index", arm64.as_str(), "--push", &name, "--output", &output]);
    assert_eq!(less.code, Some(0), "{}", less.stderr);
    assert_eq!(read(&joined, "index.json")["manifests"].as_array().expect("manifests").len(), 1);
    assert!(!joined.join("blobs").join(one.replace(':', "/")).exists());
}

#[test]
fn what_cannot_be_joined() {
    let tree = Tree::small("index-wrong");
    let [amd64, arm64] = layouts(&tree);
    fs::create_dir(tree.root.join("empty")).expect("a directory");
    tree.write("none/oci-layout", "{}");
    tree.write("none/index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
    let other = tree.root.join("target/other");
    tree.image(&["--base", "scratch", "--tag", "greeter:1", "--only", "hello", "--output", &format!("oci:{other}")]);
    let run = tree.xtask(&["index", amd64.as_str(), other.as_str(), "empty", "none", "absent"]);
    let short = |dir: &Utf8Path| {
        let digest = read(dir, "index.json")["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        digest.chars().take("sha256:".len() + 12).collect::<String>()
    };
    let expected = format!(
        "error: 4 errors in the images of the index\n  - there are two images for linux/amd64: {} in [ROOT]/target/amd64 and {} in \
         [ROOT]/target/other; leave one out\n  - empty is not an OCI layout: it has no file `oci-layout`\n  - the OCI layout none holds no \
         image\n  - absent is not an OCI layout: it has no file `oci-layout`\n",
        short(&amd64),
        short(&other)
    );
    assert_eq!((run.code, run.stderr.as_str(), run.stdout.as_str()), (Some(1), expected.as_str(), ""));

    let damaged = read(&arm64, "index.json")["manifests"][0]["digest"].as_str().expect("a digest").replace(':', "/");
    fs::write(arm64.join("blobs").join(damaged), "{}").expect("a damaged blob");
    let run = tree.xtask(&["index", "target/arm64", "--output", "oci:target/joined"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert!(run.stderr.contains(" is damaged: its digest is sha256:"), "{}", run.stderr);
    assert!(!tree.root.join("target/joined").exists());

    fs::remove_dir_all(tree.root.join("target")).expect("what was built");
    let run = tree.xtask(&["index", "none", "--push", "greeter:1"]);
    assert_eq!(run.stderr, "error: --push greeter:1 has no registry; write it as in ghcr.io/you/greeter:1\n");
    check(
        &tree,
        &["index", "none", "--output", "joined.tar"],
        expect![[r#"
            error: --output joined.tar: an index is written to a layout: oci:joined.tar
        "#]],
    );
}
