//! Every bad input is one clear error, whole: what, which file, how to mend it. Nothing is half-written.

mod support;

use expect_test::{Expect, expect};
use support::Tree;

/// Runs xtask, which fails with exactly this, writes nothing to stdout and leaves no image. `UPDATE_EXPECT=1` and
/// `CARGO_WORKSPACE_DIR=$PWD/xtask` in the environment write down what it is now.
fn check(tree: &Tree, args: &[&str], expected: Expect) {
    let lock = tree.read("Cargo.lock");
    let run = tree.xtask(args);
    expected.assert_eq(&run.stderr);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(tree.read("Cargo.lock"), lock, "Cargo.lock is as it was");
    assert!(!tree.root.join("target/image/greeter.tar").exists() && !tree.root.join("target/image/dist").exists());
}

#[test]
fn a_folder_without_a_manifest() {
    let tree = Tree::small("no-manifest");
    tree.write("plugins/empty/notes.txt", "");
    tree.write("plugins/README.md", "a file is no plugin");
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: plugins/empty has no Cargo.toml: every folder in plugins/ is a plugin; add one, or move the folder away
    "#]],
    );
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
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: plugins/hello/Cargo.toml is not a manifest: TOML parse error at line 2, column 14
              |
            2 | name = "hello
              |              ^
            invalid basic string, expected `"`
        "#]],
    );
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
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: 8 faults in plugins/
              - plugins/empty has no Cargo.toml: every folder in plugins/ is a plugin; add one, or move the folder away
              - plugins/goodbye/Cargo.toml has a `[workspace]` of its own: remove that table; a plugin is built as a member of the tree's workspace
              - plugins/goodbye/Cargo.toml has no `[package]`: add one, with a `name`
              - plugins/goodbye/Cargo.toml: a plugin is a cdylib, this crate is not: write `crate-type = ["cdylib"]` under `[lib]`
              - plugins/goodbye/Cargo.toml: a plugin depends on the SDK, this crate does not: write `greeter-sdk = { workspace = true }` under `[dependencies]`
              - plugins/goodbye/Cargo.toml: the path dependency `other = { path = "../../../other" }` leaves the tree: move that crate into the tree and name it by a relative path, or depend on it by version or git
              - two plugins have the name `hello`: plugins/copy and plugins/hello: rename the package in one of the two Cargo.toml
              - plugins/sdk/Cargo.toml: the name `greeter-sdk` is taken by the host or its SDK: rename the package
        "#]],
    );
}

#[test]
fn a_plugin_that_is_no_cdylib() {
    let tree = Tree::small("no-cdylib");
    tree.replace("plugins/hello/Cargo.toml", "crate-type = [\"cdylib\"]", "crate-type = [\"rlib\"]");
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: plugins/hello/Cargo.toml: a plugin is a cdylib, this crate is not: write `crate-type = ["cdylib"]` under `[lib]`
    "#]],
    );
}

#[test]
fn a_plugin_without_the_sdk() {
    let tree = Tree::small("no-sdk");
    tree.replace("plugins/hello/Cargo.toml", "greeter-sdk.workspace = true", "");
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: plugins/hello/Cargo.toml: a plugin depends on the SDK, this crate does not: write `greeter-sdk = { workspace = true }` under `[dependencies]`
    "#]],
    );
}

#[test]
fn a_plugin_without_the_export_macro() {
    let tree = Tree::small("no-export");
    tree.write("plugins/hello/src/lib.rs", "//! Exports nothing.\n\npub use greeter_sdk::Greeting;\n");
    check(
        &tree,
        &["image"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
               Resolving dependencies of the host and 2 plugins
                Planning greeter 1.2.3 for linux/amd64: 2 plugins (goodbye, hello), rustc 1.95.0
               Compiling host, SDK and 2 plugins with this machine's Rust 1.95.0 (local)
            error: the plugin hello (plugins/hello): it carries no ABI record: it was not exported with `provost_sdk::export!`; write the SDK's export macro once, at the top level of src/lib.rs
        "#]],
    );
}

#[test]
fn a_workspace_of_its_own() {
    let tree = Tree::small("own-workspace");
    tree.replace("plugins/hello/Cargo.toml", "[lib]", "[workspace]\n\n[lib]");
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: plugins/hello/Cargo.toml has a `[workspace]` of its own: remove that table; a plugin is built as a member of the tree's workspace
    "#]],
    );
}

#[test]
fn two_plugins_of_one_name() {
    let tree = Tree::small("one-name");
    tree.add_plugin("hello", "other");
    tree.replace("plugins/other/Cargo.toml", "name = \"other\"", "name = \"hello\"");
    tree.add_plugin("hello", "good-night");
    tree.add_plugin("hello", "good_night");
    tree.replace("plugins/goodbye/Cargo.toml", "[lib]", "[lib]\nname = \"hello\"");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: 3 faults in plugins/
              - two plugins have the name `hello`: plugins/hello and plugins/other: rename the package in one of the two Cargo.toml
              - the plugins `good-night` (plugins/good-night) and `good_night` (plugins/good_night) make libraries of one name, `good_night`: rename the packages, or their `[lib]`
              - the plugins `goodbye` (plugins/goodbye) and `hello` (plugins/hello) make libraries of one name, `hello`: rename the packages, or their `[lib]`
        "#]],
    );
}

#[test]
fn a_path_dependency_that_leaves_the_tree() {
    let tree = Tree::small("leaves");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nmine = { path = \"../../libs/mine\" }");
    tree.write("libs/mine/Cargo.toml", "[dependencies]\nfar = { path = \"../../../far\" }\n");
    tree.replace("plugins/goodbye/Cargo.toml", "[lib]", "[build-dependencies]\nyours = { path = \"/yours\" }\n\n[lib]");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: 2 faults in plugins/
              - plugins/goodbye/Cargo.toml: the path dependency `yours = { path = "/yours" }` leaves the tree: move that crate into the tree and name it by a relative path, or depend on it by version or git
              - libs/mine/Cargo.toml: the path dependency `far = { path = "../../../far" }` leaves the tree: move that crate into the tree and name it by a relative path, or depend on it by version or git
        "#]],
    );
}

#[test]
fn a_symlink_out_of_the_tree() {
    let tree = Tree::small("symlink");
    std::os::unix::fs::symlink("/etc/hostname", tree.root.join("plugins/hello/src/name.txt")).expect("a symlink");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
            error: plugins/hello/src/name.txt is a symlink to /etc/hostname, outside of the tree: put the files themselves there
        "#]],
    );
}

#[test]
fn an_unknown_dependency() {
    let tree = Tree::small("unknown-dependency");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nno-such-crate-as-this = \"1\"");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: resolving the dependencies failed; mend the Cargo.toml that cargo names:
            error: no matching package named `no-such-crate-as-this` found
            location searched: crates.io index
            required by package `hello v0.1.0 ([ROOT]/plugins/hello)`
        "#]],
    );
    tree.replace("plugins/hello/Cargo.toml", "no-such-crate-as-this = \"1\"", "nowhere.workspace = true");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
            error: reading the workspace's manifests failed; mend the Cargo.toml that cargo names:
            error: failed to load manifest for workspace member `[ROOT]/plugins/hello`
            referenced via `plugins/*` by workspace at `[ROOT]/Cargo.toml`

            Caused by:
              failed to parse manifest at `[ROOT]/plugins/hello/Cargo.toml`

            Caused by:
              error inheriting `nowhere` from workspace root manifest's `workspace.dependencies.nowhere`

            Caused by:
              `dependency.nowhere` was not found in `workspace.dependencies`
        "#]],
    );
}

#[test]
fn a_lock_that_needs_an_update() {
    let tree = Tree::small("locked");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nitoa = \"=1.0.11\"");
    check(
        &tree,
        &["image", "--locked"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit Cargo.lock
              - itoa 1.0.11 added, wanted by hello
        "#]],
    );
    check(
        &tree,
        &["plan", "--locked"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit Cargo.lock
              - itoa 1.0.11 added, wanted by hello
        "#]],
    );

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
    check(
        &tree,
        &["image"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
            error: the toolchain 1.31.0 that rust-toolchain.toml pins is not installed; run `rustup toolchain install 1.31.0 --profile minimal`:
            error: toolchain '1.31.0-x86_64-unknown-linux-gnu' is not installed
            help: run `rustup toolchain install` to install it
        "#]],
    );
}

#[test]
fn an_unwritable_target_folder() {
    let tree = Tree::small("unwritable").env("CARGO_TARGET_DIR", "/proc/provost");
    check(
        &tree,
        &["image"],
        expect![[r#"
        error: creating the folder /proc/provost/image: No such file or directory (os error 2); make it writable, or set CARGO_TARGET_DIR to a folder that is
    "#]],
    );
    let tree = Tree::small("target-file");
    tree.write("target", "in the way");
    check(
        &tree,
        &["image"],
        expect![[r#"
        error: creating the folder [ROOT]/target/image: Not a directory (os error 20); make it writable, or set CARGO_TARGET_DIR to a folder that is
    "#]],
    );
}

#[test]
fn a_compile_error() {
    let tree = Tree::small("compile-error");
    tree.write("plugins/hello/src/lib.rs", "fn greet() -> String {\n    1\n}\n\ngreeter_sdk::export!(greet);\n");
    check(
        &tree,
        &["image"],
        expect![[r#"
            warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
               Resolving dependencies of the host and 2 plugins
                Planning greeter 1.2.3 for linux/amd64: 2 plugins (goodbye, hello), rustc 1.95.0
               Compiling host, SDK and 2 plugins with this machine's Rust 1.95.0 (local)
            error[E0308]: mismatched types
             --> plugins/hello/src/lib.rs:2:5
              |
            1 | fn greet() -> String {
              |               ------ expected `String` because of return type
            2 |     1
              |     ^ expected `String`, found integer
              |
            help: try using a conversion method
              |
            2 |     1.to_string()
              |      ++++++++++++

            For more information about this error, try `rustc --explain E0308`.
            error: could not compile `hello` (lib) due to 1 previous error
            error: compiling the host and its plugins failed (exit status: 101); cargo's messages stand above
        "#]],
    );
}

#[test]
fn names_and_bases_that_cannot_be() {
    let tree = Tree::small("names");
    check(
        &tree,
        &["image", "--tag", "Greeter:1"],
        expect![[r#"
        error: `Greeter:1` is no name for an image: write NAME:TAG, the name in lower case
    "#]],
    );
    check(
        &tree,
        &["image", "--base", "nowhere.tar"],
        expect![[r#"
            error: finding the base nowhere.tar: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn what_the_root_manifest_says_of_the_host() {
    let tree = Tree::small("metadata");
    tree.replace("Cargo.toml", "user = \"1000:1001\"", "user = \"0:0\"");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: reading [ROOT]/Cargo.toml: TOML parse error at line 21, column 8
               |
            21 | user = "0:0"
               |        ^^^^^
            `0:0` is root; name a user that is not
        "#]],
    );
    tree.replace("Cargo.toml", "user = \"0:0\"", "user = \"1000:1001\"");
    tree.replace("Cargo.toml", "working-folder = \"/opt/greeter\"", "working-folder = \"opt/../greeter\"");
    tree.replace(
        "Cargo.toml",
        "default-config = \"greeter/default.toml\"",
        "default-config = \"greeter/defaults.toml\"",
    );
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: reading [ROOT]/Cargo.toml: 2 faults in [workspace.metadata.image]
          - `working-folder = "opt/../greeter"` must be an absolute path in the image, without `..`
          - `default-config = "greeter/defaults.toml"` is not a file in the tree
    "#]],
    );
}

#[test]
fn a_new_plugin_that_does_not_build_leaves_the_lock_alone() {
    let tree = Tree::small("new-broken");
    tree.add_plugin("hello", "broken");
    tree.write("plugins/broken/src/lib.rs", "//! Exports nothing.\n\npub use greeter_sdk::Greeting;\n");
    check(
        &tree,
        &["image"],
        expect![[r#"
        warning: the image stands on scratch: it has no shell, and this machine's libc; choose a base with --base IMAGE
           Resolving dependencies of the host and 3 plugins
            Planning greeter 1.2.3 for linux/amd64: 3 plugins (broken, goodbye, hello), rustc 1.95.0
             Locking broken 0.1.0 added
           Compiling host, SDK and 3 plugins with this machine's Rust 1.95.0 (local)
        error: the plugin broken (plugins/broken): it carries no ABI record: it was not exported with `provost_sdk::export!`; write the SDK's export macro once, at the top level of src/lib.rs
    "#]],
    );
}

#[test]
fn a_base_that_is_no_root_file_system() {
    let tree = Tree::small("base-archive");
    let mut tar = tar::Builder::new(Vec::new());
    tree.write("empty.tar", "");
    check(
        &tree,
        &["image", "--base", "empty.tar"],
        expect![[r#"
        error: the base [ROOT]/empty.tar is empty; name a tar that holds a root file system
    "#]],
    );
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    tar.append_data(&mut header, "manifest.json", b"[]".as_slice()).expect("an entry");
    std::fs::write(tree.root.join("saved.tar"), tar.into_inner().expect("a tar")).expect("a file");
    check(
        &tree,
        &["image", "--base", "saved.tar"],
        expect![[r#"
        error: the base [ROOT]/saved.tar is an archive of an image, not a root file system; load it, and name the image
    "#]],
    );
    check(
        &tree,
        &["image", "--output", "plugins"],
        expect![[r#"
        error: --output plugins is a folder; name a file for the archive
    "#]],
    );
}
