//! `--with`: plugins from outside of the tree, from a directory or a git repository, in one build only.

use std::fs;

use crate::support::beside::{Beside, MANIFEST, SOURCE, git};
use crate::support::{Tree, check, run};
use expect_test::expect;
use serde_json::{Value, json};

/// Everything that a build may not change, by content.
fn state(tree: &Tree) -> String {
    git(&tree.root, &["add", "--all"]);
    git(&tree.root, &["status", "--porcelain"])
}

#[test]
fn a_repository_of_its_own_is_built_from_its_directory() {
    let tree = Tree::small("outside").without_engine();
    let beside = Beside::new(&tree);
    tree.write(".gitignore", "/target\n/xtask/path\n");
    tree.commit();
    let dir = beside.0.join("weather");
    assert_eq!(tree.xtask(&["new", "weather", "--path", dir.as_str()]).code, Some(0));
    let report = tree.image(&["--with", dir.as_str(), "--verify-reproducible"]);
    assert_eq!(report["verified"]["said"], "3 plugins loaded\n".trim());
    let plugin = &report["plan"]["plugins"][2];
    assert_eq!((&plugin["name"], &plugin["origin"]["source"]), (&json!("weather"), &json!(dir)));
    assert_eq!(state(&tree), "", "the tree stays as it is");
    assert!(tree.read("target/image/greeter.lock").contains("name = \"weather\""));
    assert!(tree.label("org.opencontainers.image.revision").ends_with("-dirty"), "it is in no commit of the tree");

    // The documents name it, without the path.
    let provenance = tree.read("target/image/greeter.provenance.json");
    let bill = tree.read("target/image/greeter.cdx.json");
    assert!(!provenance.contains(beside.0.as_str()) && !bill.contains(beside.0.as_str()));
    let provenance: Value = serde_json::from_str(&provenance).expect("JSON");
    let definition = &provenance["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["with"], "weather");
    let content = plugin["origin"]["content"].as_str().expect("a digest").trim_start_matches("sha256:").to_owned();
    assert_eq!(
        definition["internalParameters"]["plugins"][2],
        json!({ "name": "weather", "path": "plugins/weather", "content": { "sha256": content }, "origin": null })
    );
    assert!(bill.contains(&format!("\"sha256:{content}\"")));

    // The next build has it no more, and one with an edit has the edit.
    assert_eq!(tree.xtask(&["run"]).stdout, "tone = \"casual\"\ngoodbye\nhello\n");
    fs::write(dir.join("src/lib.rs"), SOURCE.replace("\"weather\"", "\"rain\"")).expect("its source");
    let run = tree.xtask(&["run", "--only", "hello", "--with", dir.as_str()]);
    assert_eq!(run.stdout, "tone = \"casual\"\nhello\nrain\n", "{}", run.stderr);
}

#[test]
fn a_revision_of_a_git_repository() {
    let tree = Tree::small("outside-git").without_engine();
    let beside = Beside::new(&tree);
    let (work, bare) = (beside.0.join("work"), beside.0.join("weather.git"));
    // Where the author had the tree's crates does not count.
    let dependencies =
        "[dependencies]\ngreeter-sdk = \"9\"\n\n[dev-dependencies]\ngreeter-test = { path = \"../far/test\" }\n";
    beside.write("work/Cargo.toml", &format!("{MANIFEST}\n{dependencies}"));
    tree.replace(
        "Cargo.toml",
        "[workspace.dependencies]",
        "[workspace.dependencies]\ngreeter-test = { path = \"greeter/test\" }",
    );
    tree.replace("Cargo.toml", "\"greeter/sdk\", ", "\"greeter/sdk\", \"greeter/test\", ");
    tree.write(
        "greeter/test/Cargo.toml",
        "[package]\nname = \"greeter-test\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    );
    tree.write("greeter/test/src/lib.rs", "");
    beside.write("work/src/lib.rs", SOURCE);
    run("git", &["init", "--quiet", work.as_str()]);
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message", "One"]);
    git(&work, &["tag", "v1"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    beside.write("work/src/lib.rs", &SOURCE.replace("\"weather\"", "\"storm\""));
    git(&work, &["commit", "--quiet", "--all", "--message", "Two"]);
    git(&work, &["branch", "storms"]);
    run("git", &["clone", "--quiet", "--bare", work.as_str(), bare.as_str()]);

    let said = |revision: &str| tree.xtask(&["run", "--only", "hello", "--with", &format!("{bare}@{revision}")]).stdout;
    assert_eq!(said("v1"), "tone = \"casual\"\nhello\nweather\n");
    assert_eq!(said("storms"), "tone = \"casual\"\nhello\nstorm\n");
    assert_eq!(said(&first), "tone = \"casual\"\nhello\nweather\n");
    let plan = tree.xtask(&["plan", "--base", "scratch", "--with", &format!("{bare}@v1")]);
    let line = format!("           weather 0.3.0 from {bare}@v1 ({first})\n");
    assert!(plan.stdout.contains(&line), "{}", plan.stdout);

    // A URL is public, a path of this machine is not.
    tree.image(&["--with", &format!("file://{bare}@v1")]);
    let provenance: Value = serde_json::from_str(&tree.read("target/image/greeter.provenance.json")).expect("JSON");
    let with = &provenance["predicate"]["buildDefinition"]["externalParameters"]["with"];
    assert_eq!(with, &json!(format!("file://{bare}@{first}")));

    for (source, expected) in [
        (format!("{bare}@v9"), format!("{bare} has no revision `v9`: name a branch, a tag or a commit\n")),
        (format!("{bare}/none@v1"), format!("fetching {bare}/none: `git clone --quiet --no-checkout -- ")),
    ] {
        let run = tree.xtask(&["build", "--with", &source]);
        let error = run.stderr.split_once("error: ").map(|(_, error)| error.to_owned()).unwrap_or_default();
        assert!(run.code == Some(1) && error.starts_with(&expected), "{}", run.stderr);
    }
}

#[test]
fn what_it_inherits_comes_from_its_own_workspace() {
    let tree = Tree::small("outside-inherits").without_engine();
    let beside = Beside::new(&tree);
    beside.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"weather\"]\n\n[workspace.package]\nversion = \"0.7.0\"\nedition = \"2024\"\n\n\
         [workspace.dependencies]\ngreeter-sdk = { git = \"https://example.org/greeter\" }\n\
         words = { path = \"weather/words\" }\n\n[workspace.lints.rust]\nunused = \"allow\"\n",
    );
    let inherits = "[package]\nname = \"weather\"\nversion.workspace = true\nedition.workspace = true\n\n\
        [lib]\ncrate-type = [\"cdylib\"]\n\n[dependencies]\ngreeter-sdk.workspace = true\n\
        words = { workspace = true, features = [\"wet\"] }\n\n[lints]\nworkspace = true\n\n\
        [profile.release]\nlto = true\n\n[patch.crates-io]\n";
    beside.write("weather/Cargo.toml", inherits);
    beside
        .write("weather/src/lib.rs", "fn greet() -> String {\n    words::word()\n}\n\ngreeter_sdk::export!(greet);\n");
    beside.write(
        "weather/words/Cargo.toml",
        "[package]\nname = \"words\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[features]\nwet = []\n",
    );
    beside.write(
        "weather/words/src/lib.rs",
        "pub fn word() -> String {\n    if cfg!(feature = \"wet\") { \"rain\".into() } else { \"sun\".into() }\n}\n",
    );
    let dir = beside.0.join("weather");
    let run = tree.xtask(&["run", "--with", dir.as_str()]);
    assert_eq!(run.stdout, "tone = \"casual\"\ngoodbye\nhello\nrain\n", "{}", run.stderr);
    let warning = "warning: the plugin weather: [patch], [profile] of its own workspace has no effect here; the tree's \
                   Cargo.toml decides\n";
    assert!(run.stderr.starts_with(warning), "{}", run.stderr);

    beside.write(
        "weather/Cargo.toml",
        &inherits.replace("version.w", "license.w").replace("words = {", "far = { path = \"../../far\" }\nnear = {"),
    );
    let error = tree.xtask(&["build", "--with", dir.as_str()]).stderr.replace(beside.0.as_str(), "[BESIDE]");
    let parent = beside.0.parent().expect("a parent").as_str();
    expect![[r#"
        error: 3 errors in [BESIDE]/weather/Cargo.toml
          - `license` is inherited, and [workspace.package] does not have it; write its value out
          - the path dependency `far` is neither in the plugin's directory nor in this tree ([PARENT]/far); depend on it by version or git
          - `near` is inherited, and [workspace.dependencies] does not have it; write its value out
    "#]]
    .assert_eq(&error.replace(parent, "[PARENT]"));
}

#[test]
fn one_in_place_of_another() {
    let tree = Tree::small("outside-instead").without_engine();
    let beside = Beside::new(&tree);
    beside.write(
        "hello/Cargo.toml",
        &format!("{}\n[dependencies]\ngreeter-sdk = \"1\"\n", MANIFEST.replace("weather", "hello")),
    );
    beside.write("hello/src/lib.rs", SOURCE);
    let dir = beside.0.join("hello");
    let run = tree.xtask(&["run", "--with", dir.as_str()]);
    let expected = format!(
        "error: --with {dir}: plugins/hello exists already; add `--without hello` to build this one in its place\n"
    );
    assert_eq!((run.code, run.stderr), (Some(1), expected));
    let run = tree.xtask(&["run", "--with", dir.as_str(), "--without", "hello"]);
    assert_eq!(run.stdout, "tone = \"casual\"\ngoodbye\nweather\n", "{}", run.stderr);
}

#[test]
fn what_is_no_plugin_from_outside() {
    let tree = Tree::small("outside-wrong");
    let beside = Beside::new(&tree);
    let check = |args: &[&str], expected| check(&tree, &[&["build"], args].concat(), expected);
    check(
        &["--with", "plugins/hello"],
        expect![[r#"
            error: [ROOT]/plugins/hello belongs to this tree already
        "#]],
    );
    tree.write("elsewhere/Cargo.toml", "[workspace]\n");
    check(
        &["--with", "elsewhere"],
        expect![[r#"
            error: [ROOT]/elsewhere/Cargo.toml has no `[package]` with a `name`: it is no plugin
        "#]],
    );
    tree.write("elsewhere/Cargo.toml", MANIFEST);
    tree.write("elsewhere/src/lib.rs", SOURCE);
    check(
        &["--with", "elsewhere"],
        expect![[r#"
            error: elsewhere/Cargo.toml: a plugin must depend on the SDK; write `greeter-sdk = { workspace = true }` under `[dependencies]`
        "#]],
    );
    let run = tree.xtask(&["build", "--with", beside.0.join("none").as_str()]);
    let expected = format!(
        "error: invalid value '{}/none' for '--with <DIR|GIT@REV>': there is no such file or directory, and it is neither a git \
         repository with a revision (URL@REVISION) nor a crate with a version (NAME@VERSION)\n\nFor more information, try \
         '--help'.\n",
        beside.0
    );
    assert_eq!((run.code, run.stderr), (Some(2), expected));
    // Nothing of a plugin from outside is asked of the tree.
    assert!(!tree.root.join("plugins/weather").exists());
}
