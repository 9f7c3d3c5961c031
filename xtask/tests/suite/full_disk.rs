//! A full disk: what could not be written is named, what was there is whole, and with room again it goes on.

use std::fs;

use crate::support::{Tree, run};
use camino::Utf8PathBuf;
use expect_test::{Expect, expect};
use serde_json::Value;
use walkdir::WalkDir;

/// A small disk in memory, in a tree's directory; unmounted when it is dropped.
struct Disk {
    dir: Utf8PathBuf,
}

impl Disk {
    fn mount(tree: &Tree) -> Disk {
        let dir = tree.root.join("disk");
        fs::create_dir(&dir).expect("a directory");
        run("mount", &["-t", "tmpfs", "-o", "size=4k", "tmpfs", dir.as_str()]);
        Disk { dir }
    }

    /// From now on there is room for so much more.
    fn leave(&self, kilobytes: u64) {
        let used = run("df", &["--output=used", "--block-size=1024", self.dir.as_str()]);
        let used: u64 = used.lines().last().expect("a number").trim().parse().expect("a number");
        let size = format!("remount,size={}k", used + kilobytes);
        run("mount", &["-o", &size, self.dir.as_str()]);
    }

    fn holds_a_part(&self) -> bool {
        let mut entries = WalkDir::new(&self.dir).into_iter().map(|entry| entry.expect("an entry"));
        entries.any(|entry| entry.path().extension().is_some_and(|extension| extension == "partial"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.dir).status();
    }
}

const ROOM: u64 = 1 << 20;

/// `image` fails, and from the last `begin` on says this; digests are masked.
fn check(tree: &Tree, disk: &Disk, args: &[&str], begin: &str, expected: Expect) {
    let run = tree.xtask(&[&["image", "--base", "scratch"], args].concat());
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", run.stderr);
    let said = &run.stderr[run.stderr.rfind(begin).unwrap_or_else(|| panic!("{}", run.stderr))..];
    let words = said.split_inclusive('/').map(|word| match word.split_once(':') {
        Some((name, rest)) if name.len() == 64 => format!("[DIGEST]:{rest}"),
        _ => word.to_owned(),
    });
    let mut said: String = words.collect();
    // Which files a root file system has is the machine's.
    if let Some((before, (_, after))) =
        said.split_once("/rootfs/").and_then(|(before, rest)| Some((before, rest.split_once(':')?)))
    {
        said = format!("{before}/rootfs/[FILE]:{after}");
    }
    expected.assert_eq(&said);
    assert!(!disk.holds_a_part());
}

fn digest(image: &Value) -> String {
    image["manifest_digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn under_the_target_dir() {
    let tree = Tree::small("full-disk").without_engine();
    let disk = Disk::mount(&tree);
    let tree = tree.env("CARGO_TARGET_DIR", disk.dir.as_str());
    check(
        &tree,
        &disk,
        &[],
        "error: ",
        expect![[r#"
        error: writing [ROOT]/disk/image/src/Cargo.lock: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
    "#]],
    );

    disk.leave(ROOM);
    assert_eq!(tree.xtask(&["plan", "--base", "scratch"]).code, Some(0));
    disk.leave(200);
    // Which program is the first to find no room is chance, and so is what it says.
    check(
        &tree,
        &disk,
        &[],
        "failed (",
        expect![[r#"
            failed (exit status: 101); see cargo's messages above
              - writing into [ROOT]/disk/image/cargo: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
        "#]],
    );

    disk.leave(ROOM);
    let first = tree.image(&["--base", "scratch"]);
    let archive = disk.dir.join("image/greeter.tar");
    let old = fs::read(&archive).expect("the archive");
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    assert_eq!(tree.xtask(&["build"]).code, Some(0));
    disk.leave(0);
    check(
        &tree,
        &disk,
        &[],
        "error: ",
        expect![[r#"
        error: writing [ROOT]/disk/image/blobs/sha256/[DIGEST]: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
    "#]],
    );
    disk.leave(400);
    check(
        &tree,
        &disk,
        &[],
        "error: ",
        expect![[r#"
            error: writing [ROOT]/disk/image/rootfs/[FILE]: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
        "#]],
    );
    assert!(!disk.dir.join("image/rootfs").exists(), "what fills a disk does not stay on it");
    disk.leave(400);
    check(
        &tree,
        &disk,
        &["--no-verify"],
        "error: ",
        expect![[r#"
        error: writing [ROOT]/disk/image/greeter.tar: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
    "#]],
    );
    assert!(fs::read(&archive).is_ok_and(|now| now == old), "the image that was there is whole");

    disk.leave(ROOM);
    assert_ne!(digest(&tree.image(&["--base", "scratch"])), digest(&first));
}

#[test]
fn under_an_output() {
    let tree = Tree::small("full-disk-output").without_engine();
    let disk = Disk::mount(&tree);
    let args = ["--output", "disk/copy.tar", "--output", "oci:disk/layout"];
    disk.leave(ROOM);
    tree.image(&[&["--base", "scratch"], &args[..]].concat());
    let files = || -> Vec<(Utf8PathBuf, Vec<u8>)> {
        let paths = WalkDir::new(&disk.dir).sort_by_file_name().into_iter().map(|entry| entry.expect("an entry"));
        let paths = paths.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path());
        let read = |path: std::path::PathBuf| (fs::read(&path).expect("a file"), path);
        let named = |path| Utf8PathBuf::from_path_buf(path).expect("a UTF-8 path");
        paths.map(read).map(|(content, path)| (named(path), content)).collect()
    };
    let before = files();

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    disk.leave(0);
    check(
        &tree,
        &disk,
        &args,
        "error: ",
        expect![[r#"
        error: writing disk/copy.tar: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
    "#]],
    );
    check(
        &tree,
        &disk,
        &args[2..],
        "error: ",
        expect![[r#"
        error: writing disk/layout/blobs/sha256/[DIGEST]: no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target directory, --output chooses another place
    "#]],
    );
    assert!(files() == before, "the outputs that were there are whole");

    disk.leave(ROOM);
    let image = tree.image(&[&["--base", "scratch"], &args[..]].concat());
    assert_eq!(fs::read(disk.dir.join("copy.tar")).ok(), fs::read(tree.image_dir().join("greeter.tar")).ok());
    let index: Value = serde_json::from_str(&tree.read("disk/layout/index.json")).expect("JSON");
    assert_eq!(index["manifests"][0]["digest"], digest(&image).as_str());
}
