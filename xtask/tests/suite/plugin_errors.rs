//! What can be wrong with a plugin's directory and manifest: one clear error each, whole, and all of them at once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use crate::support::{Tree, check};
use expect_test::expect;

#[test]
fn a_dir_without_a_manifest() {
    let tree = Tree::small("no-manifest");
    tree.write("plugins/empty/notes.txt", "");
    tree.write("plugins/README.md", "a file is no plugin");
    check(
        &tree,
        &["plan"],
        expect![[r#"
        error: plugins/empty has no Cargo.toml: every directory in plugins/ is a plugin; add one, or move the directory away
    "#]],
    );
}

#[test]
fn a_hidden_dir_is_skipped() {
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
fn every_error_of_every_manifest_at_once() {
    let tree = Tree::small("many-errors");
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
            error: 8 errors in plugins/
              - plugins/empty has no Cargo.toml: every directory in plugins/ is a plugin; add one, or move the directory away
              - plugins/goodbye/Cargo.toml has a `[workspace]` of its own: remove that table; a plugin is built as a member of the tree's workspace
              - plugins/goodbye/Cargo.toml has no `[package]`: add one, with a `name`
              - plugins/goodbye/Cargo.toml: a plugin must be a cdylib; write `crate-type = ["cdylib"]` under `[lib]`
              - plugins/goodbye/Cargo.toml: a plugin must depend on the SDK; write `greeter-sdk = { workspace = true }` under `[dependencies]`
              - plugins/goodbye/Cargo.toml: the path dependency `other = { path = "../../../other" }` is outside of the tree; move that crate into the tree and use a relative path, or depend on it by version or git
              - two plugins have the name `hello`: plugins/copy and plugins/hello: rename the package in one of the two Cargo.toml
              - plugins/sdk/Cargo.toml: the name `greeter-sdk` is taken by the SDK: rename the package
        "#]],
    );
}

#[test]
fn what_a_plugin_ships_and_does_not_have() {
    let tree = Tree::small("ships-nothing");
    tree.write("plugins/hello/empty/.git/words", "");
    let manifests = ["hello", "goodbye"].map(|name| format!("plugins/{name}/Cargo.toml"));
    let add = |path: &str, table: &str| tree.write(path, &format!("{}\n{table}\n", tree.read(path)));
    add(
        &manifests[0],
        "[package.metadata.greeter]\nassets = [\"../goodbye\", \".words\", \"/etc\", \"\", \"words\", \"empty\"]\nconfig = \
         \"src\"",
    );
    add(&manifests[1], "[package.metadata.greeter]\nasset = [\"words\"]");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            error: 9 errors in plugins/
              - plugins/goodbye/Cargo.toml: [package.metadata.greeter]: unknown field `asset`, expected `assets` or `config`
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `config` needs a host that reads a directory of configurations; set `plugin-config` in [workspace.metadata.image], or remove the key
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `../goodbye` must be a path inside of the plugin's directory, without `..`
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `.words` does not exist; add it, or correct the path
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `/etc` must be a path inside of the plugin's directory, without `..`
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `` must be a path inside of the plugin's directory, without `..`
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `words` does not exist; add it, or correct the path
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `empty` contains no file; add one, or remove the path
              - plugins/hello/Cargo.toml: [package.metadata.greeter]: `src` is a directory; use a file for `config`
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
        error: plugins/hello/Cargo.toml: a plugin must be a cdylib; write `crate-type = ["cdylib"]` under `[lib]`
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
        error: plugins/hello/Cargo.toml: a plugin must depend on the SDK; write `greeter-sdk = { workspace = true }` under `[dependencies]`
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
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
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
            error: 3 errors in plugins/
              - two plugins have the name `hello`: plugins/hello and plugins/other: rename the package in one of the two Cargo.toml
              - the plugins `good-night` (plugins/good-night) and `good_night` (plugins/good_night) build libraries with the same name, `good_night`: rename the packages, or their `[lib]`
              - the plugins `goodbye` (plugins/goodbye) and `hello` (plugins/hello) build libraries with the same name, `hello`: rename the packages, or their `[lib]`
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
            error: 2 errors in plugins/
              - plugins/goodbye/Cargo.toml: the path dependency `yours = { path = "/yours" }` is outside of the tree; move that crate into the tree and use a relative path, or depend on it by version or git
              - libs/mine/Cargo.toml: the path dependency `far = { path = "../../../far" }` is outside of the tree; move that crate into the tree and use a relative path, or depend on it by version or git
        "#]],
    );
}

/// What nobody would miss, or what cargo would speak of as if it was not there.
#[test]
fn what_cannot_be_copied_and_is_needed() {
    let tree = Tree::small("needed");
    tree.write("plugins/hello/web/index.html", "");
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", &format!("{manifest}\n[package.metadata.greeter]\nassets = [\"web\"]\n"));
    symlink("/etc/hostname", tree.root.join("plugins/hello/web/name.txt")).expect("a symlink");
    let name = OsStr::from_bytes(b"plugins/hello/web/caf\xe9");
    fs::write(tree.root.as_std_path().join(name), "").expect("a file");
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nmine = { path = \"../../libs/mine\" }");
    tree.write("libs/mine/Cargo.toml", "[package]\nname = \"mine\"\n");
    tree.write("libs/CACHEDIR.TAG", "");
    check(
        &tree,
        &["plan"],
        expect![[r#"
            warning: the image has no base image, hence no shell, and it contains this machine's libc; choose a base image with --base IMAGE
            error: 3 errors in the sources
              - libs (a target or cache directory) is not copied, but libs/mine/Cargo.toml is in it; move it
              - the path plugins/hello/web/caf� is not UTF-8: rename it
              - plugins/hello/web/name.txt is a symlink to /etc/hostname, outside of the tree; copy the files into the tree
        "#]],
    );
}
