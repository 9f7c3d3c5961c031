//! The commit in an image's labels, and a tree that is not what was committed.

mod support;

use support::Tree;

const REVISION: &str = "org.opencontainers.image.revision";

/// All of the tree but what is made in it.
fn commit(tree: &Tree) -> String {
    tree.write(".gitignore", "/target\n/xtask/path\n");
    tree.commit()
}

#[test]
fn a_tree_that_is_not_what_was_committed_says_so_and_is_deterministic() {
    let trees =
        ["revision-a", "revision-b/somewhere/else"].map(|name| Tree::small(name).titled("Revision").without_runtime());
    let commits = trees.each_ref().map(commit);
    assert_eq!(commits[0], commits[1]);
    let digests = || {
        let digests = trees.each_ref().map(|tree| tree.image(&[])["manifest_digest"].clone());
        assert_eq!(digests[0], digests[1]);
        digests[0].clone()
    };

    let clean = digests();
    assert_eq!(trees.each_ref().map(|tree| tree.label(REVISION)), commits);

    for tree in &trees {
        tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    }
    let dirty = format!("{}-dirty", commits[0]);
    let edited = digests();
    assert_ne!(edited, clean);
    assert_eq!(trees.each_ref().map(|tree| tree.label(REVISION)), [dirty.clone(), dirty.clone()]);

    // A file that nobody committed is an edit as well, whether it is compiled or not.
    for tree in &trees {
        tree.replace("plugins/hello/src/lib.rs", "\"good day\"", "\"hello\"");
        tree.write("notes", "not committed");
    }
    let noted = digests();
    assert!(noted != clean && noted != edited);
    assert_eq!(trees[0].label(REVISION), dirty);
}
