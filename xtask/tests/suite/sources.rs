//! What is compiled is what cargo sees in the tree: hidden files, directories that are no crate, empty directories, symlinks. What cannot be
//! copied stops nothing, and is named when something is missing.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use crate::support::{Tree, check, errors};
use expect_test::expect;

/// A build script that looks at what lies beside it.
const BUILD: &str = r#"
use std::os::unix::fs::PermissionsExt;

fn main() {
    assert!(std::fs::read_dir("empty").expect("an empty directory").next().is_none());
    let mode = |file: &str| std::fs::metadata(file).expect("a file").permissions().mode() & 0o111 != 0;
    assert!(mode("tool.sh") && !mode("build.rs"));
    assert!(!std::path::Path::new("../../gone").exists());
    assert_eq!(std::fs::read_to_string(r"back\\slash").expect("a file"), "two");
}
"#;

/// Crates that were vendored into the tree.
fn vendor(tree: &Tree) {
    tree.write("vendor/mine/Cargo.toml", "[package]\nname = \"mine\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
    tree.write("vendor/mine/src/lib.rs", "pub const MINE: &str = \"mine\";\n");
    let checksum = format!("{{\"files\":{{}},\"package\":\"{}\"}}", "0".repeat(64));
    tree.write("vendor/mine/.cargo-checksum.json", &checksum);
    let config = tree.read(".cargo/config.toml");
    let source = "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n";
    tree.write(".cargo/config.toml", &format!("{config}\n{source}"));
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]", "[dependencies]\nmine = \"1\"");
}

#[test]
fn everything_that_cargo_sees_is_compiled() {
    // Cargo writes packages' ids as URLs.
    let tree = Tree::small("sources #1 (für alle)");
    let name = "localhost/xtask-test/greeter:sources";
    let engine = Engine::docker();
    let _leftovers = Leftovers::new(&engine, &tree, name);
    tree.write("plugins/hello/.queries/one.json", "{}");
    tree.write("proto/hello.proto", "message Hello {}");
    symlink("proto/hello.proto", tree.root.join("linked.proto")).expect("a symlink");
    symlink("../../../proto", tree.root.join("plugins/hello/src/proto")).expect("a symlink");
    tree.write("gone/file", "");
    tree.write("plugins/hello/build.rs", "fn main() {}\n");
    tree.write("plugins/hello/tool.sh", "#!/bin/sh\n");
    tree.write("plugins/hello/back\\\\slash", "one");
    vendor(&tree);
    let code = "const ALL: [&str; 5] = [include_str!(\"../.queries/one.json\"), \
        include_str!(\"../../../proto/hello.proto\"),\n    include_str!(\"../../../linked.proto\"), \
        include_str!(\"proto/hello.proto\"), mine::MINE];\n\n fn greet() -> String {\n    ALL.join(\" \
        \")\n}\n\ngreeter_sdk::export!(greet);\n";
    tree.write("plugins/hello/src/lib.rs", code);
    let local = ["--base", "scratch", "--tag", name];
    let container = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", name];
    for args in [&local[..], &container] {
        tree.image(args);
    }
    // What an earlier run has seen, too.
    fs::remove_dir_all(tree.root.join("gone")).expect("a directory");
    fs::create_dir(tree.root.join("plugins/hello/empty")).expect("a directory");
    fs::set_permissions(tree.root.join("plugins/hello/tool.sh"), PermissionsExt::from_mode(0o755)).expect("a file");
    tree.write("plugins/hello/build.rs", BUILD);
    tree.write("plugins/hello/back\\\\slash", "two");
    for args in [&local[..], &container] {
        tree.image(args);
        assert_eq!(
            engine.run(name),
            "tone = \"polite\"\ngoodbye\n{} message Hello {} message Hello {} message Hello {} mine"
        );
    }
}

#[test]
fn hidden_files_are_shipped() {
    let tree = Tree::small("hidden-assets").without_engine();
    for file in [".well-known/security.txt", "index.html", ".git/HEAD"] {
        tree.write(&format!("plugins/hello/web/{file}"), file);
    }
    symlink("someone@machine.4711:1700000000", tree.root.join("plugins/hello/web/.#index.html")).expect("a symlink");
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", &format!("{manifest}\n[package.metadata.greeter]\nassets = [\"web\"]\n"));
    let image = tree.image(&["--base", "scratch"]);
    let files =
        image["layers"].as_array().expect("layers").iter().flat_map(|layer| layer["files"].as_array().expect("files"));
    let paths = files.map(|file| file["path"].as_str().expect("a path"));
    let shipped: Vec<&str> = paths.filter(|path| path.contains("/web/")).collect();
    let dir = "opt/greeter/assets/hello/web";
    assert_eq!(
        shipped,
        [format!("{dir}/.well-known"), format!("{dir}/.well-known/security.txt"), format!("{dir}/index.html")]
    );
}

#[test]
fn what_nobody_reads_stops_nothing() {
    let tree = Tree::small("unread").without_engine();
    symlink("someone@machine.4711:1700000000", tree.root.join("plugins/hello/src/.#lib.rs")).expect("a symlink");
    fs::create_dir(tree.root.join("docs")).expect("a directory");
    symlink("/etc", tree.root.join("docs/outside")).expect("a symlink");
    symlink("/etc/hostname", tree.root.join("plugins/hello/src/outside")).expect("a symlink");
    let name = OsStr::from_bytes(b"plugins/hello/caf\xe9");
    fs::write(tree.root.as_std_path().join(name), "").expect("a file");
    symlink("../docs", tree.root.join("docs/loop")).expect("a symlink");
    tree.write(".git/HEAD", "");
    let run = tree.xtask(&["plan", "--base", "scratch"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let told = run.stderr.lines().filter_map(|line| line.strip_prefix(" Leaving out "));
    let said: String = told.map(|line| line.to_owned() + "\n").collect();
    expect![[r#"
        docs/loop (a symlink loop)
        docs/outside (a symlink to /etc, outside of the tree)
        plugins/hello/caf� (a name that is not UTF-8)
        plugins/hello/src/.#lib.rs (a dangling symlink)
        plugins/hello/src/outside (a symlink to /etc/hostname, outside of the tree)
    "#]]
    .assert_eq(&said);

    tree.replace(
        "plugins/hello/src/lib.rs",
        "greeter_sdk::",
        "const HEAD: &str = include_str!(\"../../../.git/HEAD\");\ngreeter_sdk::",
    );
    let said = errors(&tree, &["--base", "scratch"]);
    let end = said.split_once("error: compiling ").expect("the build's own error").1;
    expect![[r#"
        the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
          - a file is missing; the copy of the sources leaves these out: .git (version control), docs/loop (a symlink loop), docs/outside (a symlink to /etc, outside of the tree), plugins/hello/caf� (a name that is not UTF-8), plugins/hello/src/.#lib.rs (a dangling symlink), plugins/hello/src/outside (a symlink to /etc/hostname, outside of the tree), target (a target or cache directory), xtask/path (a target or cache directory)
    "#]]
    .assert_eq(end);
}

#[test]
fn the_hosts_program_is_the_one_of_its_name() {
    let tree = Tree::small("programs").without_engine();
    tree.write("greeter/src/bin/aaa.rs", "fn main() {}\n");
    tree.write("greeter/src/bin/zzz.rs", "fn main() {}\n");
    tree.write("plugins/hello/src/bin/tool.rs", "fn main() {}\n");
    tree.write("plugins/goodbye/src/bin/tool.rs", "fn main() {}\n");
    let program = |image: &serde_json::Value| {
        let layers = image["layers"].as_array().expect("layers");
        layers.iter().find(|layer| layer["name"] == "greeter").expect("the host's layer")["digest"].clone()
    };
    let first = program(&tree.image(&["--base", "scratch"]));
    for edit in ["// one\n", "// two\n"] {
        // Which of them is finished first is chance: whatever that is, it is not shipped.
        for name in ["aaa", "zzz"] {
            let path = format!("greeter/src/bin/{name}.rs");
            tree.write(&path, &format!("{}{edit}", tree.read(&path)));
        }
        assert_eq!(program(&tree.image(&["--base", "scratch"])), first);
    }
}

#[test]
fn a_plugin_with_a_program_of_the_hosts_name() {
    let tree = Tree::small("program-clash").without_engine();
    tree.write("plugins/hello/src/bin/greeter.rs", "fn main() {}\n");
    tree.replace(
        "greeter/Cargo.toml",
        "[dependencies]",
        "[[bin]]\nname = \"welcome\"\npath = \"src/main.rs\"\n\n[dependencies]",
    );
    check(
        &tree,
        &["plan", "--base", "scratch"],
        expect![[r#"
            error: 2 errors in the programs
              - the host's package has no program `greeter`, which the image starts; it has welcome; rename one to `greeter`
              - plugins/hello: its program `greeter` has the same name as the host's, and cargo writes both to one file; rename it
        "#]],
    );
}

#[test]
fn a_module_that_was_left_out_is_named() {
    let tree = Tree::small("left-out-module").without_engine();
    symlink("nowhere.rs", tree.root.join("plugins/hello/src/inner.rs")).expect("a symlink");
    tree.replace("plugins/hello/src/lib.rs", "greeter_sdk::", "mod inner;\ngreeter_sdk::");
    let said = errors(&tree, &["--base", "scratch"]);
    let end = said.split_once("error: compiling ").expect("the build's own error").1;
    expect![[r#"
        the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
          - a file is missing; the copy of the sources leaves these out: plugins/hello/src/inner.rs (a dangling symlink), target (a target or cache directory), xtask/path (a target or cache directory)
    "#]]
    .assert_eq(end);
}
