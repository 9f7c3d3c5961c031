//! Compiling in a builder's container, onto every kind of base. The builders are stand-ins; the containers are real.

mod support;

use serde_json::Value;
use support::Tree;
use support::runtime::{ALPINE, GNU, GREETINGS, Leftovers, MUSL, Runtime};

/// Builds in a container, then starts the image with its own command.
fn check(runtime: &Runtime, tree: &Tree, name: &str, args: &[&str]) -> Value {
    let image = tree.image(&[&["--engine", &runtime.program, "--tag", name], args].concat());
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    assert_eq!(runtime.run(name), GREETINGS);
    runtime.no_container_is_left(tree);
    image
}

/// The toolchain of the stand-in, which is its distribution's.
fn musl_release(runtime: &Runtime) -> String {
    let version = runtime.read(&["run", "--rm", "--network", "none", MUSL, "rustc", "--version"]);
    version.split(' ').nth(1).expect("a version").to_owned()
}

#[test]
fn glibc_and_musl_builders_onto_alpine_and_scratch() {
    let runtime = Runtime::found();
    let tree = Tree::small("engines");
    let name = "localhost/xtask-test/greeter:engines";
    let _leftovers = Leftovers::of(&runtime, &tree, name);
    check(&runtime, &tree, name, &["--builder-image", GNU, "--base", ALPINE]);
    check(&runtime, &tree, name, &["--builder-image", GNU, "--base", "scratch"]);
    let release = musl_release(&runtime);
    let musl = ["--builder-image", MUSL, "--toolchain", &release, "--base", ALPINE];
    let image = check(&runtime, &tree, name, &musl);
    assert!(image["plan"]["toolchain"]["target"].as_str().expect("a target").ends_with("-linux-musl"));

    assert_eq!(runtime.volumes(&tree).len(), 3);
    let again = tree.xtask(&[&["image", "--engine", &runtime.program, "--tag", name], musl.as_slice()].concat());
    assert!(again.stderr.contains("       Fresh host, SDK and 2 plugins: "), "{}", again.stderr);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let edited = tree.image(&[&["--engine", &runtime.program, "--tag", name], musl.as_slice()].concat());
    let changed = edited["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    assert_eq!(changed.map(|layer| &layer["name"]).collect::<Vec<_>>(), ["hello.plug"]);
    assert_eq!(runtime.run(name), "tone = \"polite\"\ngoodbye\ngood day");

    let run = tree.xtask(&["clean", "--volumes"]);
    assert!(run.stderr.contains(&format!("     Removed 3 volumes from {}\n", runtime.program)), "{}", run.stderr);
    assert!(runtime.volumes(&tree).is_empty());
}

#[test]
fn without_a_builder_this_machine_compiles_and_says_so() {
    let runtime = Runtime::found();
    // The small tree has no docker folder: nothing names a builder.
    let tree = Tree::small("engines-auto");
    let name = "localhost/xtask-test/greeter:auto";
    let _leftovers = Leftovers::of(&runtime, &tree, name);
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
