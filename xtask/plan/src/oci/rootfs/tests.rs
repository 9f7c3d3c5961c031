//! Layers laid over each other, and layers that try to write outside.

use camino::Utf8Path;

use std::fs;

use crate::oci::rootfs::Tree;
use crate::support::test_dir::TestDir;

/// `path/` is a directory, `path -> target` a link, anything else a file that holds its own path.
fn layer(test: &TestDir, name: &str, entries: &[&str]) -> camino::Utf8PathBuf {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        if let Some((path, target)) = entry.split_once(" -> ") {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target).expect("a link");
            continue;
        }
        let content = if entry.ends_with('/') { "" } else { entry };
        header.set_entry_type(if entry.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, entry, content.as_bytes()).expect("an entry");
    }
    test.write(name, tar.into_inner().expect("a tar"));
    test.path().join(name)
}

#[test]
fn layers_lie_over_each_other() {
    let test = TestDir::default();
    let mut tree = Tree::default();
    let base =
        ["./", "./usr/", "./usr/lib/", "./usr/lib/libc.so.6", "./lib -> usr/lib", "etc/", "etc/gone", "loop -> loop"];
    tree.add_layer(&layer(&test, "one", &base)).expect("a layer");
    tree.add_layer(&layer(&test, "two", &["etc/.wh.gone", "opt/", "opt/old"])).expect("a layer");
    tree.add_layer(&layer(&test, "three", &["opt/.wh..wh..opq", "opt/new"])).expect("a layer");

    let read = |path: &str| tree.read(Utf8Path::new(path)).expect("no error").map(|bytes| bytes.len());
    assert_eq!(tree.resolve("lib/x86/libm.so".into()).expect("a path"), "usr/lib/x86/libm.so");
    assert_eq!(read("/lib/libc.so.6"), Some("./usr/lib/libc.so.6".len()));
    assert_eq!((read("etc/gone"), read("opt/old"), read("opt/new")), (None, None, Some(7)));
    assert!(tree.has_dir("etc".into()) && tree.has_dir("opt".into()) && !tree.has_dir("lib".into()));
    let root = test.path().join("root");
    tree.write_to(&root).expect("a root file system");
    assert_eq!(fs::read_link(root.join("lib")).expect("a link").to_str(), Some("usr/lib"));
    assert!(root.join("opt/new").is_file() && !root.join("opt/old").exists());
    let error = tree.resolve("loop/file".into()).expect_err("a loop");
    assert_eq!(error.to_string(), "the base image's symlinks at /loop form a loop");
}

#[test]
fn no_layer_reaches_outside() {
    let test = TestDir::default();
    let out = test.path().join("out");
    for kept in ["absolute", "link", "parent"] {
        test.write(&format!("out/{kept}"), "kept");
    }
    let evil = [
        format!("{out}/.wh.absolute"),
        format!("way -> {out}"),
        "way/.wh.link".to_owned(),
        "way/new".to_owned(),
        "../../out/.wh.parent".to_owned(),
        "/.wh..wh..opq".to_owned(),
    ];
    let mut tree = Tree::default();
    // The tar crate refuses to write such paths, so the headers are filled by hand.
    let mut tar = tar::Builder::new(Vec::new());
    for entry in &evil {
        let (path, target) = entry.split_once(" -> ").unwrap_or((entry, ""));
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        let kind = if target.is_empty() { tar::EntryType::Regular } else { tar::EntryType::Symlink };
        header.set_entry_type(kind);
        let fields = header.as_gnu_mut().expect("a GNU header");
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        tar.append(&header, std::io::empty()).expect("an entry");
    }
    test.write("evil.tar", tar.into_inner().expect("a tar"));
    tree.add_layer(&test.path().join("evil.tar")).expect("a layer");
    tree.write_to(&test.path().join("root/of/it")).expect("a root file system");
    let entries = fs::read_dir(&out).expect("a directory").map(|entry| entry.expect("an entry").file_name());
    let mut left: Vec<_> = entries.collect();
    left.sort();
    assert_eq!(left, ["absolute", "link", "parent"]);
}
