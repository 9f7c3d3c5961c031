//! The real tree comes out the same again from nothing, in another directory. Takes minutes, although it is not optimised here:
//! `.ci/builders` compares what two engines make of it, optimised.

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU};

fn check(tree: &Tree, args: &[&str], dir: &str) {
    let image = tree.image(&[&["--verify-reproducible"], args].concat());
    assert_eq!(image["reproduced"]["directory"], dir);
}

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").quick().without_engine();
    let dir = tree.image_dir().join("reproducible/another/directory/second");
    check(&tree, &["--base", "scratch"], dir.as_str());
}

#[test]
fn in_containers() {
    let (engine, name) = (Engine::found(), "localhost/xtask-test/provost:full-tree");
    let tree = Tree::real("full-tree-container").quick();
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    check(&tree, &args, "/another/directory");
    engine.read(&["rmi", "--force", name]);
}
