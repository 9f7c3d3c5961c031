//! `cargo xtask matrix --since`: a change leaves the rows that it can affect.

use std::fs;

use crate::support::beside::git;
use crate::support::engine::Engine;
use crate::support::registry::Registry;
use crate::support::{Tree, run};
use serde_json::Value;

const FLAVOURS: &str = "[workspace.metadata.image.matrix.flavours]\nfull = {}\nshort = { only = [\"hello\"] }\n";

/// A tree with two flavours and three plugins, of which one has a crate of its own, all committed.
fn committed(name: &str) -> Tree {
    let tree = Tree::small(name);
    tree.add_plugin("hello", "welcome");
    tree.write(
        "crates/words/Cargo.toml",
        "[package]\nname = \"words\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[features]\nloud = []\n",
    );
    tree.write("crates/words/src/lib.rs", "");
    tree.replace(
        "Cargo.toml",
        "[workspace.dependencies]",
        &format!("{FLAVOURS}\n[workspace.dependencies]\nwords = {{ path = \"crates/words\" }}"),
    );
    tree.replace("plugins/welcome/Cargo.toml", "[dependencies]", "[dependencies]\nwords.workspace = true");
    tree.write("README.md", "Greets.\n");
    tree.write(".gitignore", "/target\n");
    run("cargo", &["generate-lockfile", "--offline", "--manifest-path", tree.root.join("Cargo.toml").as_str()]);
    tree.commit();
    tree
}

/// The flavours or plugins of the rows that stay, and what is said, without what only repeats the rows.
fn rows(tree: &Tree, args: &[&str]) -> (Vec<String>, String) {
    let run = tree.xtask(&[&["matrix"], args].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let matrix: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let name = |row: &Value| {
        let id = row["id"].as_str().expect("an id");
        id.trim_end_matches("-linux-amd64-1.95.0").split_once('-').map_or(id, |(_, name)| name).to_owned()
    };
    let names = matrix["include"].as_array().expect("rows").iter().map(name).collect();
    (names, run.stderr)
}

/// Since the last commit, `change` leaves these images and these checks; the reason is that of the first of all of them.
fn check(tree: &Tree, images: &[&str], checks: &[&str], reason: &str) {
    let (left, said) = rows(tree, &["--since", "HEAD"]);
    assert_eq!(left, images, "{said}");
    let (left_checks, said_of_checks) = rows(tree, &["--for", "check", "--since", "HEAD"]);
    assert_eq!(left_checks, checks, "{said_of_checks}");
    let said = if images.is_empty() { said_of_checks } else { said };
    let affected = said.lines().find_map(|line| line.trim_start().strip_prefix("Affected ")?.split_once(": "));
    assert_eq!(affected.map(|(_, reason)| reason).unwrap_or_default(), reason, "{said}");
    git(&tree.root, &["checkout", "--quiet", "."]);
    git(&tree.root, &["clean", "--quiet", "--force", "-d", "--exclude", "target"]);
}

const ALL: [&str; 3] = ["goodbye", "hello", "welcome"];

#[test]
fn a_change_leaves_the_rows_that_it_can_affect() {
    let tree = committed("since");
    let (none, said) = rows(&tree, &["--since", "HEAD", "--for", "test"]);
    assert_eq!((none.len(), said.as_str()), (0, "  Unaffected test-linux-amd64-1.95.0\n     Keeping 0 of 1\n"));
    check(&tree, &[], &[], "");

    let append = |path: &str, text: &str| tree.write(path, &format!("{}{text}", tree.read(path)));
    append("README.md", "It is short.\n");
    assert_eq!(rows(&tree, &["--since", "HEAD", "--for", "test"]).0.len(), 0);
    check(&tree, &[], &[], "");
    append("plugins/welcome/src/lib.rs", "// More.\n");
    assert_eq!(rows(&tree, &["--since", "HEAD", "--for", "test"]).0, ["test-linux-amd64-1.95.0"]);
    check(&tree, &["full"], &["welcome"], "plugins/welcome changed");
    append("crates/words/src/lib.rs", "// More.\n");
    check(&tree, &["full"], &["welcome"], "crates/words changed");
    tree.replace(
        "plugins/welcome/Cargo.toml",
        "words.workspace = true",
        "words = { workspace = true, features = [\"loud\"] }",
    );
    check(&tree, &["full"], &["welcome"], "plugins/welcome changed; words/loud was turned on");
    append("plugins/hello/src/lib.rs", "// More.\n");
    check(&tree, &["full", "short"], &["hello"], "plugins/hello changed");
    tree.write("plugins/hello/notes.txt", "not committed\n");
    check(&tree, &["full", "short"], &["hello"], "plugins/hello changed");
    append("greeter/sdk/src/lib.rs", "// More.\n");
    check(&tree, &["full", "short"], &ALL, "the SDK changed");
    append("greeter/src/main.rs", "// More.\n");
    check(&tree, &["full", "short"], &ALL, "greeter changed");
    tree.write("xtask/src/main.rs", "");
    check(&tree, &["full", "short"], &ALL, "xtask/src/main.rs changed, which decides how everything is built");
    tree.write("docker/deploy.Dockerfile", "FROM scratch\n");
    check(&tree, &["full", "short"], &ALL, "docker/deploy.Dockerfile changed, which decides how everything is built");
    append(".cargo/config.toml", "# More.\n");
    check(&tree, &["full", "short"], &ALL, ".cargo/config.toml changed, which decides how everything is built");
    tree.write("words.txt", "hello\n");
    check(&tree, &["full", "short"], &ALL, "words.txt changed, which is in no crate, so any may include it");
    tree.replace("Cargo.toml", "opt-level = 0", "opt-level = 1");
    check(&tree, &["full", "short"], &ALL, "the workspace's settings changed (Cargo.toml, .cargo/config.toml)");
    tree.replace("Cargo.toml", "port = ", "port = 1");
    check(&tree, &["full", "short"], &ALL, "[workspace.metadata.image] changed in Cargo.toml");
    tree.replace("Cargo.toml", "short = {", "brief = { only = [\"goodbye\"] }\nshort = {");
    check(&tree, &["brief"], &[], "it is new, or builds something else than before");
    tree.replace("Cargo.toml", "short = { only = [\"hello\"] }", "short = { only = [\"goodbye\"] }");
    check(&tree, &["short"], &[], "it is new, or builds something else than before");
    fs::remove_dir_all(tree.root.join("plugins/goodbye")).expect("a plugin that is removed");
    check(&tree, &["full"], &[], "it is new, or builds something else than before");
}

/// A crate that only a plugin's tests use.
#[test]
fn a_change_of_what_tests_use_leaves_checks() {
    let tree = committed("since-tests");
    tree.replace("plugins/welcome/Cargo.toml", "[dependencies]\nwords.workspace = true", "[dependencies]");
    tree.write(
        "plugins/welcome/Cargo.toml",
        &format!("{}\n[dev-dependencies]\nwords.workspace = true\n", tree.read("plugins/welcome/Cargo.toml")),
    );
    tree.commit();
    tree.write("crates/words/src/lib.rs", "// More.\n");
    check(&tree, &[], &["welcome"], "crates/words changed");
}

#[test]
fn what_cannot_be_decided_is_everything() {
    let tree = committed("since-unknown");
    let everything = |tree: &Tree, reference: &str, expected: &str| {
        let (left, said) = rows(tree, &["--since", reference]);
        assert_eq!(left, ["full", "short"], "{said}");
        assert_eq!(said, format!("warning: what the change affects is not known, so every row stays: {expected}\n"));
    };
    let unknown = "git has no commit v9; a shallow clone gets it by `git fetch --unshallow`";
    everything(&tree, "v9", unknown);
    everything(&tree, "HEAD:README.md", &unknown.replace("v9", "HEAD:README.md"));
    // A manifest of then that cargo cannot read.
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", "[package");
    tree.commit();
    tree.write("plugins/hello/Cargo.toml", &manifest);
    let (left, said) = rows(&tree, &["--since", "HEAD"]);
    assert_eq!(left, ["full", "short"]);
    assert!(said.starts_with("warning: what the change affects is not known, so every row stays: "), "{said}");
    tree.commit();

    // What plans themselves write, where git does not ignore it.
    let tree = tree.env("CARGO_TARGET_DIR", "out");
    assert_eq!(rows(&tree, &["--since", "HEAD"]).0, [""; 0]);
    fs::remove_dir_all(tree.root.join("out")).expect("what plans wrote");
    let tree = tree.env("CARGO_TARGET_DIR", "");

    let shallow = tree.root.join("shallow");
    let clone = ["clone", "--quiet", "--depth", "1", &format!("file://{}", tree.root), shallow.as_str()];
    run("git", &clone);
    fs::remove_dir_all(tree.root.join("target")).expect("what plans wrote");
    fs::rename(tree.root.join(".git"), tree.root.join("history")).expect("a tree without history");
    fs::rename(shallow.join(".git"), tree.root.join(".git")).expect("a shallow history");
    everything(&tree, "HEAD~1", &unknown.replace("v9", "HEAD~1"));
    fs::remove_dir_all(tree.root.join(".git")).expect("no history");
    everything(&tree, "HEAD", "[ROOT] is not the root of a git repository");
}

/// The image names the commit that it was built from.
#[test]
fn a_change_since_an_image_of_a_registry() {
    let tree = committed("since-image");
    // In another tree: what it writes is in no commit.
    let elsewhere = Tree::small("since-registry");
    let registry = Registry::start(&elsewhere);
    let tree = registry.trusted_by(tree).without_engine();
    // What it wrote is a part of the tree.
    tree.commit();
    let name = format!("{}/greeter:1", registry.address);
    tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
    tree.write("plugins/welcome/src/lib.rs", &format!("{}// More.\n", tree.read("plugins/welcome/src/lib.rs")));
    assert_eq!(rows(&tree, &["--since-image", &name]).0, ["full"]);
    let dirty = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name])["manifest_digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    let (left, said) = rows(&tree, &["--since-image", &name]);
    assert_eq!(left, ["full", "short"]);
    assert!(said.contains(&format!("the image {name} was built from files that are in no commit (")), "{said}");
    let (left, said) = rows(&tree, &["--since-image", &format!("{}/greeter@{dirty}", registry.address)]);
    assert_eq!((left.len(), said.contains("-dirty)")), (2, true), "{said}");
    let (left, said) = rows(&tree, &["--since-image", &format!("{}/none:1", registry.address)]);
    assert_eq!((left.len(), said.contains("reading the image ")), (2, true), "{said}");
}

/// Without a registry in its name, it is one that the container engine has.
#[test]
fn a_change_since_an_image_of_the_container_engine() {
    let tree = committed("since-engine");
    let engine = Engine::found();
    let name = "localhost/xtask-test/greeter:since";
    let tag = "xtask-test-greeter-since:1";
    tree.image(&["--engine", "local", "--base", "scratch", "--tag", name]);
    engine.read(&["tag", name, tag]);
    tree.write("plugins/welcome/src/lib.rs", &format!("{}// More.\n", tree.read("plugins/welcome/src/lib.rs")));
    let (left, said) = rows(&tree, &["--since-image", tag]);
    engine.read(&["rmi", "--force", tag, name]);
    assert_eq!(left, ["full"], "{said}");
}
