//! What one build script changes where things are compiled stays there, and gets into later images of a clean tree. A run that
//! begins with nothing is free of it: with `--isolated`, with `--push`, and with CI=true.

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};

const GREETING: &str = "farewell";

/// A build script that changes what was compiled of another plugin.
const PATCH: &str = r#"
fn main() {
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    let file = out.ancestors().nth(3).expect("cargo's directory").join("deps/libgoodbye.so");
    let Ok(mut bytes) = std::fs::read(&file) else { return };
    let at = bytes.windows(8).position(|bytes| bytes == b"farewell").expect("the greeting");
    bytes[at..at + 8].copy_from_slice(b"FAREWELL");
    std::fs::write(&file, bytes).expect("a file");
}
"#;

/// `isolated` is the same as `args`, from nothing.
fn check(tree: Tree, args: &[&str], isolated: impl FnOnce(&Tree) -> serde_json::Value) {
    tree.replace("plugins/goodbye/src/lib.rs", "\"goodbye\"", &format!("\"{GREETING}\""));
    let digest = |image: &serde_json::Value| image["manifest_digest"].clone();
    let clean = digest(&tree.image(args));
    tree.write("plugins/hello/build.rs", PATCH);
    assert_ne!(digest(&tree.image(args)), clean, "it is patched");
    std::fs::remove_file(tree.root.join("plugins/hello/build.rs")).expect("a build script");
    assert_ne!(digest(&tree.image(args)), clean, "the patch stays");
    assert_eq!(digest(&isolated(&tree)), clean);
    let left = tree.image_dir().join("isolated");
    assert!(!left.exists(), "{left} is left");
}

#[test]
fn on_this_machine() {
    let args = ["--base", "scratch"];
    let tree = Tree::small("isolated-here").without_engine();
    check(tree, &args, |tree| tree.image(&[&args[..], &["--isolated"]].concat()));
}

#[test]
fn in_a_container() {
    let engine = Engine::found();
    let tree = Tree::small("isolated-container");
    let image = "localhost/xtask-test/greeter:isolated";
    let leftovers = Leftovers::new(&engine, &tree, image);
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", image];
    check(tree, &args, |tree| {
        let volumes = engine.volumes(tree);
        let mut command = tree.command(&[&["image", "--format", "json"], &args[..]].concat());
        let output = command.env("CI", "true").output().expect("xtask starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(engine.volumes(tree), volumes, "its own volume is gone");
        engine.no_container_is_left(tree);
        serde_json::from_slice(&output.stdout).expect("JSON")
    });
    drop(leftovers);
}
