//! A plugin of the same sources that another compiler made, really compiled: the host refuses it before it loads it.

mod support;

use std::fs;
use std::process::Command;

use support::build::{Build, REMEDY, lines, print};
use support::{Tree, repository};

/// What `file` and the SDK come to when they are compiled by another toolchain, with the tree's own flags.
fn by_toolchain(tree: &Tree, toolchain: &'static str) -> Build {
    let target = repository().join("target/test").join(toolchain);
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--locked", "--quiet", "-p", "provost-sdk", "-p", "file"]);
    command.args(["--target-dir", target.as_str()]).current_dir(&tree.root).env("RUSTUP_TOOLCHAIN", toolchain);
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dist = tree.root.join("target").join(toolchain);
    fs::create_dir_all(&dist).expect("a folder");
    fs::copy(target.join("release/libfile.so"), dist.join("file.prov")).expect("the plugin was built");
    Build::of(toolchain, dist)
}

#[test]
fn a_plugin_of_a_nightly_compiler() {
    let tree = Tree::real("nightly");
    let (own, nightly) = (Build::make(&tree, "pinned"), by_toolchain(&tree, "nightly"));
    assert_eq!((&nightly.record.source, &nightly.record.target), (&own.record.source, &own.record.target));
    assert_eq!(nightly.record.profile, own.record.profile);

    let both = lines(&nightly.record.rustc).zip(lines(&own.record.rustc));
    let differing: Vec<&str> = both.filter(|(have, want)| have.1 != want.1).map(|((name, _), _)| name).collect();
    assert!(differing.starts_with(&["rustc", "commit-hash", "commit-date", "release"]), "{differing:?}");
    let row = |name: &str| format!("[{name} OF nightly] [{name} OF pinned]\n");
    let expected = format!(
        "error: 1 of 1 plugin is refused, and none is loaded\nfile field have want\n\
        @/nightly/file.prov rustc {}anchor {}{REMEDY}\n",
        differing.into_iter().map(row).collect::<String>(),
        row("ANCHOR")
    );
    assert_eq!(own.check(&nightly), (Some(1), expected));
    print(1, &nightly);
}
