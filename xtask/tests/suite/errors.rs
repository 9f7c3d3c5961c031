//! What can be wrong with all else that xtask is given: one clear error each, whole. Nothing is half-written.

use crate::support::{Tree, check, errors};
use expect_test::expect;

#[test]
fn an_unknown_dependency() {
    let tree = Tree::small("unknown-dependency");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nno-such-crate-as-this = \"1\"");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: resolving the dependencies failed; fix the Cargo.toml that cargo names:
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
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
            error: reading the workspace's manifests failed; fix the Cargo.toml that cargo names:
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
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit Cargo.lock
              - itoa 1.0.11 added, needed by hello
        "#]],
    );
    check(
        &tree,
        &["plan", "--locked"],
        expect![[r#"
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
               Resolving dependencies of the host and 2 plugins
            error: Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit Cargo.lock
              - itoa 1.0.11 added, needed by hello
        "#]],
    );

    let run = tree.xtask(&["build"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("     Locking itoa 1.0.11 added, needed by hello\n"), "{}", run.stderr);
    tree.replace("plugins/hello/Cargo.toml", "=1.0.11", "=1.0.10");
    let run = tree.xtask(&["build"]);
    assert!(run.stderr.contains("     Locking itoa 1.0.11 -> 1.0.10, needed by hello\n"), "{}", run.stderr);
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
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
            error: the toolchain 1.31.0 that rust-toolchain.toml pins is not installed; run `rustup toolchain install 1.31.0 --profile minimal`:
            error: toolchain '1.31.0-x86_64-unknown-linux-gnu' is not installed
            help: run `rustup toolchain install` to install it
        "#]],
    );
}

#[test]
fn an_unwritable_target_dir() {
    let tree = Tree::small("unwritable").env("CARGO_TARGET_DIR", "/proc/provost");
    check(
        &tree,
        &["image"],
        expect![[r#"
        error: creating the directory /proc/provost/image: No such file or directory (os error 2); make it writable, or set CARGO_TARGET_DIR to a directory that is
    "#]],
    );
    let tree = Tree::small("target-file");
    tree.write("target", "in the way");
    check(
        &tree,
        &["image"],
        expect![[r#"
        error: creating the directory [ROOT]/target/image: Not a directory (os error 20); make it writable, or set CARGO_TARGET_DIR to a directory that is
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
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
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
            error: compiling the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
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
        error: `Greeter:1` is not an image name; write NAME:TAG, with the name in lower case
    "#]],
    );
    check(
        &tree,
        &["image", "--base", "nowhere.tar"],
        expect![[r#"
            error: finding the base image nowhere.tar: No such file or directory (os error 2)
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
            `0:0` is root; choose another user
        "#]],
    );
    tree.replace("Cargo.toml", "user = \"0:0\"", "user = \"1000:1001\"");
    tree.replace("Cargo.toml", "working-dir = \"/opt/greeter\"", "working-dir = \"opt/../greeter\"");
    tree.replace(
        "Cargo.toml",
        "default-config = \"greeter/default.toml\"",
        "default-config = \"greeter/defaults.toml\"",
    );
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: reading [ROOT]/Cargo.toml: 2 errors in [workspace.metadata.image]
          - `working-dir = "opt/../greeter"` must be an absolute path in the image, without `..`
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
        warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
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
        error: the base image [ROOT]/empty.tar is empty; use a tar with a root file system
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
            error: the base image [ROOT]/saved.tar is an image archive, not a root file system; load it and use the name of the image, or unpack it and use the OCI layout
        "#]],
    );
    check(
        &tree,
        &["image", "--output", "plugins"],
        expect![[r#"
            error: --output plugins is a directory; write the name of a file for the archive, or oci:plugins for an OCI layout
        "#]],
    );
}

#[test]
fn a_tool_that_a_build_script_lacks_is_named_with_its_packages() {
    let tree = Tree::small("errors-tool").without_engine();
    tree.write(
        "plugins/hello/build.rs",
        "fn main() {\n    panic!(\"error occurred in cc-rs: failed to find tool \\\"c++\\\": No such file\");\n}\n",
    );
    let error = errors(&tree, &[]);
    let cause = "\n  - `c++` is missing; install it: `RUN apk add g++` (Alpine) or `RUN apt-get update && apt-get install -y g++` \
                 (Debian)\n";
    assert!(error.starts_with("error: failed to run custom build command for `hello"), "{error}");
    assert!(error.ends_with(cause), "{error}");
}
