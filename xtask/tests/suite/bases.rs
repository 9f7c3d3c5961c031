//! Bases where there is no docker and no podman: OCI layouts, and what skopeo brings out of a registry.

use std::fs;

use crate::support::engine::{ALPINE, Engine, Leftovers};
use crate::support::registry::Registry;
use crate::support::{Tree, errors, layers, run, sha256};
use expect_test::expect;
use serde_json::{Value, json};

/// Alpine out of docker, as an OCI layout in the tree.
fn layout(tree: &Tree) -> String {
    let dir = tree.root.join("layout").into_string();
    run("skopeo", &["copy", "--quiet", &format!("docker-daemon:{ALPINE}"), &format!("oci:{dir}:{ALPINE}")]);
    dir
}

/// The layers of the one image in a layout.
fn digests(dir: &str) -> Vec<String> {
    let manifest: Value =
        serde_json::from_str(&run("skopeo", &["inspect", "--raw", &format!("oci:{dir}:{ALPINE}")])).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    layers.iter().map(|layer| layer["digest"].as_str().expect("a digest").to_owned()).collect()
}

/// The digests of an image's first layers, which are its base's.
fn below(image: &Value, count: usize) -> Vec<String> {
    layers(image).into_iter().take(count).map(|(_, digest)| digest).collect()
}

/// Alpine in a registry: its name there, and its manifest.
fn published(registry: &Registry) -> (String, Value) {
    let reference = format!("{}/{ALPINE}", registry.address);
    let to = format!("docker://{reference}");
    run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", &format!("docker-daemon:{ALPINE}"), &to]);
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &to]);
    (reference, serde_json::from_str(&raw).expect("JSON"))
}

#[test]
fn an_oci_layout_is_a_base_and_keeps_its_layers() {
    let tree = Tree::small("layout").without_engine();
    let dir = layout(&tree);
    let named = format!("oci:{dir}:{ALPINE}");
    let image = tree.image(&["--base", &named]);
    assert_eq!(image["verified"]["by"], "chroot");
    assert_eq!(below(&image, digests(&dir).len()), digests(&dir));
    let digest = run("skopeo", &["inspect", "--format", "{{.Digest}}", &named]);
    assert_eq!(tree.label("org.opencontainers.image.base.digest"), digest);
    // Its directory is enough where it holds one image.
    assert_eq!(tree.image(&["--base", "layout"])["manifest_digest"], image["manifest_digest"]);

    let packed = format!("oci:{}:{ALPINE}", tree.root.join("packed"));
    run("skopeo", &["copy", "--quiet", "--dest-compress-format", "zstd", &named, &packed]);
    let image = tree.image(&["--base", &packed]);
    let new = image["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    let new: Vec<(&Value, &Value)> = new.map(|layer| (&layer["name"], &layer["why"])).collect();
    assert_eq!(new, [(&json!("packed"), &json!(["the base image is compressed differently"]))]);
}

#[test]
fn a_layout_that_cannot_be_used() {
    let tree = Tree::small("layout-errors").without_engine();
    let dir = layout(&tree);
    let check = |base: &str, expected: expect_test::Expect| {
        let error = errors(&tree, &["--base", base]);
        expected.assert_eq(&error.replace(tree.root.as_str(), "[ROOT]"));
    };
    check(
        "oci:nowhere",
        expect![[r#"
        error: reading the base image oci:nowhere: nowhere is not an OCI layout: it has no file `oci-layout`
    "#]],
    );
    check(
        &format!("oci:{dir}:other"),
        expect![[r#"
        error: reading the base image oci:[ROOT]/layout:other: the OCI layout [ROOT]/layout holds 0 matching images, expected one; choose one with oci:[ROOT]/layout:NAME (it has: alpine:3.23)
    "#]],
    );

    let layer = digests(&dir)[0].replace(':', "/");
    fs::write(format!("{dir}/blobs/{layer}"), "damaged").expect("a blob");
    let error = errors(&tree, &["--base", "layout"]);
    let error = error.replace(tree.root.as_str(), "[ROOT]").replace(layer.trim_start_matches("sha256/"), "[LAYER]");
    expect![[r#"
        error: [ROOT]/layout/blobs/sha256/[LAYER] is damaged: its digest is sha256:41f0c27c00e8018f7715b5f50f67b5b54c229c1b843a014152785d9005f58fde; write the layout again
    "#]].assert_eq(&error);
}

/// A column depends on how long the path of the tree is.
fn masked_column(error: &str) -> String {
    let (before, column) = error.rsplit_once("column ").expect("a column");
    format!("{before}column [COLUMN]{}", column.trim_start_matches(|letter: char| letter.is_ascii_digit()))
}

#[test]
fn a_layout_that_names_a_file_of_this_machine() {
    let tree = Tree::small("layout-secret").without_engine();
    let dir = layout(&tree);
    let blob = |digest: &Value| digest.as_str().expect("a digest").replace(':', "/");
    let read = |path: &str| -> Value { serde_json::from_str(&tree.read(&format!("layout/{path}"))).expect("JSON") };
    let write = |value: &Value| -> Value {
        let text = value.to_string();
        let hex = sha256(text.as_bytes());
        tree.write(&format!("layout/blobs/sha256/{hex}"), &text);
        format!("sha256:{hex}").into()
    };
    tree.write("secret.tar", "secret");
    let mut index = read("index.json");
    let mut manifest = read(&format!("blobs/{}", blob(&index["manifests"][0]["digest"])));
    let mut config = read(&format!("blobs/{}", blob(&manifest["config"]["digest"])));
    config["rootfs"]["diff_ids"][0] = tree.root.join("secret").as_str().into();
    manifest["config"]["digest"] = write(&config);
    index["manifests"][0]["digest"] = write(&manifest);
    tree.write("layout/index.json", &index.to_string());
    let error = errors(&tree, &["--base", &dir]).replace(tree.root.as_str(), "[ROOT]");
    let error = error.replace(manifest["config"]["digest"].as_str().expect("a digest"), "[DIGEST]");
    expect![[r#"
        error: reading the base image [ROOT]/layout: reading [DIGEST] in [ROOT]/layout: `[ROOT]/secret` is not a supported digest: expected `sha256:` and 64 digits of lower-case hexadecimal at line 1 column [COLUMN]
    "#]]
    .assert_eq(&masked_column(&error));
}

#[test]
fn an_image_of_a_registry_is_a_base_by_skopeo() {
    let tree = Tree::small("skopeo");
    let registry = Registry::start(&tree);
    let (reference, manifest) = published(&registry);
    let to = format!("docker://{reference}");
    let digest = run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &to]);

    let tree = registry.trusted_by(tree).without_engine();
    let image = tree.image(&["--base", &reference]);
    assert_eq!(below(&image, 1)[0], manifest["layers"][0]["digest"]);
    assert_eq!(image["verified"]["by"], "chroot");

    // As Dockerfiles pin: by a digest, the tag beside it for people.
    let pinned = format!("{reference}@{digest}");
    assert_eq!(below(&tree.image(&["--base", &pinned]), 1), below(&image, 1));
    assert_eq!(tree.label("org.opencontainers.image.base.digest"), digest);
    let address = registry.address.clone();
    drop(registry);
    // What a digest names is not asked for again.
    tree.image(&["--base", &pinned]);
    fs::remove_file(tree.image_dir().join("greeter.tar")).expect("the archive");
    let error = errors(&tree, &["--base", &reference]).replace(&address, "[REGISTRY]");
    assert!(error.starts_with("error: skopeo cannot pull [REGISTRY]/alpine:3.23: "), "{error}");
    assert!(error.ends_with(
        "check its name and that its registry is reachable, or choose another image with --builder-image or --base\n"
    ));
}

/// Docker unpacks what it pulls: skopeo gets the bytes that others have already.
#[test]
fn layers_that_docker_pulled_stay_those_of_the_registry() {
    let (engine, tree) = (Engine::docker(), Tree::small("pulled"));
    let registry = Registry::start(&tree);
    let (reference, manifest) = published(&registry);
    engine.read(&["pull", "--quiet", &reference]);
    let name = "localhost/xtask-test/greeter:pulled";
    let _leftovers = Leftovers::new(&engine, &tree, name);

    let tree = registry.trusted_by(tree);
    let args = ["--base", &reference, "--tag", name];
    let image = tree.image(&args);
    assert_eq!(below(&image, 1)[0], manifest["layers"][0]["digest"]);
    assert_eq!(
        (&image["loaded_into"], &image["plan"]["base"]["image"]["reference"]),
        (&json!("docker"), &json!(reference))
    );
    // Once it is here, the registry is not asked again; where it never was, the layers are packed anew, and that is said.
    let address = registry.address.clone();
    drop(registry);
    assert_eq!(tree.image(&args)["manifest_digest"], image["manifest_digest"]);
    fs::remove_dir_all(tree.image_dir()).expect("what was built");
    let run = tree.xtask(&[&["image"], &args[..]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said = format!(
        "     Packing the base image's layers anew, since their registry does not give them: skopeo cannot pull {address}/alpine@sha256:"
    );
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    assert_ne!(Some(run.stdout.trim()), image["manifest_digest"].as_str());
    engine.read(&["rmi", "--force", &reference]);
}

#[test]
fn an_image_that_nothing_here_can_give_out() {
    let tree = Tree::small("no-skopeo").without(&["docker", "podman", "skopeo"]);
    expect![[r#"
        error: the base image alpine:3.23 is an image, but docker, podman and skopeo cannot provide it: docker and podman are not available (docker: not installed; podman: not installed); skopeo: not installed
    "#]].assert_eq(&errors(&tree, &["--base", ALPINE]));
}
