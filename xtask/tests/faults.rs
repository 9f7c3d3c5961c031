//! Every bad input is one clear error, whole: what, which file, how to mend it. Nothing is half-written.

mod support;

use support::Tree;

/// Runs xtask, which fails with exactly this, writes nothing to stdout and leaves no image.
fn check(tree: &Tree, args: &[&str], expected: &str) {
    let lock = tree.read("Cargo.lock");
    let run = tree.xtask(args);
    let error = run.stderr.find("error: ").map_or("", |start| &run.stderr[start..]);
    assert_eq!(error.trim_end(), expected, "all of it: {}", run.stderr);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(tree.read("Cargo.lock"), lock, "Cargo.lock is as it was");
    assert!(!tree.root.join("target/image/greeter.tar").exists() && !tree.root.join("target/image/dist").exists());
}

#[test]
fn a_folder_without_a_manifest() {
    let tree = Tree::small("no-manifest");
    tree.write("plugins/empty/notes.txt", "");
    tree.write("plugins/README.md", "a file is no plugin");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_hidden_folder_is_skipped() {
    let tree = Tree::small("hidden");
    tree.write("plugins/.cache/notes.txt", "");
    tree.write("plugins/README.md", "a file is no plugin");
    let run = tree.xtask(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(run.stdout, "[ROOT]/target/image/dist\n");
}

#[test]
fn a_broken_manifest() {
    let tree = Tree::small("broken-toml");
    tree.write("plugins/hello/Cargo.toml", "[package]\nname = \"hello\nversion = \"1.0.0\"\n");
    check(&tree, &["plan"], "x");
}

#[test]
fn every_fault_of_every_manifest_at_once() {
    let tree = Tree::small("many-faults");
    tree.write("plugins/empty/notes.txt", "");
    tree.write("plugins/goodbye/Cargo.toml", "[workspace]\n[dependencies]\nother = { path = \"../../../other\" }\n");
    tree.add_plugin("hello", "copy");
    tree.replace("plugins/copy/Cargo.toml", "name = \"copy\"", "name = \"hello\"");
    tree.add_plugin("hello", "sdk");
    tree.replace("plugins/sdk/Cargo.toml", "name = \"sdk\"", "name = \"greeter-sdk\"");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_plugin_that_is_no_cdylib() {
    let tree = Tree::small("no-cdylib");
    tree.replace("plugins/hello/Cargo.toml", "crate-type = [\"cdylib\"]", "crate-type = [\"rlib\"]");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_plugin_without_the_sdk() {
    let tree = Tree::small("no-sdk");
    tree.replace("plugins/hello/Cargo.toml", "greeter-sdk.workspace = true", "");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_plugin_without_the_export_macro() {
    let tree = Tree::small("no-export");
    tree.write("plugins/hello/src/lib.rs", "//! Exports nothing.\n\npub use greeter_sdk::Greeting;\n");
    check(&tree, &["image"], "x");
}

#[test]
fn a_workspace_of_its_own() {
    let tree = Tree::small("own-workspace");
    tree.replace("plugins/hello/Cargo.toml", "[lib]", "[workspace]\n\n[lib]");
    check(&tree, &["plan"], "x");
}

#[test]
fn two_plugins_of_one_name() {
    let tree = Tree::small("one-name");
    tree.add_plugin("hello", "other");
    tree.replace("plugins/other/Cargo.toml", "name = \"other\"", "name = \"hello\"");
    tree.add_plugin("hello", "good-night");
    tree.add_plugin("hello", "good_night");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_path_dependency_that_leaves_the_tree() {
    let tree = Tree::small("leaves");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nmine = { path = \"../../../mine\" }");
    tree.replace("plugins/goodbye/Cargo.toml", "[lib]", "[build-dependencies]\nyours = { path = \"/yours\" }\n\n[lib]");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_symlink_out_of_the_tree() {
    let tree = Tree::small("symlink");
    std::os::unix::fs::symlink("/etc/hostname", tree.root.join("plugins/hello/src/name.txt")).expect("a symlink");
    check(&tree, &["plan"], "x");
}

#[test]
fn an_unknown_dependency() {
    let tree = Tree::small("unknown-dependency");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nno-such-crate-as-this = \"1\"");
    check(&tree, &["plan"], "x");
    tree.replace("plugins/hello/Cargo.toml", "no-such-crate-as-this = \"1\"", "nowhere.workspace = true");
    check(&tree, &["plan"], "x");
}

#[test]
fn a_lock_that_needs_an_update() {
    let tree = Tree::small("locked");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nitoa = \"=1.0.11\"");
    check(&tree, &["image", "--locked"], "x");
    check(&tree, &["plan", "--locked"], "x");

    let run = tree.xtask(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("     Locking itoa 1.0.11 added, wanted by hello\n"), "{}", run.stderr);
    tree.replace("plugins/hello/Cargo.toml", "=1.0.11", "=1.0.10");
    let run = tree.xtask(&["build"]);
    assert!(run.stderr.contains("     Locking itoa 1.0.11 -> 1.0.10, wanted by hello\n"), "{}", run.stderr);
    assert!(tree.read("Cargo.lock").contains("version = \"1.0.10\""));
}

#[test]
fn a_plan_leaves_the_lock_alone() {
    let tree = Tree::small("plan-lock");
    let lock = tree.read("Cargo.lock");
    tree.add_plugin("hello", "again");
    let run = tree.xtask(&["plan"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.ends_with("Cargo.lock again 0.1.0 added\n"), "{}", run.stdout);
    assert_eq!(tree.read("Cargo.lock"), lock);
}

#[test]
fn a_pinned_toolchain_that_is_missing() {
    let tree = Tree::small("toolchain").env("RUSTUP_AUTO_INSTALL", "0");
    tree.replace("rust-toolchain.toml", "1.95.0", "1.31.0");
    check(&tree, &["image"], "x");
}

#[test]
fn an_unwritable_target_folder() {
    let tree = Tree::small("unwritable").env("CARGO_TARGET_DIR", "/proc/provost");
    check(&tree, &["image"], "x");
    let tree = Tree::small("target-file");
    tree.write("target", "in the way");
    let run = tree.xtask(&["image"]);
    assert_eq!(run.stderr, "x");
}

#[test]
fn a_compile_error() {
    let tree = Tree::small("compile-error");
    tree.write("plugins/hello/src/lib.rs", "fn greet() -> String {\n    1\n}\n\ngreeter_sdk::export!(greet);\n");
    check(&tree, &["image"], "x");
}

#[test]
fn names_and_bases_that_cannot_be() {
    let tree = Tree::small("names");
    check(&tree, &["image", "--tag", "Greeter:1"], "x");
    check(&tree, &["image", "--base", "nowhere.tar"], "x");
}

#[test]
fn what_the_root_manifest_says_of_the_host() {
    let tree = Tree::small("metadata");
    tree.replace("Cargo.toml", "user = \"1000:1001\"", "user = \"0:0\"");
    check(&tree, &["plan"], "x");
    tree.replace("Cargo.toml", "user = \"0:0\"", "user = \"1000:1001\"");
    tree.replace("Cargo.toml", "working-folder = \"/opt/greeter\"", "working-folder = \"opt/../greeter\"");
    tree.replace(
        "Cargo.toml",
        "default-config = \"greeter/default.toml\"",
        "default-config = \"greeter/defaults.toml\"",
    );
    check(&tree, &["plan"], "x");
}
