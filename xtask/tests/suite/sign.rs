//! What is pushed is signed by cosign, with a key of its own and no service of others.

use std::fs;
use std::process::Command;

use crate::support::registry::Registry;
use crate::support::{Tree, check};
use expect_test::expect;
use serde_json::Value;

/// A tree with a key, for images in a registry of its own.
fn with_key(name: &str) -> (Tree, Tree, Registry) {
    let elsewhere = Tree::small(&format!("{name}-registry"));
    let registry = Registry::start(&elsewhere);
    let tree = registry.trusted_by(Tree::small(name)).without_engine();
    let mut generate = Command::new("cosign");
    generate.args(["generate-key-pair"]).current_dir(&tree.root).env("COSIGN_PASSWORD", "secret");
    assert!(generate.output().expect("cosign starts").status.success());
    let key = tree.root.join("cosign.key").into_string();
    let tree = tree.env("COSIGN_PASSWORD", "secret").env("COSIGN_KEY", &key);
    (tree.env("COSIGN_USE_SIGNING_CONFIG", "false").env("COSIGN_TLOG_UPLOAD", "false"), elsewhere, registry)
}

fn cosign(tree: &Tree, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("cosign");
    command.args(args).args(["--key", "cosign.pub", "--insecure-ignore-tlog"]).current_dir(&tree.root);
    let output = command.env("HOME", tree.root.join("home")).output().expect("cosign starts");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_image_is_signed_and_its_documents_are_attested() {
    let (tree, _elsewhere, registry) = with_key("sign");
    let name = format!("{}/greeter:1", registry.address);
    let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
    assert_eq!(image["pushed"]["signed"], false);
    let digest = image["manifest_digest"].as_str().expect("a digest");
    let pinned = format!("{}/greeter@{digest}", registry.address);
    assert!(!cosign(&tree, &["verify", &pinned]).0, "nobody signed it");

    let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name, "--sign"]);
    assert_eq!((&image["pushed"]["signed"], image["manifest_digest"].as_str()), (&Value::Bool(true), Some(digest)));
    assert!(cosign(&tree, &["verify", &pinned]).0);
    for (kind, file, inside) in
        [("cyclonedx", "greeter.cdx.json", ""), ("slsaprovenance1", "greeter.provenance.json", "/predicate")]
    {
        let (verified, said) = cosign(&tree, &["verify-attestation", "--type", kind, &pinned]);
        assert!(verified, "{kind}");
        let envelope: Value = serde_json::from_str(said.lines().next().expect("an envelope")).expect("JSON");
        let mut decode = Command::new("base64");
        decode.arg("--decode").arg(tree.root.join("payload"));
        tree.write("payload", envelope["payload"].as_str().expect("a payload"));
        let statement: Value = serde_json::from_slice(&decode.output().expect("base64").stdout).expect("JSON");
        let written: Value =
            serde_json::from_slice(&fs::read(tree.image_dir().join(file)).expect("a document")).expect("JSON");
        assert_eq!(Some(&statement["predicate"]), written.pointer(inside), "{kind}");
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.trim_start_matches("sha256:"));
    }
    assert!(!tree.image_dir().join("predicate.json").exists());

    let layout = tree.root.join("target/layout");
    tree.image(&["--base", "scratch", "--tag", &name, "--output", &format!("oci:{layout}")]);
    let index = format!("{}/greeter:all", registry.address);
    let run = tree.xtask(&["index", layout.as_str(), "--push", &index, "--sign"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(cosign(&tree, &["verify", &format!("{}/greeter@{}", registry.address, run.stdout.trim())]).0);
}

/// Everybody can have the image then; but it is not what was asked for.
#[test]
fn what_cannot_be_signed_is_an_error() {
    let (tree, _elsewhere, registry) = with_key("sign-not");
    let name = format!("{}/greeter:1", registry.address);
    let other = tree.root.join("other.key").into_string();
    let tree = tree.env("COSIGN_KEY", &other);
    let run = tree.xtask(&["image", "--base", "scratch", "--tag", &name, "--push", &name, "--sign"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let pinned = run.stderr.lines().find_map(|line| line.trim_start().strip_prefix("Pushed ")).expect("it is pushed");
    let pinned = pinned.split(',').next().expect("a name");
    let error = format!("error: signing {pinned}, which is pushed: `cosign sign {pinned}` signs it later: ");
    let error = error.replace("greeter:1@", "greeter@");
    assert!(run.stderr.contains(&error), "{}", run.stderr);
    assert!(!run.stderr.contains("secret"), "{}", run.stderr);
}

#[test]
fn a_lack_of_cosign_is_said_before_anything_is_built() {
    let tree = Tree::small("sign-absent").without(&["cosign", "docker", "podman"]);
    check(
        &tree,
        &["image", "--base", "scratch", "--push", "localhost:1/greeter:1", "--sign"],
        expect![[r#"
               Resolving dependencies of the host and 2 plugins
            error: --sign needs cosign, which is not installed
        "#]],
    );
    let run = tree.xtask(&["image", "--sign"]);
    assert_eq!(run.code, Some(2));
}
