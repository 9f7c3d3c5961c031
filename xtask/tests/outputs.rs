//! What comes out beside the standard archive, and what must not be in it.

mod support;

use std::fs;

use expect_test::expect;
use serde_json::Value;
use support::{Tree, errors, layers};

#[test]
fn output_names_an_oci_layout() {
    let tree = Tree::small("output-layout").without_runtime();
    let first = tree.image(&["--output", "oci:out/layout"]);
    let digest = |image: &Value| image["manifest_digest"].as_str().expect("a digest").to_owned();
    let read = |path: &str| -> Value { serde_json::from_str(&tree.read(&format!("out/layout/{path}"))).expect("JSON") };
    assert_eq!(read("index.json")["manifests"][0]["digest"], digest(&first).as_str());
    assert_eq!(read("oci-layout")["imageLayoutVersion"], "1.0.0");

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let second = tree.image(&["--output", "oci:out/layout"]);
    let index = read("index.json");
    assert_eq!(index["manifests"][0]["digest"], digest(&second).as_str());
    // The new image's blobs and those of its documents are there, and no other.
    let mut wanted: Vec<String> = layers(&second).into_iter().map(|(_, digest)| digest).collect();
    wanted.extend([digest(&second), second["config_digest"].as_str().expect("a digest").to_owned()]);
    for document in second["documents"].as_array().expect("documents") {
        let digest = document["referrer"].as_str().expect("a digest");
        let artifact = read(&format!("blobs/{}", digest.replace(':', "/")));
        let parts = [&artifact["config"], &artifact["layers"][0]];
        wanted.extend(parts.map(|part| part["digest"].as_str().expect("a digest").to_owned()));
        wanted.push(digest.to_owned());
    }
    let mut wanted: Vec<&str> = wanted.iter().map(|digest| digest.trim_start_matches("sha256:")).collect();
    let entries = fs::read_dir(tree.root.join("out/layout/blobs/sha256")).expect("blobs");
    let mut there: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    wanted.sort();
    wanted.dedup();
    there.sort();
    assert_eq!(there, wanted);

    let run = tree.xtask(&["image", "--output", "oci:plugins"]);
    let error = "error: --output oci:plugins is there and is no OCI layout; name another folder, or remove it\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), error));
}

#[test]
fn output_names_another_file_for_the_archive() {
    let tree = Tree::small("output").without_runtime();
    tree.image(&["--output", "out/of/the/way.tar"]);
    let copy = fs::read(tree.root.join("out/of/the/way.tar")).expect("the copy");
    assert_eq!(copy, fs::read(tree.image_folder().join("greeter.tar")).expect("the archive"));
}

#[test]
fn a_target_folder_may_be_a_symlink() {
    let tree = Tree::small("output-link").without_runtime();
    fs::create_dir(tree.root.join("elsewhere")).expect("a folder");
    std::os::unix::fs::symlink("elsewhere", tree.root.join("target")).expect("a link");
    let image = tree.image(&[]);
    // Only of its own path cargo says what is linked, and from where.
    let documents = tree.read("target/image/greeter.cdx.json");
    assert!(documents.contains("\"hello\"") && !documents.contains(tree.root.as_str()), "{documents}");
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
}

#[test]
fn a_path_of_this_machine_is_not_shipped() {
    let tree = Tree::small("leak").without_runtime();
    // What people write is theirs.
    let home = std::env::var("HOME").expect("a home");
    tree.write("plugins/hello/inbox", &format!("{home}/inbox {}", tree.root));
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", &format!("{manifest}\n[package.metadata.greeter]\nassets = [\"inbox\"]\n"));
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", &format!("\"{home}/inbox\""));
    tree.image(&[]);
    fs::remove_file(tree.image_folder().join("greeter.tar")).expect("an archive");
    tree.replace("plugins/hello/src/lib.rs", &format!("\"{home}/inbox\""), "\"hello\"");
    for plugin in ["hello", "goodbye"] {
        let greeting = format!("\"{plugin}\"");
        tree.replace(&format!("plugins/{plugin}/src/lib.rs"), &greeting, "env!(\"CARGO_MANIFEST_DIR\")");
    }
    let error = errors(&tree, &[]).replace(tree.root.as_str(), "[ROOT]");
    expect![[r#"
        error: 2 faults in the image
          - /opt/greeter/goodbye.plug holds a path of the machine that built it, [ROOT]/target/image/src/plugins/goodbye: take out the build script or the macro, such as env!("CARGO_MANIFEST_DIR"), that puts it there
          - /opt/greeter/hello.plug holds a path of the machine that built it, [ROOT]/target/image/src/plugins/hello: take out the build script or the macro, such as env!("CARGO_MANIFEST_DIR"), that puts it there
    "#]].assert_eq(&error);
}
