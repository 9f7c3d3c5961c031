//! What bases are made of, as other tools write them: platforms in layouts, layers with odd entries, many files, many layers; and what is
//! no base.

use std::fs;
use std::io::Write;

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers};
use crate::support::{Tree, check, errors, run, sha256};
use expect_test::expect;
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// An OCI layout that is written piece by piece.
struct Layout<'a> {
    tree: &'a Tree,
    dir: &'a str,
}

impl Layout<'_> {
    fn blob(&self, bytes: &[u8]) -> Value {
        let hex = sha256(bytes);
        self.tree.write_bytes(&format!("{}/blobs/sha256/{hex}", self.dir), bytes);
        json!({ "digest": format!("sha256:{hex}"), "size": bytes.len() })
    }

    /// The descriptor of an image of these tars, with more in it.
    fn image(&self, architecture: &str, layers: &[Vec<u8>], more: Value) -> Value {
        let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
        let config = json!({ "architecture": architecture, "os": "linux", "config": {}, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let layers: Vec<Value> = layers.iter().map(|layer| self.blob(&gzip(layer))).collect();
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(config.to_string().as_bytes()), "layers": layers });
        self.descriptor(&manifest, MANIFEST, more)
    }

    fn index(&self, manifests: &[Value], more: Value) -> Value {
        self.descriptor(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }), INDEX, more)
    }

    fn descriptor(&self, document: &Value, kind: &str, more: Value) -> Value {
        let mut descriptor = self.blob(document.to_string().as_bytes());
        descriptor["mediaType"] = kind.into();
        for (key, value) in more.as_object().expect("an object") {
            descriptor[key] = value.clone();
        }
        descriptor
    }

    fn finish(&self, manifests: &[Value]) -> &Self {
        self.tree.write(&format!("{}/oci-layout", self.dir), "{\"imageLayoutVersion\":\"1.0.0\"}");
        let index = json!({ "schemaVersion": 2, "manifests": manifests });
        self.tree.write(&format!("{}/index.json", self.dir), &index.to_string());
        self
    }
}

fn platform(architecture: &str, variant: Option<&str>) -> Value {
    let mut platform = json!({ "os": "linux", "architecture": architecture });
    if let Some(variant) = variant {
        platform["variant"] = variant.into();
    }
    json!({ "platform": platform })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("gzip")
}

/// A tar of files; a path that ends with `/` is a directory.
fn tar_of(paths: &[&str]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for path in paths {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_size(0);
        tar.append_data(&mut header, path, std::io::empty()).expect("an entry");
    }
    tar.into_inner().expect("a tar")
}

/// Of whom the layers of the image are, by the number of the base's layers and their first digest.
fn base_of(tree: &Tree, base: &str) -> String {
    let image = tree.image(&["--base", base]);
    image["layers"][0]["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn the_image_of_the_platform_is_taken_wherever_a_layout_lists_it() {
    let tree = Tree::small("base-platforms").without_engine();
    let (own, other) = if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") };
    let [mine, theirs, newer] = ["mine", "theirs", "newer"].map(|name| vec![tar_of(&[name])]);
    let expected = format!("sha256:{}", sha256(&gzip(&mine[0])));
    let none = || json!({});
    let layout = |dir: &'static str| Layout { tree: &tree, dir };
    let is_taken = |dir: &str| assert_eq!(base_of(&tree, dir), expected, "{dir}");

    let flat = layout("flat");
    flat.finish(&[flat.image(other, &theirs, platform(other, None)), flat.image(own, &mine, platform(own, None))]);
    is_taken("flat");
    let silent = layout("silent");
    silent.finish(&[silent.image(other, &theirs, none()), silent.image(own, &mine, none())]);
    is_taken("silent");
    let nested = layout("nested");
    let attestation =
        nested.image("unknown", &theirs, json!({ "platform": { "os": "unknown", "architecture": "unknown" } }));
    let inner = [
        nested.image(other, &theirs, platform(other, None)),
        nested.image(own, &mine, platform(own, None)),
        attestation,
    ];
    let inner = nested.index(&inner, none());
    nested.finish(&[nested.index(&[inner], none())]);
    is_taken("nested");
    let variants = layout("variants");
    let plain = if own == "arm64" { Some("v8") } else { None };
    let variant = if own == "arm64" { "v9" } else { "v3" };
    variants.finish(&[
        variants.image(own, &newer, platform(own, Some(variant))),
        variants.image(own, &mine, platform(own, plain)),
    ]);
    is_taken("variants");

    let two = layout("two");
    two.finish(&[two.image(own, &mine, platform(own, None)), two.image(own, &newer, platform(own, None))]);
    let _ = fs::remove_file(tree.image_dir().join("greeter.tar"));
    expect![[r#"
        error: reading the base image two: the OCI layout [ROOT]/two holds 2 matching images, expected one; choose one with oci:[ROOT]/two:NAME (it has: no names)
    "#]]
    .assert_eq(&errors(&tree, &["--base", "two"]));
}

#[test]
fn what_is_no_base_is_named_with_its_fix() {
    let tree = Tree::small("base-kinds").without_engine();
    tree.write("rootfs/etc/hostname", "base");
    let tar = tree.root.join("root.tar");
    run("tar", &["--create", "--file", tar.as_str(), "--directory", tree.root.join("rootfs").as_str(), "."]);
    run("xz", &["--keep", tar.as_str()]);
    fs::copy(tree.root.join("root.tar.xz"), tree.root.join("really-xz.tar")).expect("a copy");
    run("bzip2", &["--keep", tar.as_str()]);
    tree.write("notes.tar", &"a text\n".repeat(100));
    run("gzip", &["--keep", tree.root.join("notes.tar").as_str()]);
    let shown = |base: &str| {
        let run = tree.xtask(&["plan", "--base", base]);
        assert_eq!(run.code, Some(1), "{base}");
        run.stderr.lines().rfind(|line| line.starts_with("error")).expect("an error").to_owned() + "\n"
    };
    let said: String =
        ["root.tar.xz", "really-xz.tar", "root.tar.bz2", "notes.tar", "notes.tar.gz", "rootfs", "./rootfs"]
            .map(shown)
            .concat();
    expect![[r#"
        error: the base image [ROOT]/root.tar.xz is compressed by xz, which is not supported; unpack it with `xz --decompress --keep [ROOT]/root.tar.xz` and use the tar
        error: the base image [ROOT]/really-xz.tar is compressed by xz, which is not supported; unpack it with `xz --decompress --keep [ROOT]/really-xz.tar` and use the tar
        error: the base image [ROOT]/root.tar.bz2 is compressed by bzip2, which is not supported; unpack it with `bzip2 --decompress --keep [ROOT]/root.tar.bz2` and use the tar
        error: the base image [ROOT]/notes.tar is not a tar; use a root file system in a tar, gzipped or not
        error: the base image [ROOT]/notes.tar.gz is not a tar; use a root file system in a tar, gzipped or not
        error: the base image rootfs is a directory but not an OCI layout; pack a root file system with `tar --create --file rootfs.tar --directory rootfs .` and use the tar; for the image, write rootfs:latest
        error: the base image ./rootfs is a directory but not an OCI layout; pack a root file system with `tar --create --file ./rootfs.tar --directory ./rootfs .` and use the tar
    "#]]
    .assert_eq(&said);
    // By what it holds, not by its name.
    fs::rename(&tar, tree.root.join("rootfile")).expect("a file");
    assert_eq!(tree.xtask(&["plan", "--base", "rootfile"]).code, Some(0));
    check(
        &tree,
        &["image", "--base", "scratch", "--output", "out.tar.gz"],
        expect![[r#"
            error: --output out.tar.gz would be a plain tar, whose layers are compressed already; let the name end in .tar
        "#]],
    );
}

#[test]
fn a_hundred_thousand_files_and_odd_names() {
    let tree = Tree::small("base-many").without_engine();
    let names: Vec<String> = (0..100_000).map(|index| format!("usr/share/{}/{index}", index % 500)).collect();
    let below = tar_of(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let brought = ["opt/greeter/greeter", "a/greeter", "gone/greeter", "opaque/greeter"];
    let first = tar_of(&brought);
    // A file with a star is no pattern; whiteouts hide what lies below alone, whatever their place.
    let second = tar_of(&["a*", "opt/greeter/.wh.greeter", "opaque/new/greeter", "opaque/.wh..wh..opq", ".wh.gone"]);
    let layout = Layout { tree: &tree, dir: "many" };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    layout.finish(&[layout.image(architecture, &[below, first, second], json!({}))]);
    // What it hides is not in the way of what the image brings; what `a*` is beside still is.
    let manifest = tree.read("Cargo.toml");
    let image = tree.image(&["--base", "many", "--no-verify"]);
    assert_eq!(image["layers"].as_array().expect("layers").len(), 3 + 5);
    for (dir, is_there) in [("/a", true), ("/gone", false), ("/opaque", false), ("/opaque/new", true)] {
        tree.write(
            "Cargo.toml",
            &manifest.replace("working-dir = \"/opt/greeter\"", &format!("working-dir = \"{dir}\"")),
        );
        let run = tree.xtask(&["image", "--base", "many", "--no-verify"]);
        assert_eq!(
            run.stderr.contains("error: making the layer greeter: the base image already has"),
            is_there,
            "{dir}: {}",
            run.stderr
        );
    }
}

#[test]
fn long_names_are_shipped() {
    let tree = Tree::small("long-names");
    let name = "localhost/xtask-test/greeter:long-names";
    let engine = Engine::docker();
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let long = format!("web/chunk-{}.js", "0".repeat(180));
    let letters = format!("web/{}.html", "größe".repeat(30));
    let deep = format!("web/{}file", "a-directory/".repeat(30));
    for path in [&long, &letters, &deep] {
        tree.write(&format!("plugins/hello/{path}"), path);
    }
    let manifest = tree.read("plugins/hello/Cargo.toml");
    tree.write("plugins/hello/Cargo.toml", &format!("{manifest}\n[package.metadata.greeter]\nassets = [\"web\"]\n"));
    let image = tree.image(&["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", name]);
    let again = tree.image(&["--engine", "docker", "--builder-image", GNU, "--base", ALPINE, "--tag", name]);
    assert_eq!(image["manifest_digest"], again["manifest_digest"]);
    for path in [&long, &letters, &deep] {
        let file = format!("/opt/greeter/assets/hello/{path}");
        assert_eq!(engine.read(&["run", "--rm", "--network", "none", name, "cat", &file]), **path);
    }
}

#[test]
fn layers_that_are_too_many_share_or_are_refused() {
    let tree = Tree::small("base-layers").without_engine();
    let layout = Layout { tree: &tree, dir: "deep" };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let layers = |count: usize| -> Vec<Vec<u8>> { (0..count).map(|index| tar_of(&[&format!("n{index}")])).collect() };
    layout.finish(&[layout.image(architecture, &layers(123), json!({}))]);
    let image = tree.image(&["--base", "deep"]);
    // Two plugins, and room for one layer.
    let names: Vec<&str> = image["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| layer["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(names[123..], ["libraries", "greeter", "configuration", "plugins-00"]);

    layout.finish(&[layout.image(architecture, &layers(124), json!({}))]);
    fs::remove_dir_all(tree.image_dir()).expect("what was built");
    check(
        &tree,
        &["plan", "--base", "deep"],
        expect![[r#"
               Resolving dependencies of the host and 2 plugins
            error: the base image deep has 124 layers, but container engines support 127 in all; choose one with at most 123, or flatten it into a tar with `docker export`
        "#]],
    );
}

#[test]
fn an_archive_may_be_gzipped_when_it_is_inspected() {
    let tree = Tree::small("inspect-gzip").without_engine();
    tree.image(&["--base", "scratch"]);
    let archive = tree.image_dir().join("greeter.tar");
    let plain = tree.xtask(&["inspect", archive.as_str()]);
    tree.write_bytes("image.tar.gz", &gzip(&fs::read(&archive).expect("the archive")));
    let packed = tree.xtask(&["inspect", "image.tar.gz"]);
    assert_eq!((packed.code, packed.stdout, packed.stderr), (Some(0), plain.stdout, String::new()));
}

#[test]
fn a_base_that_was_damaged_here_is_read_anew() {
    let tree = Tree::small("base-damaged").without_engine();
    let layout = Layout { tree: &tree, dir: "base" };
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    layout.finish(&[layout.image(architecture, &[tar_of(&["etc/", "etc/base"])], json!({}))]);
    let first = tree.image(&["--base", "base"])["manifest_digest"].clone();
    for entry in fs::read_dir(tree.image_dir().join("bases")).expect("bases") {
        let path = entry.expect("an entry").path();
        let mut bytes = fs::read(&path).expect("a layer");
        bytes[0] ^= 1;
        fs::write(&path, bytes).expect("a layer");
    }
    assert_eq!(tree.image(&["--base", "base"])["manifest_digest"], first);
}
