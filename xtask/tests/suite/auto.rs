//! Which engine `auto` takes: every case of it.

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use crate::support::{Tree, errors};
use expect_test::{Expect, expect};
use serde_json::Value;

const NAME: &str = "localhost/xtask-test/greeter:auto";

/// A tree whose Dockerfiles name these; podman is out of reach, so that docker decides.
fn tree(name: &str, builder: &str, base: &str) -> Tree {
    let tree = Tree::small(name);
    tree.write("docker/builder.Dockerfile", &format!("FROM {builder}\n"));
    tree.write("docker/deploy.Dockerfile", &format!("FROM {base}\n"));
    tree
}

/// An image is made by this machine; what was said before, and the engine in the image's label.
fn falls_back(tree: &Tree, expected: Expect) {
    let run = tree.xtask(&["image", "--engine", "auto", "--tag", NAME, "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let end = run.stderr.find("   Resolving").expect("what comes after");
    expected.assert_eq(&run.stderr[..end]);
    let image: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&image["plan"]["engine"], &image["plan"]["base"]), (&Value::from("local"), &Value::from("scratch")));
    assert_eq!(tree.label("xtask.engine"), "local");
}

#[test]
fn nothing_that_runs_containers() {
    falls_back(
        &tree("auto-nothing", GNU, ALPINE).without_engine(),
        expect![[r#"
        warning: no container engine here can compile; compiling with this machine's toolchain, for scratch (this machine's libc, no shell):
          - docker: not installed
          - podman: not installed
            Skipping the container engine: docker and podman are not available (docker: not installed; podman: not installed)
    "#]],
    );
}

#[test]
fn no_daemon() {
    let tree = tree("auto-no-daemon", GNU, ALPINE).without(&["podman"]).env("DOCKER_HOST", "tcp://127.0.0.1:1");
    falls_back(
        &tree,
        expect![[r#"
        warning: no container engine here can compile; compiling with this machine's toolchain, for scratch (this machine's libc, no shell):
          - docker: Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?; start its daemon, or set DOCKER_HOST to a running one
          - podman: not installed
            Skipping the container engine: docker and podman are not available (docker: Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?; start its daemon, or set DOCKER_HOST to a running one; podman: not installed)
    "#]],
    );
}

#[test]
fn a_daemon_without_the_image_and_no_registry() {
    let tree = tree("auto-no-registry", "127.0.0.1:1/rust:1.95.0", ALPINE).without(&["podman"]);
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    falls_back(
        &tree,
        expect![[r#"
                 Pulling 127.0.0.1:1/rust:1.95.0 (docker)
            warning: no container engine here can compile; compiling with this machine's toolchain, for scratch (this machine's libc, no shell):
              - docker cannot pull 127.0.0.1:1/rust:1.95.0: Error response from daemon: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
                check its name and that its registry is reachable, or choose another image with --builder-image or --base
              - podman: not installed
        "#]],
    );
}

#[test]
fn no_dockerfiles() {
    let tree = Tree::small("auto-no-files").without(&["podman"]);
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    falls_back(
        &tree,
        expect![[r#"
        warning: no container engine here can compile; compiling with this machine's toolchain, for scratch (this machine's libc, no shell):
          - reading [ROOT]/docker/builder.Dockerfile: No such file or directory (os error 2)
          - podman: not installed
    "#]],
    );
}

#[test]
fn a_daemon_with_the_images() {
    let tree = tree("auto-images", GNU, ALPINE).without(&["podman"]);
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    let image = tree.image(&["--engine", "auto", "--tag", NAME]);
    assert_eq!(image["plan"]["engine"]["container"]["reference"], GNU);
    assert_eq!(image["plan"]["base"]["image"]["reference"], ALPINE);
    assert_eq!(tree.label("xtask.engine"), "container");
    Engine::docker().no_container_is_left(&tree);
}

#[test]
fn ci_and_push_forbid_to_fall_back() {
    let tree = tree("auto-strict", "127.0.0.1:1/rust:1.95.0", ALPINE).without(&["podman"]);
    let pushed = errors(&tree, &["--engine", "auto", "--push", "127.0.0.1:1/greeter:1"]);
    expect![[r#"
        error: no container engine here can compile, and with CI=true or --push this machine's toolchain compiles only if you choose it with --engine local
          - docker cannot pull 127.0.0.1:1/rust:1.95.0: Error response from daemon: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
            check its name and that its registry is reachable, or choose another image with --builder-image or --base
          - podman: not installed
    "#]].assert_eq(&pushed);
    let ci = tree.env("CI", "true");
    assert_eq!(errors(&ci, &["--engine", "auto"]), pushed);
}

#[test]
fn a_wrong_compiler_is_an_error_and_no_reason_to_fall_back() {
    let tree = tree("auto-wrong", GNU, ALPINE).without(&["podman"]);
    expect![[r#"
        error: the builder localhost/standin/rust-gnu:1.95.0 has Rust 1.95.0, expected 1.31.0; change one of docker/builder.Dockerfile and rust-toolchain.toml, or set --builder-image or --toolchain
    "#]].assert_eq(&errors(&tree, &["--engine", "auto", "--toolchain", "1.31.0"]));
}
