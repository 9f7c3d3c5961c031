//! Records that do not fit: another SDK in the place of the host's, imports that nothing exports; and what `--inspect` shows.

use crate::support::{copy_dist, dir, dist, write_config};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SDK: &str = "libprovost_sdk.so";

/// Replaces bytes in a file wherever they stand; both have one length, so that nothing else moves.
fn replace(file: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = std::fs::read(file).expect("the file is there");
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{} holds no {from}", file.display());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    // As if it was built so: what is tried is not the seal.
    provost_record::seal::apply(&mut bytes, None).expect("it has a record");
    std::fs::write(file, bytes).expect("a temporary file");
}

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(dir.join("provost")).current_dir(dir).env_clear().args(args).output().expect("the host starts")
}

fn check(dir: &Path) -> Output {
    write_config(dir, "");
    run(dir, &["--config", "config.toml", "--check", "--prov", "file.prov"])
}

fn fails(output: &Output, expected: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn an_sdk_of_other_sources() {
    let dir = dir();
    copy_dist(dir.path());
    let source = record("libprovost_sdk.so").source;
    let other = "0".repeat(64);
    replace(&dir.path().join(SDK), &source, &other);
    let expected = format!(
        "\
error: the SDK is refused, and no plugin is loaded
  file                      field   have{space}  want
  the SDK beside this host  source  {other}  {source}
fix: host and plugins must be built together: `cargo xtask image`
",
        space = " ".repeat(60),
    );
    fails(&check(dir.path()), &expected);
    fails(&run(dir.path(), &["--inspect", "file.prov"]), &expected);
}

/// The dynamic linker itself ends the process, before the host's first instruction.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn an_sdk_of_another_build() {
    let dir = dir();
    copy_dist(dir.path());
    let anchor = record(SDK).anchor;
    // The name of its module stands in it however rustc mangles names.
    replace(&dir.path().join(SDK), &anchor, &anchor.replacen("3abi", "3abj", 1));
    let output = check(dir.path());
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(127), &b""[..]));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("provost_link_anchor"), "{message}");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_plugin_with_an_import_that_is_missing() {
    let dir = dir();
    copy_dist(dir.path());
    replace(&dir.path().join("file.prov"), "__rust_no_alloc_shim", "__rust_no_other_shim");
    let output = check(dir.path());
    fails(
        &output,
        &format!(
            "\
error: 1 of 1 plugin is refused, and none is loaded
  file       field    have{space}  want
  file.prov  imports  1 that nothing exports: __rustc::__rust_no_other_shim_is_unstable_v2  what the SDK and std export
fix: host and plugins must be built together: `cargo xtask image`
",
            space = " ".repeat(64),
        ),
    );
    let output = run(dir.path(), &["--inspect", "file.prov", "--format", "json"]);
    let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&shown["plugin"], &shown["comparison"]["differences"]), (&"file".into(), &Value::Array(Vec::new())));
    assert_eq!(shown["comparison"]["missing"]["count"], 1, "{shown}");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn what_is_inspected_is_not_judged() {
    for name in ["file.prov", "provost", SDK] {
        let output = run(&dist(), &["--inspect", name]);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
        let text = String::from_utf8(output.stdout).expect("text");
        let fields: Vec<&str> =
            text.lines().filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next()).collect();
        let expected =
            "file format plugin version sdk source rustc target profile flags anchor needed imports seal matches";
        assert_eq!(fields.join(" "), expected, "{text}");
    }
    fails(&run(&dist(), &["--inspect", "none"]), "error: reading none: No such file or directory (os error 2)\n");
}

/// Neither the tree's own flags nor the remaps of a build change anything; musl's need for a shared libc does.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn flags_that_change_nothing_are_not_in_the_record() {
    for name in ["file.prov", "provost", SDK] {
        let record = record(name);
        let expected = if record.target.ends_with("musl") { "-C target-feature=-crt-static" } else { "" };
        assert_eq!(record.flags, expected, "{name}");
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_file_that_is_too_large_is_not_read() {
    let dir = dir();
    let path = dir.path().join("disk.prov");
    let disk = std::fs::File::create(&path).expect("a temporary file");
    disk.set_len((1 << 30) + 1).expect("a file without blocks");
    let shown = path.display().to_string();
    let expected = format!("error: reading {shown}: more than 1073741824 bytes\n");
    fails(&run(&dist(), &["--inspect", &shown]), &expected);
}

fn record(name: &str) -> provost_record::Record {
    let bytes = std::fs::read(dist().join(name)).expect("the file is there");
    provost_record::inspect(&bytes).expect("it has a record").record
}
