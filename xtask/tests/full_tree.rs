//! The real tree comes out the same twice from nothing, in two folders, on each engine. Takes minutes.

mod support;

use serde_json::Value;
use support::Tree;
use support::runtime::{ALPINE, GNU, Leftovers, Runtime};

fn check(tree: &Tree, args: &[&str], folders: [&str; 2]) {
    let image = tree.image(&[&["--verify-reproducible"], args].concat());
    let there: Vec<&str> =
        image["reproduced"]["folders"].as_array().expect("folders").iter().filter_map(Value::as_str).collect();
    assert_eq!(there, folders);
}

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").without_runtime();
    let folder = tree.image_folder().join("reproducible");
    let folders = ["first", "another/folder/second"].map(|name| folder.join(name));
    check(&tree, &["--base", "scratch"], [folders[0].as_str(), folders[1].as_str()]);
}

#[test]
fn in_containers() {
    let (runtime, name) = (Runtime::found(), "localhost/xtask-test/provost:full-tree");
    let tree = Tree::real("full-tree-container");
    let _leftovers = Leftovers::of(&runtime, &tree, name);
    let args = ["--engine", &runtime.program, "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    check(&tree, &args, ["/xtask", "/another/folder"]);
}
