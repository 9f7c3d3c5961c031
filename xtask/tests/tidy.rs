//! What has to agree within the repository, and that its own words are true.

mod support;

use std::fs;

use support::{Tree, repository};

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// What stands between `before` and `after`, wherever it does.
fn between<'a>(text: &'a str, before: &'a str, after: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(after).next())
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
    for file in ["xtask/Cargo.toml", "xtask/tests/support/runtime.rs"] {
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
fn the_readmes_plugin_is_the_example() {
    let (readme, example) = (read("README.md"), read("examples/log/src/lib.rs"));
    let shown = between(&readme, "```rust\n", "```").next().expect("a plugin in the README");
    let (_, code) = example.split_once("\n\n").expect("a first line that says what it is");
    assert_eq!(shown, code);
}

#[test]
fn every_command_in_the_books_exists() {
    let tree = Tree::small("commands");
    for book in ["README.md", "docs/architecture.md", "docs/abi.md"] {
        let text = read(book);
        for command in between(&text, "cargo xtask ", "\n") {
            let word: String = command.chars().take_while(char::is_ascii_lowercase).collect();
            assert_eq!(tree.xtask(&[&word, "--help"]).code, Some(0), "`cargo xtask {word}` in {book}");
        }
    }
}
