//! `cargo xtask matrix`: what CI has to run.

use crate::support::{Tree, check};
use expect_test::{Expect, expect};
use serde_json::{Value, json};

/// Adds a table about CI to the tree.
fn configure(tree: &Tree, table: &str) {
    tree.replace("Cargo.toml", "[workspace.dependencies]", &format!("{table}\n[workspace.dependencies]"));
}

fn rows(tree: &Tree, args: &[&str]) -> Vec<Value> {
    let run = tree.xtask(&[&["matrix"], args].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let mut matrix: Value = serde_json::from_str(&run.stdout).expect("JSON");
    serde_json::from_value(matrix["include"].take()).expect("rows")
}

/// `id: command`, a line for each row.
fn check_rows(tree: &Tree, args: &[&str], expected: Expect) {
    let text = |row: &Value, key: &str| row[key].as_str().expect("text").to_owned();
    let lines = rows(tree, args)
        .iter()
        .map(|row| format!("{}: {}\n", text(row, "id"), text(row, "command")))
        .collect::<String>();
    expected.assert_eq(&lines);
}

#[test]
fn a_tree_that_says_nothing_has_one_image() {
    let tree = Tree::small("matrix-plain");
    let expected = json!({
        "id": "image-full-linux-amd64-1.95.0", "kind": "image", "runner": "ubuntu-24.04", "platform": "linux/amd64",
        "toolchain": "1.95.0", "flavour": "full", "plugins": ["goodbye", "hello"], "command": "cargo xtask image",
    });
    assert_eq!(rows(&tree, &[]), [expected]);
    assert!(!tree.root.join("target").exists(), "nothing is written");
}

#[test]
fn platforms_toolchains_and_sets_of_plugins() {
    let tree = Tree::small("matrix");
    tree.add_plugin("hello", "welcome");
    configure(
        &tree,
        "[workspace.metadata.image.matrix]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\ntoolchains = [\"1.95.0\", \"1.96.0\"]\n\
         runners = { \"linux/arm64\" = \"own-arm\" }\nflavours.full = {}\nflavours.polite = { without = [\"goodbye\"] }\n\
         flavours.short = { only = [\"hello\", \"goodbye\"] }\n",
    );
    check_rows(
        &tree,
        &[],
        expect![[r#"
            image-full-linux-amd64-1.95.0: cargo xtask image
            image-polite-linux-amd64-1.95.0: cargo xtask image --without goodbye
            image-short-linux-amd64-1.95.0: cargo xtask image --only hello,goodbye
            image-full-linux-amd64-1.96.0: cargo xtask image --toolchain 1.96.0
            image-polite-linux-amd64-1.96.0: cargo xtask image --toolchain 1.96.0 --without goodbye
            image-short-linux-amd64-1.96.0: cargo xtask image --toolchain 1.96.0 --only hello,goodbye
            image-full-linux-arm64-1.95.0: cargo xtask image
            image-polite-linux-arm64-1.95.0: cargo xtask image --without goodbye
            image-short-linux-arm64-1.95.0: cargo xtask image --only hello,goodbye
            image-full-linux-arm64-1.96.0: cargo xtask image --toolchain 1.96.0
            image-polite-linux-arm64-1.96.0: cargo xtask image --toolchain 1.96.0 --without goodbye
            image-short-linux-arm64-1.96.0: cargo xtask image --toolchain 1.96.0 --only hello,goodbye
        "#]],
    );
    let all = rows(&tree, &[]);
    assert_eq!((&all[1]["plugins"], &all[2]["plugins"]), (&json!(["hello", "welcome"]), &json!(["goodbye", "hello"])));
    assert_eq!((&all[0]["runner"], &all[6]["runner"]), (&json!("ubuntu-24.04"), &json!("own-arm")));
    let parts: Vec<Value> = ["1/3", "2/3", "3/3"].iter().flat_map(|part| rows(&tree, &["--partition", part])).collect();
    assert_eq!(parts.len(), all.len());
    assert!(all.iter().all(|row| parts.contains(row)));

    check_rows(
        &tree,
        &["--flavour", "short,full", "--platform", "linux/arm64", "--partition", "1/2"],
        expect![[r#"
            image-full-linux-arm64-1.95.0: cargo xtask image
            image-full-linux-arm64-1.96.0: cargo xtask image --toolchain 1.96.0
        "#]],
    );
    check_rows(
        &tree,
        &["--for", "check", "--platform", "linux/arm64"],
        expect![[r#"
            check-goodbye-linux-arm64-1.95.0: cargo xtask check goodbye
            check-hello-linux-arm64-1.95.0: cargo xtask check hello
            check-welcome-linux-arm64-1.95.0: cargo xtask check welcome
        "#]],
    );
    check_rows(
        &tree,
        &["--for", "test", "--platform", "linux/amd64"],
        expect![[r#"
            test-linux-amd64-1.95.0: cargo xtask test --require-containers
        "#]],
    );
}

#[test]
fn as_github_and_gitlab_want_it() {
    let tree = Tree::small("matrix-formats").env("GITHUB_OUTPUT", "");
    let run = tree.xtask(&["matrix", "--for", "test", "--format", "github"]);
    let line = "matrix={\"include\":[{\"id\":\"test-linux-amd64-1.95.0\",\"kind\":\"test\",\"runner\":\"ubuntu-24.04\",\
                \"platform\":\"linux/amd64\",\"toolchain\":\"1.95.0\",\"flavour\":\"\",\"plugins\":[\"goodbye\",\"hello\"],\
                \"command\":\"cargo xtask test --require-containers\"}]}\n";
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), format!("{line}empty=false\ncount=1\n").as_str()));
    let run = tree.xtask(&["matrix", "--partition", "2/2", "--format", "github"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), "matrix={\"include\":[]}\nempty=true\ncount=0\n"));
    expect![[r#"
            {
              "check-goodbye-linux-amd64-1.95.0": {
                "script": [
                  "cargo xtask check goodbye"
                ],
                "tags": [
                  "ubuntu-24.04"
                ]
              },
              "check-hello-linux-amd64-1.95.0": {
                "script": [
                  "cargo xtask check hello"
                ],
                "tags": [
                  "ubuntu-24.04"
                ]
              }
            }
    "#]]
    .assert_eq(&tree.xtask(&["matrix", "--for", "check", "--format", "gitlab"]).stdout);
    let run = tree.xtask(&["matrix", "--partition", "2/2", "--format", "gitlab"]);
    let nothing: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(nothing, json!({ "nothing-to-do": { "script": ["true"] } }));

    // What the job wrote before stays.
    tree.write("outputs", "before=1\n");
    let tree = tree.env("GITHUB_OUTPUT", "outputs");
    let run = tree.xtask(&["matrix", "--for", "test", "--format", "github"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "", ""));
    assert_eq!(tree.read("outputs"), format!("before=1\n{line}empty=false\ncount=1\n"));
    let tree = tree.env("GITHUB_OUTPUT", "none/outputs");
    check(
        &tree,
        &["matrix", "--format", "github"],
        expect![[r#"
            error: writing the outputs to none/outputs, which GITHUB_OUTPUT names: No such file or directory (os error 2)
        "#]],
    );
}

#[test]
fn what_the_table_may_not_say() {
    let tree = Tree::small("matrix-wrong");
    configure(
        &tree,
        "[workspace.metadata.image.matrix]\nplatforms = [\"linux/riscv64\"]\nrunners = { \"darwin\" = \"mac\" }\nflavours.Full = {}\n",
    );
    check(
        &tree,
        &["matrix", "--platform", "windows/amd64"],
        expect![[r#"
            error: 4 errors in the matrix
              - [workspace.metadata.image.matrix]: there is no platform `linux/riscv64`; there are linux/amd64, linux/arm64
              - [workspace.metadata.image.matrix]: there is no platform `darwin`; there are linux/amd64, linux/arm64
              - [workspace.metadata.image.matrix]: the flavour `Full` must have a name of lower case letters, digits and `-`
              - there is no platform `windows/amd64`; there are linux/amd64, linux/arm64
        "#]],
    );
    let tree = Tree::small("matrix-unknown");
    configure(
        &tree,
        "[workspace.metadata.image.matrix.flavours]\nfew = { only = [\"helo\"] }\nfewer = { without = [\"hello\", \"bye\"] }\n",
    );
    check(
        &tree,
        &["matrix"],
        expect![[r#"
            error: 2 errors in [workspace.metadata.image.matrix]
              - the flavour few: --only helo: there is no such plugin; did you mean `hello`?
              - the flavour fewer: --without bye: there is no such plugin; there are goodbye, hello
        "#]],
    );
    check(
        &Tree::small("matrix-flavour"),
        &["matrix", "--flavour", "full,fulll"],
        expect![[r#"
            error: --flavour fulll: there is no such flavour; there are full
        "#]],
    );
    let run = tree.xtask(&["matrix", "--partition", "0/3"]);
    assert_eq!(run.code, Some(2));
    let expected = "error: invalid value '0/3' for '--partition <M/N>': write M/N, such as 1/3, with M from 1 to N\n";
    assert!(run.stderr.starts_with(expected), "{}", run.stderr);
}

/// What a plan of each image of this very tree builds is what its row says.
#[test]
fn the_rows_of_this_tree_build_what_they_say() {
    let tree = Tree::real("matrix-real").without_engine();
    let rows = rows(&tree, &["--platform", "linux/amd64"]);
    let flavours: Vec<&Value> = rows.iter().map(|row| &row["flavour"]).collect();
    assert_eq!(flavours, ["full", "minimal"]);
    for row in &rows {
        let command = row["command"].as_str().expect("a command");
        let options = command.strip_prefix("cargo xtask image").expect("an image").split_whitespace();
        let args: Vec<&str> = ["plan", "--format", "json"].into_iter().chain(options).collect();
        let run = tree.xtask(&args);
        assert_eq!(run.code, Some(0), "{command}: {}", run.stderr);
        let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let names: Vec<&Value> =
            plan["plugins"].as_array().expect("plugins").iter().map(|plugin| &plugin["name"]).collect();
        assert_eq!(json!(names), row["plugins"]);
    }
}
