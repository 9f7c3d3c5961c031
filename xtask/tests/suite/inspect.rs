//! ABI records: what `inspect` shows of files and of images, and imports that nothing exports.

use std::fs;
use std::io::Read;

use crate::support::{Tree, check};
use camino::Utf8Path;
use expect_test::expect;
use flate2::read::MultiGzDecoder;
use serde_json::Value;

#[test]
fn inspect_shows_the_record_of_a_plugin() {
    let tree = Tree::small("inspect-one");
    assert_eq!(tree.xtask(&["build"]).code, Some(0));
    let run = tree.xtask(&["inspect", "target/image/dist/hello.plug", "--format", "json"]);
    let files: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!((&files[0]["plugin"], &files[0]["version"]), (&"hello".into(), &"0.1.0".into()));
    let run = tree.xtask(&["inspect", "target/image/dist/hello.plug"]);
    assert!(run.stdout.lines().any(|line| line.split_whitespace().eq(["plugin", "hello"])), "{}", run.stdout);

    let run = tree.xtask(&["inspect", "Cargo.toml"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    expect![[r#"
        error: Cargo.toml: it is not an ELF file
    "#]]
    .assert_eq(&run.stderr);
    let run = tree.xtask(&["inspect", "nowhere.plug"]);
    expect![[r#"
        error: reading nowhere.plug: No such file or directory (os error 2)
    "#]]
    .assert_eq(&run.stderr);
}

#[test]
fn further_files_are_compared_with_the_first() {
    let tree = Tree::small("inspect-several");
    assert_eq!(tree.xtask(&["build"]).code, Some(0));
    let dist = Utf8Path::new("target/image/dist");
    let run = tree.xtask(&["inspect", dist.join("greeter").as_str(), dist.join("libgreeter_sdk.so").as_str()]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(run.stdout.lines().last(), Some("matches  target/image/dist/greeter"));
}

/// What `inspect` says of each file of an archive: the file, and whether it fits.
fn judgements(tree: &Tree, archive: &str) -> Vec<(String, Value)> {
    let run = tree.xtask(&["inspect", archive, "--format", "json"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    let files: Vec<Value> = serde_json::from_str(&run.stdout).expect("JSON");
    let judgement = |file: &Value| (file["file"].as_str().expect("a path").to_owned(), file["comparison"].clone());
    files.iter().map(judgement).collect()
}

#[test]
fn of_an_image_every_file_with_a_record_is_compared_with_its_host() {
    let tree = Tree::small("inspect-image").without_engine();
    tree.image(&["--base", "scratch", "--output", "oci:layout"]);
    let archive = "target/image/greeter.tar";
    let fits = serde_json::json!({ "with": "/opt/greeter/greeter", "differences": [], "missing": null });
    let path = |name: &str| format!("/opt/greeter/{name}");
    let expected = |hello: &Value| {
        [
            (path("goodbye.plug"), fits.clone()),
            (path("greeter"), Value::Null),
            (path("hello.plug"), hello.clone()),
            (path("libgreeter_sdk.so"), fits.clone()),
        ]
    };
    assert_eq!(judgements(&tree, archive), expected(&fits));
    assert_eq!(judgements(&tree, "layout"), expected(&fits));

    // As `docker save` would write it, with a plugin that another SDK was built for.
    let before = r#""plugin":"hello","version":"0.1.0","sdk":"1.0.0","source":"small""#;
    let after = r#""plugin":"hello","version":"0.1.0","sdk":"1.0.0","source":"other""#;
    tree.write_bytes("changed.tar", &saved(&tree.root.join(archive), before, after));
    let differs = serde_json::json!({
        "with": "/opt/greeter/greeter",
        "differences": [{ "field": "source", "have": "other", "want": "small" }],
        "missing": null,
    });
    assert_eq!(judgements(&tree, "changed.tar"), expected(&differs));
    let run = tree.xtask(&["inspect", "changed.tar"]);
    let shown: Vec<&str> = run.stdout.lines().skip_while(|line| !line.ends_with("hello.plug")).collect();
    let table: Vec<&str> = shown.into_iter().skip_while(|line| !line.starts_with("differs")).take(3).collect();
    assert_eq!(table, ["differs  /opt/greeter/greeter", "  field   have   want", "  source  other  small"]);
}

/// An archive's image with plain layers, in which some bytes are others of the same number.
fn saved(archive: &Utf8Path, from: &str, to: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut changes = 0;
    for entry in tar::Archive::new(fs::File::open(archive).expect("the archive")).entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("an entry");
        if bytes.starts_with(&[0x1f, 0x8b]) {
            let packed = std::mem::take(&mut bytes);
            MultiGzDecoder::new(packed.as_slice()).read_to_end(&mut bytes).expect("a gzipped layer");
        }
        if let Some(at) = bytes.windows(from.len()).position(|window| window == from.as_bytes()) {
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            changes += 1;
        }
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, path, bytes.as_slice()).expect("an entry");
    }
    assert_eq!(changes, 1, "{from} stands in one layer");
    tar.into_inner().expect("a tar")
}

#[test]
fn archives_of_something_else() {
    let tree = Tree::small("inspect-other");
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    tar.append_data(&mut header, "empty", std::io::empty()).expect("an entry");
    tree.write_bytes("other.tar", &tar.into_inner().expect("a tar"));
    let run = tree.xtask(&["inspect", "other.tar"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    expect![[r#"
        error: reading other.tar: it is neither an image archive nor an OCI layout: it has neither manifest.json nor index.json
    "#]]
    .assert_eq(&run.stderr);
}

/// The linker lets it pass: a shared library may leave symbols to others.
#[test]
fn a_plugin_that_calls_what_nothing_defines_is_not_built() {
    let tree = Tree::small("undefined").without_engine();
    tree.replace(
        "plugins/hello/src/lib.rs",
        "    \"hello\".to_owned()",
        "    unsafe extern \"C\" {\n        safe fn nowhere();\n    }\n    nowhere();\n    String::new()",
    );
    check(
        &tree,
        &["image", "--base", "scratch"],
        expect![[r#"
       Resolving dependencies of the host and 2 plugins
        Planning greeter 1.2.3 for linux/amd64: 2 plugins (goodbye, hello), rustc 1.95.0
       Compiling host, SDK and 2 plugins with this machine's Rust 1.95.0 (local)
    error: the plugin hello (plugins/hello): it imports a symbol that neither the SDK nor another library exports: nowhere; link the library that defines it
"#]],
    );
}
