//! The commit in an image's labels, and a tree that is not what was committed.

mod support;

use support::{Tree, run};

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

#[test]
fn no_setting_of_the_users_git_changes_the_answer() {
    let tree = Tree::small("revision-settings").without_runtime();
    let git = |folder: &str, args: &[&str]| {
        let folder = tree.root.join(folder);
        run(
            "git",
            &[
                &[
                    "-C",
                    folder.as_str(),
                    "-c",
                    "protocol.file.allow=always",
                    "-c",
                    "user.name=T",
                    "-c",
                    "user.email=t@example.org",
                ],
                args,
            ]
            .concat(),
        )
    };
    // A symlink and a submodule are kept otherwise than files.
    std::os::unix::fs::symlink("greeter/src", tree.root.join("sources")).expect("a symlink");
    let other = Tree::small("revision-submodule");
    other.commit();
    tree.write(".gitignore", "/target\n/xtask/path\n/plugins/ignored\n");
    git("", &["init", "--quiet"]);
    git("", &["submodule", "--quiet", "add", other.root.as_str(), "shared"]);
    git("", &["add", "--all"]);
    git("", &["commit", "--quiet", "--message", "All of it"]);
    for setting in [
        ["log.showSignature", "true"],
        ["status.showUntrackedFiles", "no"],
        ["core.quotePath", "true"],
        ["core.fileMode", "false"],
    ] {
        git("", &["config", setting[0], setting[1]]);
    }
    let commit = git("", &["rev-parse", "HEAD"]);
    let revision = || {
        tree.image(&["--base", "scratch"]);
        tree.label(REVISION)
    };
    assert_eq!(revision(), commit);

    let dirty = format!("{commit}-dirty");
    tree.write("shared/notes", "");
    assert_eq!(revision(), dirty, "a submodule is not what was committed");
    std::fs::remove_file(tree.root.join("shared/notes")).expect("a file");
    assert_eq!(revision(), commit);

    let tool = tree.root.join("greeter/src/main.rs");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a file");
    assert_eq!(revision(), dirty, "a file's mode is another");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("a file");
    assert_eq!(revision(), commit);

    tree.add_plugin("hello", "ignored");
    assert_eq!(revision(), dirty, "git ignores a plugin that is compiled");
    git("", &["commit", "--quiet", "--all", "--message", "Its lock"]);
    assert_eq!(revision(), format!("{}-dirty", git("", &["rev-parse", "HEAD"])));
}

#[test]
fn a_repository_without_git_is_said() {
    let tree = Tree::small("revision-no-git").without(&["docker", "podman", "git"]);
    tree.write(".git/HEAD", "ref: refs/heads/main\n");
    let run = tree.xtask(&["plan", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warning = run.stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
    assert_eq!(warning, "warning: the image names no revision: git is not installed");
}
