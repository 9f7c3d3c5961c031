//! `cargo xtask new`: a plugin from a template of the host's, in the tree or in a repository of its own.

use std::fs;

use crate::support::{Tree, check, repository};
use expect_test::expect;
use walkdir::WalkDir;

/// The files below a directory, by path.
fn files(dir: &camino::Utf8Path) -> Vec<(String, String)> {
    let files = WalkDir::new(dir).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
    let text = |path: &std::path::Path| fs::read_to_string(path).expect("text");
    let inside = |path: &std::path::Path| path.strip_prefix(dir).expect("a path inside").display().to_string();
    let files = files.filter(|entry| entry.file_type().is_file());
    files.map(|entry| (inside(entry.path()), text(entry.path()))).collect()
}

/// So formatting, lints and tests of the examples are those of the templates.
#[test]
fn the_examples_are_what_it_creates() {
    let tree = Tree::real("new-examples");
    for (name, template) in [("log", "minimal"), ("relay", "http"), ("frames", "ffi")] {
        let run = tree.xtask(&["new", name, "--template", template]);
        let expected = format!(
            "     Created plugins/{name} from the template {template}\n        \
             Next `cargo test -p {name}` tests it, `cargo xtask run` starts the host with it\n"
        );
        assert_eq!((run.code, run.stdout.as_str(), run.stderr), (Some(0), "", expected));
        assert_eq!(files(&tree.root.join("plugins").join(name)), files(&repository().join("examples").join(name)));
    }
}

/// Without the tree's own rules, rustfmt would find a new plugin badly formatted.
#[test]
fn a_repository_of_its_own_is_formatted_as_the_tree_is() {
    let rules = |dir: &str| fs::read_to_string(repository().join(dir).join("rustfmt.toml")).expect("its rules");
    assert_eq!(rules("host/templates/repository"), rules(""));
}

#[test]
fn a_plugin_of_the_tree_is_built_with_the_others() {
    let tree = Tree::small("new").without_engine();
    fs::create_dir(tree.root.join("plugins/bye-bye")).expect("an empty directory is no plugin yet");
    let run = tree.xtask(&["new", "bye-bye"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(tree.xtask(&["run"]).stdout, "tone = \"casual\"\nByeBye\ngoodbye\nhello\n");
}

#[test]
fn a_repository_of_its_own_knows_the_way_to_the_tree() {
    let tree = Tree::small("new-repository");
    let beside = tree.root.with_file_name("beside-new-repository");
    let _ = fs::remove_dir_all(&beside);
    fs::create_dir_all(&beside).expect("a directory");
    let run = tree.xtask(&["new", "weather", "--path", "../beside-new-repository/of-plugins/weather"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(
        run.stderr.replace(beside.as_str(), "[BESIDE]"),
        "     Created [BESIDE]/of-plugins/weather from the template minimal\n        \
         Next `cargo test` in [BESIDE]/of-plugins/weather tests it, `cargo xtask image --with [BESIDE]/of-plugins/weather` \
         builds the image with it\n"
    );
    let created = files(&beside.join("of-plugins/weather"));
    fs::remove_dir_all(&beside).expect("it is there");
    let shown: String = created.iter().map(|(path, text)| format!("--- {path}\n{text}")).collect();
    expect![[r#"
        --- .ci.yml
        plugin in beside-new-repository/of-plugins/weather, tree in new-repository, Rust 1.95.0
        --- Cargo.toml
        [package]
        name = "weather"
        version = "0.1.0"
        edition = "2024"

        [lib]
        crate-type = ["cdylib"]

        [dependencies]
        greeter-sdk = { path = "../../../new-repository/greeter/sdk" }

        [workspace]
        --- src/lib.rs
        //! Says `Weather`.

        fn greet() -> String {
            "Weather".to_owned()
        }

        greeter_sdk::export!(greet);
    "#]]
    .assert_eq(&shown);
}

#[test]
fn all_that_is_wrong_is_reported_at_once() {
    let tree = Tree::small("new-wrong");
    let check = |args: &[&str], expected| check(&tree, &[&["new"], args].concat(), expected);
    check(
        &["Hello World", "--template", "maximal", "--path", "sub"],
        expect![[r#"
            error: 3 errors in the new plugin
              - `Hello World` cannot be the name of a plugin: use lower case letters, digits, `-` and `_`, with a letter first
              - [ROOT]/sub is in this tree: leave out --path, or name a directory beside the tree
              - there is no template `maximal`; use one of minimal
        "#]],
    );
    check(
        &["hello"],
        expect![[r#"
            error: 2 errors in the new plugin
              - plugins/hello has the plugin `hello` already: choose another name
              - [ROOT]/plugins/hello exists already: remove it, or choose another name
        "#]],
    );
    for (name, expected) in [
        ("greeter", "the name `greeter` is taken by the host: choose another name"),
        ("greeter-sdk", "the name `greeter-sdk` is taken by the SDK: choose another name"),
        ("greeter_sdk", "the name of the library, `greeter_sdk`, is taken by the SDK: choose another name"),
        ("async", "`async` cannot be the name of a plugin: Rust reserves it; choose another name"),
        (
            "9lives",
            "`9lives` cannot be the name of a plugin: use lower case letters, digits, `-` and `_`, with a letter first",
        ),
    ] {
        let run = tree.xtask(&["new", name]);
        assert_eq!((run.code, run.stdout.as_str(), run.stderr), (Some(1), "", format!("error: {expected}\n")));
        assert!(!tree.root.join("plugins").join(name).exists(), "{name}");
    }
    let long = "a".repeat(65);
    let run = tree.xtask(&["new", &long]);
    assert_eq!(run.stderr, format!("error: the name `{long}` is longer than 64 letters: choose another name\n"));

    tree.write("plugins.txt", "");
    tree.replace("Cargo.toml", "plugin-templates = \"templates\"\n", "");
    check(
        &["weather"],
        expect![[r#"
            error: this host has no templates of plugins; set `plugin-templates` in [workspace.metadata.image], or copy a plugin
        "#]],
    );
}

#[test]
fn what_is_there_stays() {
    let tree = Tree::small("new-occupied");
    tree.write("beside.txt", "a file");
    let parent = tree.root.parent().expect("a parent").join("beside-new-occupied");
    let _ = fs::remove_dir_all(&parent);
    fs::create_dir_all(parent.join("notes")).expect("a directory");
    let run = tree.xtask(&["new", "weather", "--path", parent.as_str()]);
    let expected = format!("error: {parent} exists already: remove it, or choose another name\n");
    assert_eq!((run.code, run.stderr), (Some(1), expected));
    fs::remove_dir_all(parent.join("notes")).expect("it stays");
    // A repository may be an empty directory, as a clone of nothing is.
    let run = tree.xtask(&["new", "weather", "--path", parent.as_str()]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    fs::remove_dir_all(&parent).expect("it is there");
}
