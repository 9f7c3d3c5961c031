//! `--platform`: images for another architecture than this machine's, compiled by a cross compiler, and the index of all.

use std::path::Path;

use crate::support::engine::{ALPINE, ALPINE_ARM64, CROSS, Engine, GNU};
use crate::support::layout::{blob, read};
use crate::support::registry::Registry;
use crate::support::{Run, Tree, check, run};
use camino::Utf8Path;
use expect_test::expect;
use serde_json::{Value, json};

const NAME: &str = "localhost/xtask-test/greeter:platforms";

/// The release that the cross compiler is.
fn release(engine: &Engine) -> String {
    let version = engine.read(&["run", "--rm", "--network", "none", CROSS, "rustc", "--version"]);
    version.split(' ').nth(1).expect("a release").to_owned()
}

/// The cross compiler's image without the emulator that it has.
fn without_emulator(engine: &Engine) -> String {
    let name = "localhost/xtask-test/builder:without-emulator".to_owned();
    let container = engine.read(&["create", CROSS, "sh", "-c", "rm /usr/bin/qemu-aarch64*"]);
    engine.read(&["start", "--attach", &container]);
    engine.read(&["commit", &container, &name]);
    engine.read(&["rm", &container]);
    name
}

/// Puts Alpine for both platforms under one name into a registry, as the real one has it.
fn publish(engine: &Engine, registry: &Registry, tree: &Tree) -> String {
    let base = format!("{}/alpine:3.23", registry.address);
    let layout = tree.root.join("registry/alpine");
    for (image, architecture) in [(ALPINE, "amd64"), (ALPINE_ARM64, "arm64")] {
        let archive = tree.root.join(format!("registry/{architecture}.tar"));
        engine.read(&["save", "--output", archive.as_str(), image]);
        let to = format!("oci:{layout}:{architecture}");
        run("skopeo", &["copy", "--quiet", &format!("docker-archive:{archive}"), &to]);
    }
    let mut index = read(&layout, "index.json");
    for descriptor in index["manifests"].as_array_mut().expect("manifests") {
        let architecture = descriptor["annotations"]["org.opencontainers.image.ref.name"].clone();
        descriptor["platform"] = json!({ "os": "linux", "architecture": architecture });
    }
    let all = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": index["manifests"],
    });
    let mut named = crate::support::layout::put(&layout, &all, &json!({}));
    named["mediaType"] = all["mediaType"].clone();
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": "all" });
    let top = json!({ "schemaVersion": 2, "manifests": [named] });
    std::fs::write(layout.join("index.json"), top.to_string()).expect("an index");
    let (from, to) = (format!("oci:{layout}:all"), format!("docker://{base}"));
    run("skopeo", &["copy", "--quiet", "--all", "--dest-tls-verify=false", &from, &to]);
    base
}

/// The platforms of an index, each with the architecture that its image says.
fn platforms(layout: &Utf8Path, digest: &Value) -> Vec<(String, String)> {
    let index = blob(layout, &json!({ "digest": digest }));
    let of = |descriptor: &Value| {
        let config = blob(layout, &blob(layout, descriptor)["config"]);
        let text = |value: &Value| value["architecture"].as_str().expect("an architecture").to_owned();
        (text(&descriptor["platform"]), text(&config))
    };
    index["manifests"].as_array().expect("manifests").iter().map(of).collect()
}

#[test]
fn each_platform_has_its_image_under_one_digest() {
    let engine = Engine::docker();
    let elsewhere = Tree::small("platforms-registry");
    let registry = Registry::start(&elsewhere);
    let base = publish(&engine, &registry, &elsewhere);
    let tree = registry.trusted_by(Tree::small("platforms"));
    let release = release(&engine);
    let pushed = format!("{}/greeter:1", registry.address);
    let both =
        ["--engine", "docker", "--builder-image", CROSS, "--toolchain", &release, "--base", &base, "--tag", NAME];
    let both = [&both[..], &["--platform", "linux/arm64,linux/amd64"]].concat();

    let Run { code, stdout, stderr } =
        tree.xtask(&[&["image", "--format", "json", "--push", &pushed], &both[..]].concat());
    assert_eq!(code, Some(0), "{stderr}");
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    let images = report["images"].as_array().expect("images");
    let field = |name: &str| images.iter().map(|image| image["plan"][name].clone()).collect::<Vec<Value>>();
    assert_eq!(field("platform"), ["linux/amd64", "linux/arm64"]);
    // The small tree's host is what this machine starts; the other's only where the kernel has an emulator for it.
    let emulated = Path::new("/proc/sys/fs/binfmt_misc/qemu-aarch64").exists();
    assert_eq!(images.iter().map(|image| image["verified"].is_object()).collect::<Vec<_>>(), [true, emulated]);
    let said = "other architecture: docker runs linux/amd64 and has no emulator for linux/arm64; ABI records and libraries were checked";
    assert_eq!(stderr.contains(said), !emulated, "{stderr}");
    assert_eq!(images[0]["loaded_into"], "docker");
    assert_eq!(images[1]["loaded_into"], Value::Null);
    assert!(stderr.contains("linux/amd64 into docker, which has one platform of a name\n"), "{stderr}");
    assert!(stderr.contains("Not loaded linux/arm64: it is in the index alone\n"), "{stderr}");
    for image in images {
        assert_eq!(image["documents"].as_array().expect("documents").len(), 2);
        assert!(image["plugins"].as_array().expect("plugins").iter().all(|plugin| plugin["abi"].is_object()));
    }

    // One index, in the layout and in the registry, of images that are what they say.
    assert_eq!(report["layout"], "[ROOT]/target/image/greeter.oci");
    let layout = tree.image_dir().join("greeter.oci");
    let expected = [("amd64", "amd64"), ("arm64", "arm64")].map(|(is, says)| (is.to_owned(), says.to_owned()));
    assert_eq!(platforms(&layout, &report["index_digest"]), expected);
    let there = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{pushed}")]);
    assert_eq!(format!("sha256:{}", crate::support::sha256(there.as_bytes())), report["index_digest"]);

    // Again, nothing changes.
    let again = tree.xtask(&[&["image"], &both[..]].concat());
    assert_eq!((again.code, again.stdout.trim()), (Some(0), report["index_digest"].as_str().expect("a digest")));
    let plans = tree.xtask(&[&["plan", "--format", "json"], &both[..]].concat());
    let plans: Vec<Value> = serde_json::from_str(&plans.stdout).expect("JSON");
    assert_eq!(plans.iter().map(|plan| plan["platform"].clone()).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
    let cleaned = tree.xtask(&["clean", "--volumes"]);
    assert!(cleaned.stderr.contains("     Removed 2 volumes from docker\n"), "{}", cleaned.stderr);
    engine.read(&["rmi", "--force", NAME]);
}

#[test]
fn what_cannot_be_built_is_said_before_anything_compiles() {
    let engine = Engine::docker();
    let elsewhere = Tree::small("platforms-missing-registry");
    let registry = Registry::start(&elsewhere);
    let tree = registry.trusted_by(Tree::small("platforms-missing"));
    let base = format!("{}/only:1", registry.address);
    let archive = elsewhere.root.join("registry/only.tar");
    engine.read(&["save", "--output", archive.as_str(), ALPINE]);
    let to = format!("docker://{base}");
    run("skopeo", &["copy", "--quiet", "--dest-tls-verify=false", &format!("docker-archive:{archive}"), &to]);
    let release = release(&engine);
    let arm64 = |base: &str, builder: &str, toolchain: &str| -> String {
        let args = ["--engine", "docker", "--platform", "linux/arm64", "--base", base, "--builder-image", builder];
        let run = tree.xtask(&[&["plan", "--toolchain", toolchain], &args[..]].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
        let error = run.stderr.lines().skip_while(|line| !line.starts_with("error")).collect::<Vec<_>>().join("\n");
        error.replace(&registry.address, "[REGISTRY]")
    };
    expect!["error: the base image [REGISTRY]/only:1 is not for linux/arm64, but for linux/amd64; choose another one with --base"]
        .assert_eq(&arm64(&base, CROSS, &release));
    expect![[r#"error: the builder localhost/standin/rust-gnu:1.95.0 is x86_64-unknown-linux-gnu and cannot compile for linux/arm64: it lacks std for aarch64-unknown-linux-musl and the C compiler `aarch64-linux-musl-gcc`; install them and the target's C library in docker/builder.Dockerfile (docs/cli.md names the packages), or build on a machine of that platform and join the images with `cargo xtask index`"#]]
        .assert_eq(&arm64(ALPINE_ARM64, GNU, "1.95.0"));
    expect!["error: the builder localhost/standin/alpine-arm64:3.23 is for linux/arm64, but docker runs linux/amd64; choose a builder of that platform, which can compile for others too, or allow emulation, which takes many times as long, with --emulate"]
        .assert_eq(&arm64(ALPINE_ARM64, ALPINE_ARM64, "1.95.0"));
    let schemas = "state-dir = \"/srv/greeter\"\n";
    tree.replace("Cargo.toml", schemas, &format!("{schemas}schema-flag = \"--schema\"\n"));
    let without = without_emulator(&engine);
    expect!["error: the builder cannot start the host, which is for aarch64-unknown-linux-musl and has to say the schemas of the plugins; install the package qemu-user in docker/builder.Dockerfile"]
        .assert_eq(&arm64(ALPINE_ARM64, &without, &release));
    engine.read(&["rmi", &without]);
    check(
        &tree,
        &["image", "--engine", "local", "--base", "scratch", "--platform", "linux/arm64"],
        expect![[r#"
            error: --platform linux/arm64: this machine compiles for linux/amd64 alone; use a builder in a container, or a machine of that platform, and join the images with `cargo xtask index`
        "#]],
    );
    check(
        &tree,
        &["image", "--platform", "linux/arm64,linux/amd64", "--output", "both.tar"],
        expect![[r#"
            error: --output both.tar: an index is written to a layout: oci:both.tar
        "#]],
    );
    // Known before anything is compiled: what would be pushed is whole only then.
    check(
        &tree.without(&["skopeo"]),
        &["image", "--platform", "linux/arm64,linux/amd64", "--push", "localhost:1/greeter:1"],
        expect![[r#"
            error: --push of an index needs skopeo; install it
        "#]],
    );
    let tree = Tree::small("platforms-unknown");
    let unknown = tree.xtask(&["image", "--platform", "linux/riscv64"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("there is no platform `linux/riscv64`; there are linux/amd64, linux/arm64"));
}
