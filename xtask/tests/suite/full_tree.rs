//! The real tree comes out the same again from nothing, in another directory, on each engine. Takes minutes.

use crate::support::engine::{ALPINE, Engine, GNU};
use crate::support::{Tree, layers, repository};
use serde_json::Value;

fn check(tree: &Tree, args: &[&str], dir: &str) -> Value {
    let image = tree.image(&[&["--verify-reproducible"], args].concat());
    assert_eq!(image["reproduced"]["directory"], dir);
    image
}

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").without_engine();
    let dir = tree.image_dir().join("reproducible/another/directory/second");
    let there = check(&tree, &["--base", "scratch"], dir.as_str());
    // The checkout itself too, by what it has compiled before.
    let args = ["image", "--base", "scratch", "--format", "json"];
    let here = tree.command(&args).current_dir(repository()).output().expect("xtask starts");
    assert!(here.status.success(), "{}", String::from_utf8_lossy(&here.stderr));
    let here: Value = serde_json::from_slice(&here.stdout).expect("JSON");
    assert_eq!(layers(&here), layers(&there));
    assert_eq!(here["manifest_digest"], there["manifest_digest"]);
}

/// What is compiled for the image stays in the volume, for the builds after it: `cargo xtask clean --volumes` removes it.
#[test]
fn in_containers() {
    let (engine, name) = (Engine::found(), "localhost/xtask-test/provost:full-tree");
    let tree = Tree::real("full-tree-container");
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    check(&tree, &args, "/another/directory");
    engine.read(&["rmi", "--force", name]);
}
