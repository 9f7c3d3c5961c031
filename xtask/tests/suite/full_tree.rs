//! The real tree comes out the same again from nothing, in another directory. Takes minutes, although it is not optimised here. What two
//! container engines make is compared in `peers`, of the small tree.

use crate::support::Tree;

#[test]
fn by_this_machine() {
    let tree = Tree::real("full-tree-local").quick().without_engine();
    let dir = tree.image_dir().join("reproducible/another/directory/second");
    let image = tree.image(&["--verify-reproducible", "--base", "scratch"]);
    assert_eq!(image["reproduced"]["directory"], dir.as_str());
}
