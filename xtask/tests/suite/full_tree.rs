//! The real tree comes out the same again from nothing, in another directory. Takes minutes, although it is not optimised here. In
//! containers `.ci/builders` compares what two engines make of it, optimised.

use crate::support::Tree;

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").quick().without_engine();
    let dir = tree.image_dir().join("reproducible/another/directory/second");
    let image = tree.image(&["--verify-reproducible", "--base", "scratch"]);
    assert_eq!(image["reproduced"]["directory"], dir.as_str());
}
