//! What can go wrong with a container engine: each error whole, as a person reads it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use crate::support::engine::{ALPINE, Engine, GNU, MUSL};
use crate::support::registry::{Registry, silent_server};
use crate::support::{Tree, errors};
use expect_test::{Expect, expect};

const STANDINS: [&str; 6] = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE];

fn check(tree: &Tree, args: &[&str], expected: Expect) {
    expected.assert_eq(&errors(tree, args));
}

#[test]
fn a_daemon_that_does_not_run() {
    let tree = Tree::small("no-daemon").env("DOCKER_HOST", "tcp://127.0.0.1:1");
    check(
        &tree,
        &["--engine", "docker"],
        expect![[r#"
            error: docker: Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?; start its daemon, or set DOCKER_HOST to a running one
        "#]],
    );
}

#[test]
fn a_daemon_that_does_not_answer() {
    let (_server, address) = silent_server();
    let tree = Tree::small("silent-daemon").env("DOCKER_HOST", &format!("tcp://{address}"));
    check(
        &tree,
        &["--engine", "docker"],
        expect![[r#"
            error: docker: no answer within 10 s; start its daemon, or set DOCKER_HOST to a running one
        "#]],
    );
}

#[test]
fn a_socket_that_is_not_the_users() {
    let tree = Tree::small("forbidden-daemon").by_a_user();
    let socket = tree.root.join("docker.sock");
    let _server = UnixListener::bind(&socket).expect("a socket");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).expect("a file of the test's own");
    let address = format!("unix://{socket}");
    let error = errors(&tree.env("DOCKER_HOST", &address), &["--engine", "docker"]);
    // Between these stands the request, in which the path and the client's version are.
    let (before, request) = error.split_once(" at unix://").expect("the socket");
    let (_, after) = request.rsplit_once(" connect: ").expect("why not");
    expect![[r#"
        error: docker: permission denied while trying to connect to the Docker daemon socket at [SOCKET]: permission denied; give this user access to it, usually through the group docker
    "#]].assert_eq(&format!("{before} at [SOCKET]: {after}"));
}

#[test]
fn images_that_cannot_be_pulled() {
    let tree = Tree::small("pulls");
    let registry = Registry::start(&tree);
    let missing = format!("{}/none:1", registry.address);
    let error = errors(&tree, &["--engine", "docker", "--builder-image", &missing]);
    expect![[r#"
        error: docker cannot pull [REGISTRY]/none:1: Error response from daemon: manifest for [REGISTRY]/none:1 not found: manifest unknown: manifest unknown
        check its name and that its registry is reachable, or choose another image with --builder-image or --base
    "#]].assert_eq(&error.replace(&registry.address, "[REGISTRY]"));
    let error = errors(&tree, &["--engine", "docker", "--builder-image", GNU, "--base", &missing]);
    expect![[r#"
        error: docker cannot pull [REGISTRY]/none:1: Error response from daemon: manifest for [REGISTRY]/none:1 not found: manifest unknown: manifest unknown
        check its name and that its registry is reachable, or choose another image with --builder-image or --base
    "#]].assert_eq(&error.replace(&registry.address, "[REGISTRY]"));

    check(
        &tree,
        &["--engine", "docker", "--builder-image", "127.0.0.1:1/none:1"],
        expect![[r#"
            error: docker cannot pull 127.0.0.1:1/none:1: Error response from daemon: Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
            check its name and that its registry is reachable, or choose another image with --builder-image or --base
        "#]],
    );

    let (_server, address) = silent_server();
    let silent = format!("{address}/none:1");
    let error = errors(&tree, &["--engine", "docker", "--builder-image", &silent, "--pull-timeout", "1"]);
    expect![[r#"
        error: docker cannot pull [REGISTRY]/none:1: not finished after 1 s; allow more time with --pull-timeout
    "#]]
    .assert_eq(&error.replace(&address, "[REGISTRY]"));
}

#[test]
fn a_builder_that_lacks_something() {
    let tree = Tree::small("lacking");
    check(
        &tree,
        &["--engine", "docker", "--builder-image", ALPINE, "--base", ALPINE],
        expect![[r#"
            error: the builder alpine:3.23 has no cargo and rustc on its PATH; choose an image that has them, in docker/builder.Dockerfile or with --builder-image
        "#]],
    );
    check(
        &tree,
        &[&STANDINS[..], &["--toolchain", "1.31.0"]].concat(),
        expect![[r#"
            error: the builder localhost/standin/rust-gnu:1.95.0 has Rust 1.95.0, expected 1.31.0; change one of docker/builder.Dockerfile and rust-toolchain.toml, or set --builder-image or --toolchain
        "#]],
    );

    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\nRUN rm /usr/bin/cc\n"));
    let error = errors(&tree, &["--engine", "docker", "--base", ALPINE]);
    let name = built(&error);
    Engine::docker().read(&["rmi", &name]);
    expect![[r#"

        error: the builder [BUILT] has no linker for x86_64-unknown-linux-gnu: there is no `cc` on its PATH; install one (usually the package gcc) in docker/builder.Dockerfile, or choose another image with --builder-image
    "#]].assert_eq(&error.replace(&name, "[BUILT]"));

    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\nRUN exit 3\n"));
    let error = errors(&tree, &["--engine", "docker", "--base", ALPINE]);
    expect![[r#"

        error: building [ROOT]/docker/builder.Dockerfile failed: `docker build --force-rm --tag [BUILT] --file [ROOT]/docker/builder.Dockerfile [ROOT]/docker` ended with exit status: 3; see its output above
    "#]].assert_eq(&without_labels(&error.replace(&built(&error), "[BUILT]").replace(tree.root.as_str(), "[ROOT]")));
}

/// Labels name the machine.
fn without_labels(command: &str) -> String {
    let words: Vec<&str> = command.split(' ').collect();
    let kept = words.iter().enumerate().filter(|(index, word)| {
        let next = words.get(index + 1).unwrap_or(&"");
        !(word.starts_with("xtask.") || **word == "--label" && next.starts_with("xtask."))
    });
    kept.map(|(_, word)| *word).collect::<Vec<_>>().join(" ")
}

/// The name of what was made of a Dockerfile.
fn built(error: &str) -> String {
    let from = error.find("localhost/xtask/builder:").expect("a name");
    error[from..].split([' ', '\n']).next().expect("a name").to_owned()
}

#[test]
fn pins_that_do_not_agree() {
    let tree = Tree::small("pins");
    tree.write("docker/builder.Dockerfile", "FROM rust:1.94.1-alpine3.23@sha256:00\n");
    check(
        &tree,
        &["--engine", "docker"],
        expect![[r#"
        error: docker/builder.Dockerfile names Rust 1.94.1 (rust:1.94.1-alpine3.23@sha256:00), rust-toolchain.toml pins 1.95.0; use the same release in both, or set --builder-image or --toolchain
    "#]],
    );
    check(
        &tree,
        &["--engine", "auto"],
        expect![[r#"
        error: docker/builder.Dockerfile names Rust 1.94.1 (rust:1.94.1-alpine3.23@sha256:00), rust-toolchain.toml pins 1.95.0; use the same release in both, or set --builder-image or --toolchain
    "#]],
    );

    // The two stand-ins have musl of two releases.
    let musl = |image| {
        let said = Engine::docker().read(&[
            "run",
            "--rm",
            "--entrypoint",
            "sh",
            image,
            "-c",
            "/lib/ld-musl-*.so.1 2>&1 || true",
        ]);
        said.lines().find_map(|line| line.strip_prefix("Version ")).expect("a version").to_owned()
    };
    let versions = (musl(MUSL), musl(ALPINE));
    assert_ne!(versions.0, versions.1);
    tree.write("docker/builder.Dockerfile", &format!("FROM {MUSL}\n"));
    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\n"));
    let error = errors(&tree, &["--engine", "docker"]);
    expect![[r#"
        error: the image of docker/builder.Dockerfile has musl [BUILDER], the one of docker/deploy.Dockerfile has musl [BASE]; use two images of the same release of Alpine
    "#]].assert_eq(&error.replace(&versions.0, "[BUILDER]").replace(&versions.1, "[BASE]"));
}
