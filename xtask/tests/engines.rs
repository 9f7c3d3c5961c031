//! Compiling in a builder's container, onto every kind of base. The builders are stand-ins; the containers are real.

mod support;

use std::process::Command;

use expect_test::expect;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::Tree;

const GNU: &str = "localhost/standin/rust-gnu:1.95.0";
const MUSL: &str = "localhost/standin/rust-musl:latest";
const ALPINE: &str = "alpine:3.23";

/// The runtime that `cargo xtask test` found.
fn runtime(args: &[&str]) -> String {
    let output = Command::new(program()).args(args).output().expect("the runtime starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn program() -> String {
    std::env::var("XTASK_RUNTIME").expect("XTASK_RUNTIME is not set; run the tests by `cargo xtask test`")
}

/// What a test leaves in the runtime.
struct Leftovers<'a> {
    image: &'a str,
    label: String,
}

impl<'a> Leftovers<'a> {
    fn of(tree: &Tree, image: &'a str) -> Leftovers<'a> {
        Leftovers { image, label: label(tree) }
    }
}

impl Drop for Leftovers<'_> {
    fn drop(&mut self) {
        let _ = Command::new(program()).args(["rmi", "--force", self.image]).output();
        // What `clean --volumes` left, in a test that failed.
        for volume in runtime(&["volume", "ls", "--quiet", "--filter", &self.label]).lines() {
            let _ = Command::new(program()).args(["volume", "rm", volume]).output();
        }
    }
}

/// What containers and volumes of this tree are known by.
fn label(tree: &Tree) -> String {
    let digest = Sha256::digest(tree.image_folder().as_str());
    let checkout: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("label=xtask.checkout={checkout}")
}

/// Builds in a container, then starts the image with its own command.
fn check(tree: &Tree, name: &str, args: &[&str]) -> Value {
    let engine = program();
    let image = tree.image(&[&["--engine", &engine, "--tag", name], args].concat());
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    let said = runtime(&["run", "--rm", "--read-only", "--network", "none", name]);
    assert_eq!(said, "tone = \"polite\"\ngoodbye\nhello");
    no_container_is_left(tree);
    image
}

fn no_container_is_left(tree: &Tree) {
    assert_eq!(runtime(&["ps", "--all", "--quiet", "--filter", &label(tree)]), "");
    assert_ne!(runtime(&["volume", "ls", "--quiet", "--filter", &label(tree)]), "", "it is the label that is used");
}

/// The toolchain of the stand-in, which is its distribution's.
fn musl_release() -> String {
    let version = runtime(&["run", "--rm", "--network", "none", MUSL, "rustc", "--version"]);
    version.split(' ').nth(1).expect("a version").to_owned()
}

#[test]
fn glibc_and_musl_builders_onto_alpine_and_scratch() {
    let tree = Tree::small("engines");
    let name = "localhost/xtask-test/greeter:engines";
    let _leftovers = Leftovers::of(&tree, name);
    check(&tree, name, &["--builder-image", GNU, "--base", ALPINE]);
    check(&tree, name, &["--builder-image", GNU, "--base", "scratch"]);
    let release = musl_release();
    let musl = ["--builder-image", MUSL, "--toolchain", &release, "--base", ALPINE];
    let image = check(&tree, name, &musl);
    assert!(image["plan"]["toolchain"]["target"].as_str().expect("a target").ends_with("-linux-musl"));

    assert_eq!(runtime(&["volume", "ls", "--quiet", "--filter", &label(&tree)]).lines().count(), 3);
    let again = tree.xtask(&[&["image", "--engine", &program(), "--tag", name], musl.as_slice()].concat());
    assert!(again.stderr.contains("       Fresh host, SDK and 2 plugins: "), "{}", again.stderr);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let edited = tree.image(&[&["--engine", &program(), "--tag", name], musl.as_slice()].concat());
    let changed = edited["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    assert_eq!(changed.map(|layer| &layer["name"]).collect::<Vec<_>>(), ["hello.plug"]);
    assert_eq!(runtime(&["run", "--rm", name]), "tone = \"polite\"\ngoodbye\ngood day");

    let run = tree.xtask(&["clean", "--volumes"]);
    assert!(run.stderr.contains(&format!("     Removed 3 volumes from {}\n", program())), "{}", run.stderr);
    assert_eq!(runtime(&["volume", "ls", "--quiet", "--filter", &label(&tree)]), "");
}

#[test]
fn a_build_that_tries_the_network_fails() {
    let tree = Tree::small("engines-network");
    let _leftovers = Leftovers::of(&tree, "localhost/xtask-test/greeter:network");
    tree.write(
        "plugins/hello/build.rs",
        "fn main() {\n    std::net::TcpStream::connect(\"192.0.2.1:80\").expect(\"the network\");\n}\n",
    );
    let run = tree.xtask(&["image", "--engine", &program(), "--builder-image", GNU, "--base", ALPINE]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("Network is unreachable"), "{}", run.stderr);
    assert!(run.stderr.ends_with(
        "error: compiling the host and its plugins failed (exit status: 101); cargo's messages stand above\n"
    ));
    no_container_is_left(&tree);
}

#[test]
fn what_is_missing_is_named() {
    let tree = Tree::small("engines-missing");
    let check = |args: &[&str], expected: expect_test::Expect| {
        let run = tree.xtask(&[&["plan", "--engine", &program()], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
        let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
        expected.assert_eq(&error.replace(&format!("error: {} as", program()), "error: [RUNTIME] as"));
    };
    check(
        &["--builder-image", GNU, "--base", ALPINE, "--toolchain", "1.31.0"],
        expect![[r#"
            error: the builder localhost/standin/rust-gnu:1.95.0 has Rust 1.95.0, wanted is 1.31.0; change one of docker/builder.Dockerfile and rust-toolchain.toml, or name --builder-image or --toolchain
        "#]],
    );
    check(
        &["--builder-image", ALPINE, "--base", ALPINE],
        expect![[r#"
            error: [RUNTIME] as the engine: the builder alpine:3.23 has no cargo and rustc on its PATH; name an image that has, in docker/builder.Dockerfile or with --builder-image
        "#]],
    );
}

#[test]
fn without_a_builder_this_machine_compiles_and_says_so() {
    // The small tree has no docker folder: nothing names a builder.
    let tree = Tree::small("engines-auto");
    let name = "localhost/xtask-test/greeter:auto";
    let _leftovers = Leftovers::of(&tree, name);
    let run = tree.xtask(&["image", "--engine", "auto", "--tag", name]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warning = "warning: nothing here can compile in a container, so this machine's toolchain compiles, for scratch, with \
                   this machine's libc and no shell:\n";
    assert!(run.stderr.starts_with(warning), "{}", run.stderr);

    let strict = tree.env("CI", "true");
    let run = strict.xtask(&["image", "--engine", "auto"]);
    assert_eq!(run.code, Some(1));
    let error = "error: nothing here can compile in a container, and CI=true forbids to fall back to this machine's toolchain; \
                 name it with --engine local\n";
    assert!(run.stderr.starts_with(error), "{}", run.stderr);
}
