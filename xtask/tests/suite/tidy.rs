//! What has to agree within the repository, and that its own words are true.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{Tree, plugins, repository};
use walkdir::WalkDir;

/// The modules of the host, each of which uses only those before it.
const HOST_MODULES: [&str; 8] = ["ground", "config", "telemetry", "plugins", "providers", "http", "cli", "main"];

/// The same of `xtask/plan/src` and then of `xtask/src`; docs/architecture.md says what is in each.
const XTASK_MODULES: [&str; 22] = [
    "support",
    "elf",
    "oci",
    "containers",
    "source",
    "cargo",
    "outside",
    "base",
    "environment",
    "plan",
    "compile",
    "assemble",
    "verify",
    "reproduce",
    "attest",
    "publish",
    "pipeline",
    "check",
    "commands",
    "cli",
    "lib",
    "main",
];

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// What stands between `before` and `after`, wherever it does.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
}

/// The crates of the host with these plugins, and their features.
fn crates(plugins: &[String]) -> BTreeSet<String> {
    let plugins = plugins.iter().map(String::as_str);
    let packages = ["provost", "provost-sdk"].into_iter().chain(plugins).flat_map(|name| ["--package", name]);
    let tree = ["tree", "--locked", "--quiet", "--prefix", "none", "--edges", "normal,build", "--format", "{p} {f}"];
    let output =
        Command::new("cargo").args(tree).args(packages).current_dir(repository()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

/// What other features are called for is compiled once more, and changes the layers of all.
#[test]
fn shared_crates_are_the_same_for_every_plugin() {
    let plugins = plugins();
    let all = crates(&plugins);
    let without: Vec<BTreeSet<String>> = std::iter::once(crates(&[])).chain(plugins.chunks(1).map(crates)).collect();
    let other: Vec<&String> = without.iter().flatten().filter(|found| !all.contains(*found)).collect();
    assert_eq!(
        other,
        <[&String; 0]>::default(),
        "their features are turned on by a plugin: host/sdk/Cargo.toml can do it for all"
    );
}

#[test]
fn one_compiler_is_pinned() {
    let toolchain = read("rust-toolchain.toml");
    let channel = between(&toolchain, "channel = \"", "\"").next().expect("a channel");
    let manifest = read("Cargo.toml");
    let minimum = between(&manifest, "rust-version = \"", "\"").next().expect("a rust-version");
    assert!(channel.starts_with(minimum), "{channel} and {minimum}");
    let builder = read("docker/builder.Dockerfile");
    assert!(builder.contains(&format!("FROM rust:{channel}-")), "{builder}");
    // Else tests would be left out for want of an image.
    for file in ["xtask/Cargo.toml", "xtask/tests/suite/support/engine.rs"] {
        let text = read(file);
        let mut standins = between(&text, "standin/rust-gnu:", "\"");
        assert!(standins.all(|release| release == channel), "{file} names another stand-in than rust-gnu:{channel}");
    }
}

#[test]
fn images_are_pinned_by_digest() {
    for file in ["docker/builder.Dockerfile", "docker/deploy.Dockerfile"] {
        let text = read(file);
        let mut from = text.lines().filter_map(|line| line.strip_prefix("FROM "));
        assert!(from.clone().count() > 0 && from.all(|image| image.contains("@sha256:")), "{file}");
    }
}

#[test]
fn the_plugin_that_is_shown_is_the_example() {
    let (page, example) = (read("docs/plugins.md"), read("examples/log/src/lib.rs"));
    let shown = between(&page, "```rust\n", "```").next().expect("a plugin on the page");
    let (_, code) = example.split_once("\n\n").expect("a first line that says what it is");
    let (code, _) = code.split_once("\n#[cfg(test)]").expect("its tests");
    assert_eq!(shown, code);
}

#[test]
fn every_command_in_the_docs_exists() {
    let tree = Tree::small("commands");
    let own = ["README.md", "CONTRIBUTING.md"].map(|path| Source { path: path.to_owned(), text: read(path) });
    for Source { path: page, text } in own.into_iter().chain(sources("docs")) {
        for command in between(&text, "cargo xtask ", "\n") {
            let word: String = command.chars().take_while(char::is_ascii_lowercase).collect();
            assert_eq!(tree.xtask(&[&word, "--help"]).code, Some(0), "`cargo xtask {word}` in {page}");
        }
    }
}

/// docs/architecture.md calls these the only places.
#[test]
fn some_things_have_one_place() {
    let places = [
        ("Invocation::new(\"skopeo\"", "containers/skopeo.rs"),
        ("Invocation::new(self.program,", "containers/engine/mod.rs"),
        ("image.join(", "support/paths.rs"),
        ("duct::", "support/command.rs"),
        ("Shell::new(", "support/command.rs"),
        ("process::Command", "support/command.rs"),
        ("Sha256::", "oci/digest.rs"),
    ];
    for (code, place) in places {
        let all = sources("xtask/plan/src").chain(sources("xtask/src"));
        let mut found: Vec<String> = all.filter(|file| file.text.contains(code)).map(|file| file.path).collect();
        found.dedup();
        assert_eq!(found, [place], "`{code}` is in another file too");
    }
}

/// A file.
struct Source {
    /// Relative to the directory of the sources.
    path: String,
    text: String,
}

fn sources(dir: &str) -> impl Iterator<Item = Source> {
    let root = repository().join(dir);
    let entries = WalkDir::new(&root).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry").into_path());
    entries.filter(|path| path.is_file()).map(move |path| {
        let path = path.strip_prefix(&root).expect("below it").to_string_lossy().into_owned();
        Source { text: read(&format!("{}/{path}", root.strip_prefix(repository()).expect("in the tree"))), path }
    })
}

/// Else nobody could say where a stage begins, or try one without the others.
#[test]
fn modules_use_only_those_before_them() {
    assert_eq!(upwards("xtask/plan/src", &XTASK_MODULES), "", "a module uses one that comes after it");
    assert_eq!(upwards("xtask/src", &XTASK_MODULES), "", "a module uses one that comes after it");
    assert_eq!(upwards("host/src", &HOST_MODULES), "", "a module uses one that comes after it");
}

/// The lines on which a module uses one that comes after it.
fn upwards(dir: &str, modules: &[&str]) -> String {
    let place = |module: &str| {
        let found = modules.iter().position(|known| *known == module);
        found.unwrap_or_else(|| panic!("the module {module} of {dir} has no place in the order"))
    };
    let mut upwards = String::new();
    for Source { path, text } in sources(dir) {
        let module = path.split('/').next().unwrap_or_default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
                if place(&used) > place(module.trim_end_matches(".rs")) {
                    upwards += &format!("{dir}/{path}:{}: {}\n", number + 1, line.trim());
                }
            }
        }
    }
    upwards
}
