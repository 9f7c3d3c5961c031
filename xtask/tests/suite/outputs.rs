//! What comes out beside the standard archive, and what must not be in it.

use std::fs;

use crate::support::{Tree, errors, layers, sha256};
use expect_test::expect;
use serde_json::Value;

#[test]
fn output_names_an_oci_layout() {
    let tree = Tree::small("output-layout").without_engine();
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
    let error = "error: --output oci:plugins exists and is not an OCI layout; choose another directory, or remove it\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), error));
}

#[test]
fn what_names_no_output() {
    let tree = Tree::small("no-outputs").without_engine();
    let shown = |output: &str| {
        let run = tree.xtask(&["image", "--base", "scratch", "--output", output]);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{output}");
        run.stderr.lines().next().expect("an error").to_owned() + "\n"
    };
    let said: String =
        ["", "-", "docker-archive:a.tar", "type=oci,dest=a.tar", "oci:", "oci:layout:name"].map(shown).concat();
    expect![[r#"
        error: invalid value '' for '--output <FILE>': name a file
        error: invalid value '-' for '--output <FILE>': name a file
        error: invalid value 'docker-archive:a.tar' for '--output <FILE>': `docker-archive:` is a prefix of other tools; write the name of a file, which docker and OCI tools can read, or oci:DIR
        error: invalid value 'type=oci,dest=a.tar' for '--output <FILE>': `type=` is a prefix of other tools; write the name of a file, which docker and OCI tools can read, or oci:DIR
        error: invalid value 'oci:' for '--output <FILE>': write a directory, as in oci:DIR
        error: invalid value 'oci:layout:name' for '--output <FILE>': write the directory alone; set the name of the image with --tag name
    "#]]
    .assert_eq(&said);
}

#[test]
fn output_names_another_file_for_the_archive() {
    let tree = Tree::small("output").without_engine();
    tree.image(&["--output", "out/of/the/way.tar"]);
    let copy = fs::read(tree.root.join("out/of/the/way.tar")).expect("the copy");
    assert_eq!(copy, fs::read(tree.image_dir().join("greeter.tar")).expect("the archive"));
}

#[test]
fn a_target_dir_may_be_a_symlink() {
    let tree = Tree::small("output-link").without_engine();
    fs::create_dir(tree.root.join("elsewhere")).expect("a directory");
    std::os::unix::fs::symlink("elsewhere", tree.root.join("target")).expect("a link");
    let image = tree.image(&[]);
    // Only of its own path cargo says what is linked, and from where.
    let documents = tree.read("target/image/greeter.cdx.json");
    assert!(documents.contains("\"hello\"") && !documents.contains(tree.root.as_str()), "{documents}");
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
}

#[test]
fn a_path_of_this_machine_is_not_shipped() {
    let tree = Tree::small("leak").without_engine();
    // What people write is theirs.
    let home = std::env::var("HOME").expect("a home");
    tree.write("plugins/hello/inbox", &format!("{home}/inbox {}", tree.root));
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", &format!("{manifest}\n[package.metadata.greeter]\nassets = [\"inbox\"]\n"));
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", &format!("\"{home}/inbox\""));
    tree.image(&[]);
    fs::remove_file(tree.image_dir().join("greeter.tar")).expect("an archive");
    tree.replace("plugins/hello/src/lib.rs", &format!("\"{home}/inbox\""), "\"hello\"");
    for plugin in ["hello", "goodbye"] {
        let greeting = format!("\"{plugin}\"");
        tree.replace(&format!("plugins/{plugin}/src/lib.rs"), &greeting, "env!(\"CARGO_MANIFEST_DIR\")");
    }
    let error = errors(&tree, &[]).replace(tree.root.as_str(), "[ROOT]");
    expect![[r#"
        error: 2 errors in the image
          - /opt/greeter/goodbye.plug contains a path of the build machine, [ROOT]/target/image/src/plugins/goodbye: remove the build script or macro that adds it, such as env!("CARGO_MANIFEST_DIR")
          - /opt/greeter/hello.plug contains a path of the build machine, [ROOT]/target/image/src/plugins/hello: remove the build script or macro that adds it, such as env!("CARGO_MANIFEST_DIR")
    "#]].assert_eq(&error);
}

#[test]
fn cargos_home_is_found_by_either_name_and_without_a_slash() {
    let home = Tree::small("leak-home");
    let link = home.root.with_file_name("leak-home-link");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(&home.root, &link).expect("a symlink");
    let tree = Tree::small("leak-of-home").without_engine().env("CARGO_HOME", &format!("{link}/"));
    for (plugin, dir) in [("hello", &home.root), ("goodbye", &link)] {
        let greeting = format!("\"{plugin}\"");
        tree.replace(&format!("plugins/{plugin}/src/lib.rs"), &greeting, &format!("\"in {dir} alone\""));
    }
    let error = errors(&tree, &[]);
    fs::remove_file(&link).expect("a symlink");
    let error = error.replace(link.as_str(), "[LINK]").replace(home.root.as_str(), "[HOME]");
    expect![[r#"
        error: 2 errors in the image
          - /opt/greeter/goodbye.plug contains a path of the build machine, [LINK]: remove the build script or macro that adds it, such as env!("CARGO_MANIFEST_DIR")
          - /opt/greeter/hello.plug contains a path of the build machine, [HOME]: remove the build script or macro that adds it, such as env!("CARGO_MANIFEST_DIR")
    "#]].assert_eq(&error);
}

#[test]
fn a_blob_that_was_damaged_is_made_anew() {
    let tree = Tree::small("output-damaged").without_engine();
    let first = tree.image(&["--base", "scratch"]);
    let archive = tree.image_dir().join("greeter.tar");
    let whole = fs::read(&archive).expect("the archive");
    let blobs = tree.image_dir().join("blobs/sha256");
    for entry in fs::read_dir(&blobs).expect("blobs") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("a blob");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).expect("a blob");
    }
    let second = tree.image(&["--base", "scratch", "--output", "oci:layout"]);
    assert_eq!(second["manifest_digest"], first["manifest_digest"]);
    assert_eq!(fs::read(&archive).expect("the archive"), whole);
    for entry in fs::read_dir(tree.root.join("layout/blobs/sha256")).expect("blobs") {
        let path = entry.expect("an entry").path();
        assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(&*sha256(&fs::read(&path).expect("a blob"))));
    }
}

#[test]
fn a_layout_may_hold_other_images() {
    let tree = Tree::small("output-merged").without_engine();
    let output = ["--base", "scratch", "--output", "oci:layout", "--tag"];
    let image = |name: &str| tree.image(&[&output[..], &[name]].concat());
    let read = |path: &str| -> Value { serde_json::from_str(&tree.read(&format!("layout/{path}"))).expect("JSON") };
    let names = || -> Vec<String> {
        let index = read("index.json");
        let listed = index["manifests"].as_array().expect("manifests").iter();
        let name =
            |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"].as_str().map(str::to_owned);
        listed.filter_map(name).collect()
    };
    let digest = |image: &Value| image["manifest_digest"].as_str().expect("a digest").replace(':', "/");
    let is_there = |image: &Value| tree.root.join("layout/blobs").join(digest(image)).exists();
    let first = image("greeter:1");
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let second = image("greeter:2");
    assert_eq!(names(), ["greeter:1", "greeter:2"]);

    tree.replace("plugins/hello/src/lib.rs", "\"good day\"", "\"good evening\"");
    let third = image("greeter:2");
    assert_eq!(names(), ["greeter:1", "greeter:2"]);
    assert!(is_there(&first) && !is_there(&second) && is_there(&third));
    let listed = read("index.json")["manifests"].as_array().expect("manifests").len();
    assert_eq!(listed, 2 + 4, "two images, and two documents of each");
    for entry in read("index.json")["manifests"].as_array().expect("manifests") {
        let manifest = read(&format!("blobs/{}", entry["digest"].as_str().expect("a digest").replace(':', "/")));
        for part in manifest["layers"].as_array().expect("layers").iter().chain([&manifest["config"]]) {
            let path = part["digest"].as_str().expect("a digest").replace(':', "/");
            assert!(tree.root.join("layout/blobs").join(&path).exists(), "{path} is gone");
        }
    }

    tree.write("layout/index.json", "{}");
    let run = tree.xtask(&[&["image"], &output[..], &["greeter:2"]].concat());
    let error =
        "error: [ROOT]/layout/index.json lists no manifests; write to another directory\n".replace("[ROOT]/", "");
    assert_eq!((run.code, run.stderr), (Some(1), error), "before anything is compiled");
    assert_eq!(tree.read("layout/index.json"), "{}");
}

#[test]
fn nobody_foresees_the_name_that_is_written_to() {
    let tree = Tree::small("output-partial").without_engine();
    tree.write("out/greeter.tar.4711.partial", "left by a run that was killed");
    tree.write("victim", "somebody's");
    for name in ["out/greeter.tar.partial", "target/image/greeter.tar.partial"] {
        fs::create_dir_all(tree.root.join(name).parent().expect("a parent")).expect("a directory");
        std::os::unix::fs::symlink(tree.root.join("victim"), tree.root.join(name)).expect("a symlink");
    }
    tree.image(&["--base", "scratch", "--output", "out/greeter.tar"]);
    assert_eq!(tree.read("victim"), "somebody's");
    let mut there: Vec<String> = fs::read_dir(tree.root.join("out"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    there.sort();
    assert_eq!(there, ["greeter.cdx.json", "greeter.provenance.json", "greeter.tar", "greeter.tar.partial"]);
}
