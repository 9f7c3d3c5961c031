//! The commit in an image's labels, and a tree that is not what was committed.

use crate::support::{Tree, run};

const REVISION: &str = "org.opencontainers.image.revision";

const AUTHOR: [&str; 4] = ["-c", "user.name=Test", "-c", "user.email=test@example.org"];

fn git(tree: &Tree, args: &[&str]) -> String {
    let first = ["-C", tree.root.as_str(), "-c", "protocol.file.allow=always"];
    run("git", &[first.as_slice(), &AUTHOR, args].concat())
}

/// Commits what there is, in the tree's repository.
fn commit_all(tree: &Tree) -> String {
    git(tree, &["add", "--all"]);
    git(tree, &["commit", "--quiet", "--message", "All of it"]);
    git(tree, &["rev-parse", "HEAD"])
}

fn revision(tree: &Tree) -> String {
    tree.image(&["--base", "scratch"]);
    tree.label(REVISION)
}

fn remove(tree: &Tree, path: &str) {
    std::fs::remove_file(tree.root.join(path)).expect("a file");
}

/// All of the tree but what is made in it.
fn commit(tree: &Tree) -> String {
    tree.write(".gitignore", "/target\n/xtask/path\n");
    tree.commit()
}

#[test]
fn a_tree_that_is_not_what_was_committed_says_so_and_is_deterministic() {
    let trees =
        ["revision-a", "revision-b/somewhere/else"].map(|name| Tree::small(name).titled("Revision").without_engine());
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
    let tree = Tree::small("revision-settings").without_engine();
    let git = |dir: &str, args: &[&str]| {
        let dir = tree.root.join(dir);
        run(
            "git",
            &[
                &[
                    "-C",
                    dir.as_str(),
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
fn nothing_that_git_is_told_hides_a_change() {
    let other = Tree::small("revision-another-repository");
    other.commit();
    let attributes = other.root.join("attributes");
    let tree = Tree::small("revision-hidden").without_engine();
    let tree = tree.env("GIT_COMMON_DIR", other.root.join(".git").as_str()).env("XDG_CONFIG_HOME", attributes.as_str());
    let clean = commit(&tree);
    let dirty = format!("{clean}-dirty");
    for [setting, value] in [
        ["core.ignoreStat", "true"],
        ["core.ignoreCase", "true"],
        ["core.checkStat", "minimal"],
        ["filter.hide.clean", "sed s/howdy/hello/"],
    ] {
        git(&tree, &["config", setting, value]);
    }
    other.write("attributes/git/attributes", "*.rs filter=hide\n");
    tree.write(".git/info/attributes", "*.rs filter=hide\n");
    tree.write(".git/hooks/post-index-change", "#!/bin/sh\ntouch hooked\n");
    let hook = tree.root.join(".git/hooks/post-index-change");
    std::fs::set_permissions(hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a file");
    assert_eq!(revision(&tree), clean);
    assert!(!tree.root.join("hooked").exists() && !tree.root.join("target/image/src/hooked").exists());

    let (from, to) = ("\"hello\"", "\"howdy\"");
    tree.replace("plugins/hello/src/lib.rs", from, to);
    assert_eq!(revision(&tree), dirty, "a filter makes it what was committed");
    tree.replace("plugins/hello/src/lib.rs", to, from);
    tree.write("plugins/hello/src/LIB.rs", "");
    assert_eq!(revision(&tree), dirty, "another file has this name in other letters");
    remove(&tree, "plugins/hello/src/LIB.rs");
    assert_eq!(revision(&tree), clean);
}

#[test]
fn what_is_left_out_and_what_a_symlink_leads_to_is_compared() {
    let tree = Tree::small("revision-left-out").without_engine();
    tree.write("assets/one", "1");
    let clean = commit(&tree);
    assert_eq!(revision(&tree), clean);
    tree.write("assets/CACHEDIR.TAG", "");
    assert_eq!(revision(&tree), format!("{clean}-dirty"), "what marks the directory is in no commit");
    let marked = commit_all(&tree);
    assert_eq!(revision(&tree), marked, "it is in the commit that the directory is none of the sources");

    let code = tree.read("plugins/hello/src/lib.rs");
    tree.write("cache/CACHEDIR.TAG", "");
    tree.write("cache/lib.rs", &code);
    remove(&tree, "plugins/hello/src/lib.rs");
    std::os::unix::fs::symlink("../../../cache/lib.rs", tree.root.join("plugins/hello/src/lib.rs")).expect("a symlink");
    git(&tree, &["add", "plugins"]);
    git(&tree, &["commit", "--quiet", "--message", "The symlink"]);
    assert_eq!(
        revision(&tree),
        format!("{}-dirty", git(&tree, &["rev-parse", "HEAD"])),
        "only the link is in the commit"
    );
}

#[test]
fn files_of_a_submodule_without_its_repository_are_in_no_commit() {
    let other = Tree::small("revision-shared");
    other.commit();
    let tree = Tree::small("revision-without-submodule").without_engine();
    tree.write(".gitignore", "/target\n/xtask/path\n");
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["submodule", "--quiet", "add", other.root.as_str(), "shared"]);
    let clean = commit_all(&tree);
    let dirty = format!("{clean}-dirty");
    assert_eq!(revision(&tree), clean);
    tree.write("shared/.git", "gitdir: /nowhere\n");
    assert_eq!(revision(&tree), dirty, "its repository is gone");
    remove(&tree, "shared/.git");
    assert_eq!(revision(&tree), dirty, "it has none");
    std::fs::remove_dir_all(tree.root.join("shared")).expect("a directory");
    std::fs::create_dir(tree.root.join("shared")).expect("a directory");
    assert_eq!(revision(&tree), clean, "it was not fetched");
}

#[test]
fn line_ends_are_those_of_a_checkout() {
    let tree = Tree::small("revision-line-ends").without_engine();
    tree.write(".gitattributes", "*.txt eol=crlf\n*.rs text\n");
    tree.write("greeter/windows.txt", "one\r\ntwo\r\n");
    let clean = commit(&tree);
    let dirty = format!("{clean}-dirty");
    assert_eq!(revision(&tree), clean);
    tree.write("greeter/windows.txt", "one\r\n");
    assert_eq!(revision(&tree), dirty);
    tree.write("greeter/windows.txt", "one\r\ntwo\r\n");
    let code = tree.read("plugins/hello/src/lib.rs");
    tree.write("plugins/hello/src/lib.rs", &code.replace('\n', "\r\n"));
    assert_eq!(revision(&tree), dirty, "git would store it as it was, but a checkout has other bytes");
}

#[test]
fn a_repository_that_is_damaged_stops_nothing() {
    let tree = Tree::small("revision-damaged").without_engine();
    let clean = commit(&tree);
    assert_eq!(revision(&tree), clean);
    tree.write("target/image/git/index.lock", "");
    assert_eq!(revision(&tree), clean, "git was killed the last time");

    let dir = git(&tree, &["rev-parse", "HEAD^{tree}"]);
    remove(&tree, &format!(".git/objects/{}/{}", &dir[..2], &dir[2..]));
    let run = tree.xtask(&["image", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warning: Vec<&str> = run.stderr.lines().skip_while(|line| !line.starts_with("warning: ")).take(2).collect();
    let expected = format!(
        "warning: the image has no revision label: `cd [ROOT]/target/image/src && GIT_ATTR_NOSYSTEM=1 \
         GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git --no-replace-objects --git-dir=[ROOT]/target/image/git \
         --work-tree=. read-tree --reset {clean}` failed (exit status: 128):\n\
         fatal: failed to unpack tree object {clean}"
    );
    assert_eq!(warning.join("\n"), expected);
}

#[test]
fn a_repository_without_git_is_said() {
    let tree = Tree::small("revision-no-git").without(&["docker", "podman", "git"]);
    tree.write(".git/HEAD", "ref: refs/heads/main\n");
    let run = tree.xtask(&["plan", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warning = run.stderr.lines().find(|line| line.starts_with("warning: ")).expect("a warning");
    assert_eq!(warning, "warning: the image has no revision label: git is not installed");
}
