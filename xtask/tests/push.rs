//! An image goes to a registry, and comes back.

mod support;

use expect_test::expect;
use serde_json::Value;
use support::registry::Registry;
use support::runtime::{GREETINGS, Leftovers, Runtime};
use support::{Tree, run};

#[test]
fn skopeo_pushes_the_digest_that_was_printed() {
    let tree = Tree::small("push");
    let registry = Registry::start(&tree);
    let tree = registry.trusted_by(tree);
    let name = format!("{}/greeter:1", registry.address);
    let _leftovers = Leftovers::of(&Runtime::docker(), &tree, &name);
    let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
    let digest = image["manifest_digest"].as_str().expect("a digest");
    assert_eq!(image["pushed"], serde_json::json!({ "reference": name, "digest": digest }));
    let there =
        run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")]);
    assert_eq!(there, digest);

    let pinned = format!("{}/greeter@{digest}", registry.address);
    Runtime::docker().read(&["pull", "--quiet", &pinned]);
    assert_eq!(Runtime::docker().run(&pinned), GREETINGS);
}

#[test]
fn docker_pushes_and_the_registrys_own_digest_is_printed() {
    let tree = Tree::small("push-docker");
    let registry = Registry::start(&tree);
    let name = format!("{}/greeter:2", registry.address);
    let _leftovers = Leftovers::of(&Runtime::docker(), &tree, &name);
    let tree = tree.without(&["skopeo", "podman"]);
    let run_ = tree.xtask(&["image", "--base", "scratch", "--format", "json", "--push", &name]);
    assert_eq!(run_.code, Some(0), "{}", run_.stderr);
    let image: Value = serde_json::from_str(&run_.stdout).expect("JSON");
    let there =
        run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")]);
    assert_eq!(image["pushed"]["digest"], there.as_str());
    assert_ne!(image["manifest_digest"], there.as_str());
    assert!(run_.stderr.contains("warning: the registry has another digest than the archive, "), "{}", run_.stderr);
}

#[test]
fn a_name_without_a_registry() {
    let tree = Tree::small("push-nowhere");
    let run = tree.xtask(&["image", "--base", "scratch", "--push", "greeter:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
    expect![[r#"
        error: --push greeter:1 names no registry; write it out, as in ghcr.io/you/greeter:1
    "#]]
    .assert_eq(error);
}

#[test]
fn nothing_to_push_with() {
    let tree = Tree::small("push-nothing").without(&["docker", "podman", "skopeo"]);
    let run = tree.xtask(&["image", "--base", "scratch", "--push", "127.0.0.1:1/greeter:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
    expect![[r#"
        error: --push needs skopeo, docker or podman; install one of them
    "#]]
    .assert_eq(error);
}
