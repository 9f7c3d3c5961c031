//! `image --verify-reproducible`: what comes out the same twice is delivered, and nothing else.

use std::fs;

use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers, filter_of};
use crate::support::{Tree, errors};
use expect_test::expect;
use serde_json::{Value, json};

const NAME: &str = "localhost/xtask-test/greeter:reproducible";

/// Where a plugin is compiled, as no search for paths finds it.
const DIR: &str = "std::env::var(\"CARGO_MANIFEST_DIR\").unwrap().replace('/', \"|\")";

/// A plugin greets with what `expression`, a `String`, is when it is compiled.
fn compiled_in(tree: &Tree, plugin: &str, expression: &str) {
    let script = format!(
        "fn main() {{\n    let value: String = {{ {expression} }};\n    \
         println!(\"cargo::rustc-env=COMPILED_IN={{value}}\");\n}}\n"
    );
    tree.write(&format!("plugins/{plugin}/build.rs"), &script);
    tree.replace(
        &format!("plugins/{plugin}/src/lib.rs"),
        &format!("\"{plugin}\".to_owned()"),
        "env!(\"COMPILED_IN\").to_owned()",
    );
}

/// What the error says, with `N` for numbers and addresses, which are others in each run.
fn error(tree: &Tree) -> String {
    let said = errors(tree, &["--verify-reproducible"]).replace(tree.root.as_str(), "[ROOT]");
    let mut masked = String::new();
    for character in said.chars() {
        match character {
            '0'..='9' if masked.ends_with('N') => {}
            '0'..='9' => masked.push('N'),
            'a'..='f' | 'x' if masked.ends_with('N') => {}
            other => masked.push(other),
        }
    }
    assert!(!tree.image_dir().join("reproducible").exists(), "what was built again is gone");
    masked
}

#[test]
fn an_image_that_comes_out_the_same_is_delivered() {
    let tree = Tree::small("reproducible").without_engine();
    assert_eq!(tree.image(&[])["reproduced"], Value::Null);
    tree.write("target/image/reproducible/first/cargo/left", "of a run that was killed");
    let run = tree.xtask(&["image", "--verify-reproducible", "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let image: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let dir = "[ROOT]/target/image/reproducible/another/directory/second";
    assert_eq!(image["reproduced"], json!({ "directory": dir }));
    let digest = image["manifest_digest"].as_str().expect("a digest");
    let said = format!("Reproducible a clean build in another directory: {digest}\n");
    assert!(run.stderr.contains(&said), "{}", run.stderr);
    // In a directory that knows nothing.
    assert_eq!(run.stderr.matches("   Resolving dependencies of").count(), 1, "{}", run.stderr);
    assert!(!tree.image_dir().join("reproducible").exists());
}

#[test]
fn a_time_in_a_plugin_is_found() {
    let tree = Tree::small("reproducible-time").without_engine();
    let now = "std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()";
    compiled_in(&tree, "hello", &format!("format!(\"{{:020}}\", {now}.as_nanos())"));
    expect![[r#"
        error: the image is not reproducible: two clean builds, in [ROOT]/target/image/reproducible/first and [ROOT]/target/image/reproducible/another/directory/second, differ
          - /opt/greeter/hello.plug in the layer hello.plug differs in the section .rodata at offset N: `N` and `N`
        the plugin hello (plugins/hello), or a crate that it uses, includes a time, a random number or a path at compile time, usually through a build script or a macro; remove it
    "#]].assert_eq(&error(&tree));
}

#[test]
fn a_path_that_is_not_written_out_is_found() {
    let tree = Tree::small("reproducible-path").without_engine();
    compiled_in(&tree, "goodbye", DIR);
    expect![[r#"
        error: the image is not reproducible: two clean builds, in [ROOT]/target/image/reproducible/first and [ROOT]/target/image/reproducible/another/directory/second, differ
          - /opt/greeter/goodbye.plug in the layer goodbye.plug has N and N bytes, and differs in the section .rodata at offset N: `oducible-path|target|image|reproducible|first|src|plugins|goodbye` and `oducible-path|target|image|reproducible|another|directory|second|src|plugins|goo`
        the plugin goodbye (plugins/goodbye), or a crate that it uses, includes a time, a random number or a path at compile time, usually through a build script or a macro; remove it
    "#]].assert_eq(&error(&tree));
}

#[test]
fn files_of_an_earlier_build_are_found() {
    let tree = Tree::small("reproducible-earlier").without_engine();
    // Cargo does not see that what the script asks for has changed.
    tree.write("kept", "one");
    let path = tree.root.join("kept");
    compiled_in(&tree, "hello", &format!("std::fs::read_to_string({path:?}).unwrap()"));
    tree.replace(
        "plugins/hello/build.rs",
        "fn main() {\n",
        "fn main() {\n    println!(\"cargo::rerun-if-changed=build.rs\");\n",
    );
    tree.image(&[]);
    let archive = tree.image_dir().join("greeter.tar");
    let old = fs::read(&archive).expect("the archive");
    tree.write("kept", "two");
    let run = tree.xtask(&["image", "--verify-reproducible"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    expect![[r#"
        error: two clean builds make the same image, but this one differs: it contains files of earlier builds; remove them with `cargo xtask clean --volumes`
          - /opt/greeter/hello.plug in the layer hello.plug differs in the section .rodata at offset 0x0: `two` and `one`
    "#]].assert_eq(&run.stderr[run.stderr.find("error: ").expect("an error")..]);
    assert!(fs::read(&archive).is_ok_and(|now| now == old), "the image that was there stays");
}

#[test]
fn a_tree_that_changes_meanwhile_is_no_plugins_error() {
    let tree = Tree::small("reproducible-changed").without_engine();
    let (notes, now) = (tree.root.join("notes"), "std::time::SystemTime::now()");
    compiled_in(
        &tree,
        "hello",
        &format!("std::fs::write({notes:?}, format!(\"{{:?}}\", {now})).unwrap(); String::new()"),
    );
    expect![[r#"
        error: the tree changed during the build; do not edit it until the images are compared
    "#]]
    .assert_eq(&error(&tree));
}

#[test]
fn what_a_killed_run_left_is_cleaned() {
    let (engine, tree) = (Engine::found(), Tree::small("reproducible-killed"));
    let filters =
        ["first", "another/directory/second"].map(|dir| filter_of(&tree.image_dir().join("reproducible").join(dir)));
    let volumes = filters
        .each_ref()
        .map(|filter| engine.read(&["volume", "create", "--label", filter.trim_start_matches("label=")]));
    let run = tree.xtask(&["clean", "--volumes"]);
    let said = format!("     Removed 2 volumes from {}\n", engine.program);
    assert!(run.code == Some(0) && run.stderr.contains(&said), "{}", run.stderr);
    let there = engine.read(&["volume", "ls", "--quiet"]);
    assert!(!there.lines().any(|volume| volumes.iter().any(|left| left == volume)));
}

#[test]
fn in_containers_the_dirs_and_the_volumes_differ_too() {
    let (engine, tree) = (Engine::found(), Tree::small("reproducible-container"));
    let _leftovers = Leftovers::new(&engine, &tree, NAME);
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", NAME];
    let run = tree.xtask(&[&["image", "--verify-reproducible", "--verbose", "--format", "json"], &args[..]].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let image: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(image["reproduced"], json!({ "directory": "/another/directory" }));
    let created = run.stderr.lines().filter(|line| line.contains(" volume create "));
    let created: Vec<&str> = created.filter_map(|line| line.rsplit(' ').next()).collect();
    let there = engine.read(&["volume", "ls", "--quiet"]);
    let left: Vec<&str> = created.iter().copied().filter(|name| there.lines().any(|volume| volume == *name)).collect();
    assert_eq!((created.len(), left), (2, vec![created[0]]), "of two volumes the image's own is left");
    assert_eq!(engine.run(NAME), GREETINGS);

    compiled_in(&tree, "hello", DIR);
    let run = tree.xtask(&[&["image", "--verify-reproducible"], &args[..]].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    expect![[r#"
        error: the image is not reproducible: two clean builds, in /xtask and /another/directory, differ
          - /opt/greeter/hello.plug in the layer hello.plug has 5984 and 6000 bytes, and differs in the section .rodata at offset 0x1: `|xtask|work|src|plugins|hello` and `|another|directory|work|src|plugins|hello`
        the plugin hello (plugins/hello), or a crate that it uses, includes a time, a random number or a path at compile time, usually through a build script or a macro; remove it
    "#]].assert_eq(&run.stderr[run.stderr.find("error: ").expect("an error")..]);
    assert_eq!(engine.run(NAME), GREETINGS, "the image that was there stays");
}
