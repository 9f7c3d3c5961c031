//! `cargo xtask dockerfile`, built without a network by BuildKit and by buildah: the image is the one that `image` makes.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS};
use crate::support::registry::Registry;
use crate::support::{Tree, check, repository, run, sha256};
use expect_test::expect;
use serde_json::{Value, json};

const NAME: &str = "localhost/xtask-test/greeter";
const BASE: &str = "localhost/xtask-test/base:entrypoint";
const CHOICE: [&str; 4] = ["--builder-image", GNU, "--base", BASE];

/// A base image with an entrypoint of its own, which would get the command as its arguments. Docker and buildah have it.
fn base(engine: &Engine) {
    let container = engine.read(&["create", ALPINE]);
    engine.read(&["commit", "--change", "ENTRYPOINT [\"echo\"]", &container, BASE]);
    engine.read(&["rm", &container]);
    run("skopeo", &["copy", "--quiet", &format!("docker-daemon:{BASE}"), &format!("containers-storage:{BASE}")]);
}

/// The small tree with the whole build system, whose crates lie in it: nothing has to be fetched.
fn whole(name: &str) -> Tree {
    let tree = Tree::small(name);
    for part in
        ["xtask/Cargo.toml", "xtask/Cargo.lock", "xtask/src", "xtask/plan", "host/record/Cargo.toml", "host/record/src"]
    {
        tree.copy(&repository().join(part), part);
    }
    // Its tests, and what they need, are not compiled.
    for (file, follows) in [("xtask/Cargo.toml", "[package.metadata"), ("xtask/plan/Cargo.toml", "[lints]")] {
        let manifest = tree.read(file);
        let (before, after) = manifest.split_once("[dev-dependencies]").expect("tests need crates");
        let (_, after) = after.split_once(follows).expect("what follows");
        tree.write(file, &format!("{before}{follows}{after}"));
    }
    // Here it belongs to no workspace.
    let record = tree
        .read("host/record/Cargo.toml")
        .replace("version.workspace = true\nedition.workspace", "version = \"0.1.0\"\nedition.workspace");
    let record =
        record.replace("edition.workspace = true", "edition = \"2024\"").replace("[lints]\nworkspace = true\n", "");
    let lines = record.lines().filter(|line| !line.ends_with(".workspace = true"));
    tree.write("host/record/Cargo.toml", &lines.map(|line| format!("{line}\n")).collect::<String>());
    tree.replace("Cargo.toml", "exclude = [\"xtask\"]", "exclude = [\"xtask\", \"host/record\"]");
    let (xtask, vendor) = (tree.root.join("xtask/Cargo.toml"), tree.root.join("vendor"));
    run("cargo", &["vendor", "--quiet", "--manifest-path", xtask.as_str(), vendor.as_str()]);
    let own = tree.read(".cargo/config.toml");
    tree.write(
        ".cargo/config.toml",
        &format!("{own}\n[source.crates-io]\nreplace-with = \"here\"\n[source.here]\ndirectory = \"vendor\"\n"),
    );
    tree
}

/// What a container of the image has: by path, the mode, the owner and the content.
fn files(engine: &Engine, image: &str) -> BTreeMap<String, (u32, u64, u64, String)> {
    let container = engine.read(&["create", image]);
    let mut export = engine.command(&["export", &container]).stdout(Stdio::piped()).spawn().expect("the engine starts");
    let mut archive = tar::Archive::new(export.stdout.take().expect("its output"));
    let mut found = BTreeMap::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("its content");
        let (path, header) = (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), entry.header());
        let of = (header.mode().expect("a mode"), header.uid().expect("an owner"), header.gid().expect("a group"));
        found.insert(path, (of.0, of.1, of.2, sha256(&content)));
    }
    export.wait().expect("the export ends");
    engine.read(&["rm", "--volumes", &container]);
    found
}

/// What a container is started with, without what differs from build to build.
fn settings(engine: &Engine, image: &str) -> Value {
    let inspected: Value = serde_json::from_str(&engine.read(&["image", "inspect", image])).expect("JSON");
    let mut config = inspected[0]["Config"].clone();
    let labels = config["Labels"].as_object_mut().expect("labels");
    labels.retain(|name, _| !name.ends_with(".created") && !name.starts_with("io.buildah"));
    let lists = ["Cmd", "Entrypoint", "Env"];
    let others = ["ExposedPorts", "Healthcheck", "Labels", "StopSignal", "User", "Volumes", "WorkingDir"];
    // For an empty list some builders write nothing.
    let filled = |value: &Value| if *value == json!([]) { Value::Null } else { value.clone() };
    lists.iter().chain(&others).map(|key| ((*key).to_owned(), filled(&config[*key]))).collect()
}

#[test]
fn every_builder_makes_the_same_image() {
    let engine = Engine::docker();
    base(&engine);
    let tree = whole("dockerfile");
    let name = |by: &str| format!("{NAME}:dockerfile-{by}");
    let [by_xtask, by_buildx, by_buildah] = ["xtask", "buildx", "buildah"].map(name);
    tree.image(&[&["--engine", "docker", "--tag", &by_xtask], &CHOICE[..]].concat());

    // A directory of docker's settings that has the plugin.
    let plugins = tree.root.join("docker-config/cli-plugins");
    std::fs::create_dir_all(&plugins).expect("a directory");
    let plugin = run("sh", &["-c", "command -v docker-buildx"]);
    std::os::unix::fs::symlink(plugin, plugins.join("docker-buildx")).expect("a link");
    tree.write("docker-config/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55");
    let config = tree.root.join("docker-config").into_string();
    let tree = tree.env("DOCKER_CONFIG", &config);

    let elsewhere = Tree::small("dockerfile-registry");
    let registry = Registry::start(&elsewhere);
    let pushed = format!("{}/greeter:1", registry.address);
    let args = ["image", "--engine", "buildx", "--builder", "default", "--tag", &by_buildx, "--push", &pushed];
    let run_of = tree.xtask(&[&args[..], &["--format", "json"], &CHOICE].concat());
    assert_eq!(run_of.code, Some(0), "{}", run_of.stderr);
    let report: Value = serde_json::from_str(&run_of.stdout).expect("JSON");
    let there = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{pushed}")]);
    assert_eq!(report["pushed"]["digest"], format!("sha256:{}", sha256(there.as_bytes())));

    let printed = tree.xtask(&[&["dockerfile"], &CHOICE[..]].concat());
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    tree.write("own.Dockerfile", &printed.stdout);
    let archive = tree.root.join("target/buildah.tar");
    let mut buildah = Command::new("buildah");
    buildah.args(["build", "--format", "docker", "--network", "none", "--layers=false", "--file", "own.Dockerfile"]);
    let output = buildah.args(["--tag", &by_buildah, "."]).current_dir(&tree.root).output().expect("buildah starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    run("buildah", &["push", "--quiet", &by_buildah, &format!("docker-archive:{archive}:{by_buildah}")]);
    engine.read(&["load", "--input", archive.as_str()]);
    run("buildah", &["rmi", "--force", &by_buildah, BASE]);

    let expected = (files(&engine, &by_xtask), settings(&engine, &by_xtask));
    for image in [&by_buildx, &by_buildah] {
        let (found, said) = (files(&engine, image), settings(&engine, image));
        let other: Vec<&String> =
            expected.0.keys().chain(found.keys()).filter(|path| expected.0.get(*path) != found.get(*path)).collect();
        assert_eq!(other, <[&String; 0]>::default(), "{image}");
        assert_eq!(said, expected.1, "{image}");
        let greetings = engine.read(&["run", "--rm", "--network", "none", image]);
        assert_eq!(greetings, GREETINGS);
    }
    engine.read(&["rmi", "--force", &by_xtask, &by_buildx, &by_buildah, &pushed, BASE]);
}

#[test]
fn a_dockerfile_has_the_tree_s_own_as_its_stages() {
    let tree = Tree::small("dockerfile-stages").without_engine();
    tree.write("docker/builder.Dockerfile", "ARG V=1.95.0\nFROM rust:${V}-alpine3.23\nRUN apk add cmake make\n");
    tree.write("docker/deploy.Dockerfile", "FROM alpine:3.23 AS Own\nRUN apk add zlib\n");
    let printed = tree.xtask(&["dockerfile", "--only", "hello"]);
    assert_eq!(printed.code, Some(0), "{}", printed.stderr);
    let stages: String = printed.stdout.split_inclusive('\n').skip(1).take(7).collect();
    expect![[r#"
        ARG V=1.95.0
        FROM rust:${V}-alpine3.23 AS builder
        RUN apk add cmake make

        FROM alpine:3.23 AS Own
        RUN apk add zlib

    "#]]
    .assert_eq(&stages);
    assert!(printed.stdout.contains(" --layers /layers --only hello\n"), "{}", printed.stdout);
    assert!(
        printed.stdout.contains("COPY --from=build /layers/hello.plug/ /\n") && !printed.stdout.contains("goodbye")
    );

    let command = "[\"./greeter\",\"--settings\",\"/opt/greeter/etc/settings.toml\",\"--plugin\",\"hello.plug\"]\n";
    assert!(printed.stdout.contains(&format!("\nENTRYPOINT []\nCMD {command}")), "{}", printed.stdout);
    let printed = tree.xtask(&["dockerfile", "--only", "hello", "--entrypoint"]);
    assert!(printed.stdout.contains(&format!("\nENTRYPOINT {command}")), "{}", printed.stdout);
    assert!(!printed.stdout.contains("\nCMD "), "{}", printed.stdout);
    tree.replace("Cargo.toml", "check-flag = ", "entrypoint = true\ncheck-flag = ");
    let printed = tree.xtask(&["dockerfile", "--only", "hello"]);
    assert!(printed.stdout.contains(&format!("\nENTRYPOINT {command}")), "{}", printed.stdout);

    tree.write("docker/deploy.Dockerfile", "FROM alpine:3.23\nCOPY motd /etc/motd\n");
    let refused = |args: &[&str], expected| check(&tree, &[&["dockerfile"], args].concat(), expected);
    refused(
        &[],
        expect![[r#"
            error: [ROOT]/docker/deploy.Dockerfile copies files that lie beside it, which another Dockerfile does not see: `COPY motd /etc/motd`; make them in a RUN line
        "#]],
    );
    tree.write("docker/deploy.Dockerfile", "# escape=`\nFROM alpine:3.23\n");
    refused(
        &[],
        expect![[r#"
            error: [ROOT]/docker/deploy.Dockerfile has a directive or a here-document, which cannot stand in another Dockerfile; write it without
        "#]],
    );
    refused(
        &["--base", "oci:base"],
        expect![[r#"
            error: --base oci:base: a Dockerfile starts from an image by its name; push it to a registry, or load it
        "#]],
    );
    refused(
        &["--base", "alpine", "--platform", "linux/arm64"],
        expect![[r#"
            error: --platform: a Dockerfile is for the platform of the machine that builds it
        "#]],
    );
    check(
        &tree,
        &["image", "--engine", "buildx", "--output", "image.tar", "--verify-reproducible"],
        expect![[r#"
            error: 2 errors in the options
              - --output: with --engine buildx the image goes from its Dockerfile to docker and to --push
              - --verify-reproducible: with --engine buildx the image goes from its Dockerfile to docker and to --push
        "#]],
    );
    check(
        &tree,
        &["image", "--engine", "buildx", "--base", "alpine"],
        expect![[r#"
            error: --engine buildx needs docker with its plugin buildx: `docker buildx version` fails; install the plugin
        "#]],
    );
    check(
        &tree,
        &["plan", "--engine", "buildx"],
        expect![[r#"
            error: --engine buildx builds an image from a Dockerfile; only `cargo xtask image` can do that
        "#]],
    );
}
