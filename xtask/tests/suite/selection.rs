//! `--only` and `--without`: some of the tree's plugins, while the tree stays as it is.

use crate::support::{Tree, check, errors};
use expect_test::expect;
use serde_json::{Value, json};

fn built(tree: &Tree, args: &[&str]) -> Vec<String> {
    let plan = tree.image(args)["plan"]["plugins"].clone();
    plan.as_array().expect("plugins").iter().map(|plugin| plugin["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_part_of_the_plugins_is_built_and_nothing_in_the_tree_changes() {
    let tree = Tree::small("selection").without_engine();
    tree.add_plugin("hello", "welcome");
    assert_eq!(built(&tree, &[]), ["goodbye", "hello", "welcome"]);
    let commit = tree.commit();
    let lock = tree.read("Cargo.lock");
    for (args, expected) in [
        (["--only", "hello"].as_slice(), ["hello"].as_slice()),
        (&["--only", "welcome,hello"], &["hello", "welcome"]),
        (&["--without", "hello", "--without", "welcome"], &["goodbye"]),
        (&["--only", "hello,goodbye", "--without", "goodbye", "--locked"], &["hello"]),
        (&["--without", "goodbye", "--verify-reproducible"], &["hello", "welcome"]),
    ] {
        assert_eq!(built(&tree, args), expected, "{args:?}");
        assert_eq!(tree.read("Cargo.lock"), lock);
        // All that is in the image is in the commit.
        assert_eq!(tree.label("org.opencontainers.image.revision"), commit);
    }
    let provenance: Value = serde_json::from_str(&tree.read("target/image/greeter.provenance.json")).expect("JSON");
    let parameters = &provenance["predicate"]["buildDefinition"]["externalParameters"];
    assert_eq!((&parameters["only"], &parameters["without"]), (&Value::Null, &json!("goodbye")));

    assert_eq!(built(&tree, &["--without", "goodbye,hello,welcome"]), <[&str; 0]>::default());
    assert_eq!(tree.label("org.opencontainers.image.revision"), commit);

    let run = tree.xtask(&["run", "--only", "goodbye"]);
    assert_eq!(run.stdout, "tone = \"casual\"\ngoodbye\n", "{}", run.stderr);
    assert!(!tree.root.join("target/image/greeter.lock").exists(), "nothing was added");
}

#[test]
fn a_lock_file_that_needs_more_is_kept_beside_the_image() {
    let tree = Tree::small("selection-lock").without_engine();
    tree.add_plugin("hello", "welcome");
    check(
        &tree,
        &["build", "--only", "welcome", "--locked"],
        expect![[r#"
               Resolving dependencies of the host and 1 plugin
            error: Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit Cargo.lock
              - welcome 0.1.0 added
        "#]],
    );
    let lock = tree.read("Cargo.lock");
    let run = tree.xtask(&["image", "--only", "welcome"]);
    let kept = "     Keeping Cargo.lock as it is; this build's is target/image/greeter.lock\n";
    assert!(run.code == Some(0) && run.stderr.contains(kept), "{}", run.stderr);
    assert_eq!(tree.read("Cargo.lock"), lock);
    assert!(tree.read("target/image/greeter.lock").contains("name = \"welcome\""));
}

#[test]
fn a_plugin_that_is_broken_is_left_out_by_its_directory() {
    let tree = Tree::small("selection-broken").without_engine();
    tree.write("plugins/broken/Cargo.toml", "[package\n");
    assert!(errors(&tree, &[]).starts_with("error: plugins/broken/Cargo.toml is not a manifest"));
    // One that does not compile is named with the way to do without it.
    tree.write("plugins/broken/Cargo.toml", &tree.read("plugins/hello/Cargo.toml").replace("\"hello\"", "\"broken\""));
    tree.write("plugins/broken/src/lib.rs", "compile_error!(\"broken\");");
    let error = errors(&tree, &[]);
    let expected = "compiling the plugin broken (plugins/broken) failed (exit status: 101); see cargo's messages above; \
                    `--without broken` builds the others\n";
    assert!(error.ends_with(expected), "{error}");
    assert_eq!(built(&tree, &["--without", "broken"]), ["goodbye", "hello"]);
}

#[test]
fn names_that_no_plugin_has() {
    let tree = Tree::small("selection-unknown");
    check(
        &tree,
        &["image", "--only", "helo,hello", "--without", "smtp"],
        expect![[r#"
            error: 2 errors in plugins/
              - --only helo: there is no such plugin; did you mean `hello`?
              - --without smtp: there is no such plugin; there are goodbye, hello
        "#]],
    );
    tree.replace(
        "plugins/hello/Cargo.toml",
        "[dependencies]\n",
        "[dependencies]\ngoodbye = { path = \"../goodbye\" }\n",
    );
    check(
        &tree,
        &["build", "--only", "hello"],
        expect![[r#"
            error: plugins/goodbye is left out by --only or --without, but the rest needs it
        "#]],
    );
}
