//! The real tree comes out the same twice from nothing, in two directories, on each engine. Takes minutes.

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use serde_json::Value;

fn check(tree: &Tree, args: &[&str], dirs: [&str; 2]) {
    let image = tree.image(&[&["--verify-reproducible"], args].concat());
    let there: Vec<&str> =
        image["reproduced"]["directories"].as_array().expect("directories").iter().filter_map(Value::as_str).collect();
    assert_eq!(there, dirs);
}

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").without_engine();
    let dir = tree.image_dir().join("reproducible");
    let dirs = ["first", "another/directory/second"].map(|name| dir.join(name));
    check(&tree, &["--base", "scratch"], [dirs[0].as_str(), dirs[1].as_str()]);
}

#[test]
fn in_containers() {
    let (engine, name) = (Engine::found(), "localhost/xtask-test/provost:full-tree");
    let tree = Tree::real("full-tree-container");
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    check(&tree, &args, ["/xtask", "/another/directory"]);
}
