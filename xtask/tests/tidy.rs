//! What has to agree within the repository, and that its own words are true.

mod support;

use std::fs;

use support::{Tree, repository};
use walkdir::WalkDir;

/// The rooms of `xtask/src`, each of which uses only those before it; docs/architecture.md says what is in each.
const ROOMS: [&str; 19] = [
    "support",
    "elf",
    "oci",
    "containers",
    "source",
    "cargo",
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
    "commands",
    "cli",
    "main",
];

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

/// Else nobody could say where a stage begins, or try one without the others.
#[test]
fn rooms_use_only_those_before_them() {
    let sources = repository().join("xtask/src");
    let place = |room: &str| {
        ROOMS.iter().position(|known| *known == room).unwrap_or_else(|| panic!("the room {room} has no place in ROOMS"))
    };
    let mut upwards = String::new();
    for entry in WalkDir::new(&sources).sort_by_file_name() {
        let path = entry.expect("an entry").into_path();
        let inside = path.strip_prefix(&sources).expect("below it").to_string_lossy().into_owned();
        let Some(room) = inside.split('/').next().map(|room| room.trim_end_matches(".rs")).filter(|_| path.is_file())
        else {
            continue;
        };
        let text = read(&format!("xtask/src/{inside}"));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for used in line.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
                if place(&used) > place(room) {
                    upwards += &format!("{inside}:{}: {}\n", number + 1, line.trim());
                }
            }
        }
    }
    assert_eq!(upwards, "", "a room uses one that comes after it");
}
