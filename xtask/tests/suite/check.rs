//! `cargo xtask check`: errors that are planted in good plugins are found, all of them in one run, and nothing else is. What the real
//! host says of a plugin is checked by `.ci/newcomer`.

use std::collections::BTreeSet;

use crate::support::Tree;
use expect_test::expect;
use serde_json::Value;

fn codes(errors: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let errors = errors.as_array().expect("errors").iter();
    errors.map(|error| (text(&error["plugin"]), text(&error["code"]))).collect()
}

/// In good plugins nothing is found; what cargo and the host say is shown too.
#[test]
fn nothing_is_wrong_with_good_plugins_and_everything_with_bad_ones() {
    let tree = Tree::small("check").without_engine();
    assert_eq!(tree.xtask(&["new", "good"]).code, Some(0));
    let run = tree.xtask(&["check"]);
    assert_eq!(run.code, Some(0), "{}\n{}", run.stdout, run.stderr);
    assert!(run.stdout.ends_with("3 plugins: all is right\n"), "{}", run.stdout);

    // Each in a plugin of its own, but for those that make one that cannot be compiled.
    let planted = |name: &str| {
        assert_eq!(tree.xtask(&["new", name]).code, Some(0));
        format!("plugins/{name}")
    };
    let edit = |path: String, from: &str, to: &str| tree.replace(&path, from, to);
    let append = |path: String, text: &str| tree.write(&path, &format!("{}{text}", tree.read(&path)));

    let own = planted("manifests");
    append(format!("{own}/Cargo.toml"), "\n[workspace]\n\n[profile.release]\npanic = \"abort\"\n\n[patch.crates-io]\n");
    edit(format!("{own}/Cargo.toml"), "cdylib", "rlib");
    edit(format!("{own}/Cargo.toml"), "greeter-sdk.workspace = true", "far = { path = \"../../../far\" }");
    append(
        format!("{own}/Cargo.toml"),
        "\n[package.metadata.greeter]\nassets = [\"none\"]\n\n[build-dependencies]\nureq = \"3\"\n",
    );
    let taken = planted("taken");
    edit(format!("{taken}/Cargo.toml"), "name = \"taken\"", "name = \"greeter\"");
    tree.write("plugins/broken/Cargo.toml", "[package\n");
    let files = planted("files");
    edit(format!("{files}/src/lib.rs"), "greeter_sdk::export!(greet);\n", "");
    append(
        format!("{files}/src/lib.rs"),
        "\n#[global_allocator]\nstatic A: std::alloc::System = std::alloc::System;\npub const WORDS: &str = include_str!(\"../../../Cargo.lock\");\n\
         pub fn end() { std::process::exit(1) }\n#[test]\nfn fails() { let unused = 1; panic!() }\n",
    );
    tree.write(
        &format!("{files}/build.rs"),
        "fn main() {\n    let _ = std::process::Command::new(\"curl\").status();\n}\n",
    );
    let unformatted = planted("unformatted");
    edit(format!("{unformatted}/src/lib.rs"), "fn greet()", "fn  greet()");

    let run = tree.xtask(&["check", "--format", "json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let found: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let errors: BTreeSet<_> = codes(&found["errors"]).into_iter().collect();
    let expected = [
        ("plugins/broken", "manifest"),
        ("plugins/files", "allocator"),
        ("plugins/files", "build"),
        ("plugins/files", "build-network"),
        ("plugins/files", "clippy"),
        ("plugins/files", "exit"),
        ("plugins/files", "export"),
        ("plugins/files", "format"),
        ("plugins/files", "include"),
        ("plugins/files", "tests"),
        ("plugins/manifests", "assets"),
        ("plugins/manifests", "build-network"),
        ("plugins/manifests", "crate-type"),
        ("plugins/manifests", "patch"),
        ("plugins/manifests", "path-dependency"),
        ("plugins/manifests", "profile"),
        ("plugins/manifests", "sdk"),
        ("plugins/manifests", "workspace"),
        ("plugins/taken", "name"),
        ("plugins/unformatted", "format"),
    ];
    let expected = expected.map(|(plugin, code)| (plugin.to_owned(), code.to_owned()));
    assert_eq!(errors, BTreeSet::from(expected), "{}", run.stdout);
    // The others are built all the same.
    let built: Vec<&Value> =
        found["plugins"].as_array().expect("plugins").iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(built, ["good", "goodbye", "hello", "unformatted"]);
}

/// All that do not compile are found in one run, and the rest is built without them.
#[test]
fn every_plugin_that_does_not_compile_is_named() {
    let tree = Tree::small("check-broken").without_engine();
    for name in ["first", "second"] {
        tree.add_plugin("hello", name);
        tree.replace(&format!("plugins/{name}/src/lib.rs"), "greeter_sdk::export!(", "greeter_sdk::exports!(");
    }
    let run = tree.xtask(&["check", "--format", "json"]);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let found: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let errors = found["errors"].as_array().expect("errors").iter().filter(|error| error["code"] == "build");
    let messages: Vec<&str> = errors.map(|error| error["message"].as_str().expect("text")).collect();
    assert_eq!(
        messages,
        ["first", "second"]
            .map(|name| format!("compiling the plugin {name} (plugins/{name}) failed; see cargo's messages above"))
    );
    let built: Vec<&Value> =
        found["plugins"].as_array().expect("plugins").iter().map(|plugin| &plugin["name"]).collect();
    assert_eq!(built, ["goodbye", "hello"]);
}

#[test]
fn what_keeps_it_from_checking_is_another_exit_code() {
    let tree = Tree::small("check-not");
    let run = tree.xtask(&["check", "helo"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
    expect!["error: helo: there is no such plugin; did you mean `hello`?\n"].assert_eq(&run.stderr);
    let run = tree.xtask(&["check", "--explain", "sdk"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    expect!["A plugin depends on the SDK, the crate that host and plugins share.\n"].assert_eq(&run.stdout);
    let run = tree.xtask(&["check", "--explain", "skd"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.starts_with("error: invalid value 'skd' for '--explain <CODE>'"), "{}", run.stderr);
}

/// Crates of the tree stand for those of the registry, which have the same names.
#[test]
fn what_crates_mean_for_the_others() {
    let tree = Tree::small("check-crates").without_engine();
    tree.replace("Cargo.toml", "exclude = [", "exclude = [\"crates\", ");
    let add = |dir: &str, name: &str, version: &str| {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2024\"\n");
        tree.write(&format!("crates/{dir}/Cargo.toml"), &manifest);
        tree.write(&format!("crates/{dir}/src/lib.rs"), "");
        format!("{name} = {{ path = \"../../crates/{dir}\" }}\n")
    };
    let shared =
        [add("tokio", "tokio", "1.0.0"), add("rand", "rand", "0.9.0"), add("words", "words", "1.0.0")].concat();
    tree.write("crates/words/Cargo.toml", &format!("{}[features]\nloud = []\n", tree.read("crates/words/Cargo.toml")));
    let loud = "words = { path = \"../../crates/words\", features = [\"loud\"] }\n".to_owned();
    let sdk = tree.read("greeter/sdk/Cargo.toml");
    tree.write("greeter/sdk/Cargo.toml", &format!("{sdk}\n[dependencies]\n{shared}"));
    let own = [
        add("old-tokio", "tokio", "0.2.0"),
        add("old-rand", "rand", "0.8.0"),
        add("ssl", "openssl-sys", "0.9.0"),
        loud,
    ];
    tree.replace("plugins/hello/Cargo.toml", "[dependencies]\n", &format!("[dependencies]\n{}", own.concat()));
    let found = |args: &[&str]| -> Value {
        let run = tree.xtask(&[&["check", "--format", "json"], args].concat());
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        serde_json::from_str(&run.stdout).expect("JSON")
    };
    let all = found(&["hello"]);
    let message = |list: &str, code: &str| {
        let list = all[list].as_array().expect("a list").iter();
        list.filter(|one| one["code"] == code).map(|one| one["message"].as_str().expect("text")).collect::<Vec<_>>()
    };
    assert_eq!(
        message("errors", "tokio"),
        ["plugins/hello: tokio 0.2.0 is not the SDK's tokio 1.0.0: use `greeter_sdk::tokio`"]
    );
    assert_eq!(
        message("notes", "duplicate"),
        [
            "plugins/hello: rand 0.8.0 beside the SDK's rand 0.9.0: both are compiled, and its layer has a copy of its own"
        ]
    );
    assert_eq!(
        message("notes", "system-package"),
        [
            "plugins/hello: openssl-sys 0.9.0 needs a library of the system: add libssl-dev (Debian) or openssl-dev (Alpine) to \
          docker/builder.Dockerfile"
        ]
    );

    assert_eq!(message("notes", "features"), ["plugins/hello: turns on loud of words 1.0.0 for everybody"]);

    let goodbye = tree.read("plugins/goodbye/src/lib.rs");
    tree.write(
        "plugins/goodbye/src/lib.rs",
        &format!(
            "{goodbye}\n#[used]\n#[unsafe(link_section = \".init_array\")]\nstatic INIT: extern \"C\" fn() = init;\n\n\
             extern \"C\" fn init() {{\n    std::process::exit(4)\n}}\n"
        ),
    );
    let errors = codes(&found(&["goodbye"])["errors"]);
    assert!(errors.contains(&("plugins/goodbye".to_owned(), "load".to_owned())), "{errors:?}");

    tree.replace(
        "plugins/goodbye/Cargo.toml",
        "[dependencies]\n",
        "[dependencies]\nrand = { path = \"../../crates/rand\", version = \"7\" }\n",
    );
    let errors = codes(&found(&["goodbye"])["errors"]);
    assert!(errors.contains(&(String::new(), "resolve".to_owned())), "{errors:?}");
}
