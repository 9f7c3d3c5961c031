//! The image as bytes and as a root file system, with neither docker nor podman.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;

use crate::support::{Tree, layers, sha256};
use camino::Utf8Path;
use expect_test::expect;
use flate2::read::GzDecoder;
use serde_json::{Value, json};

/// Everything in a tar: path to content.
fn contents(tar: impl Read) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(tar).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("content");
        files.insert(path, content);
    }
    files
}

fn archive(tree: &Tree) -> BTreeMap<String, Vec<u8>> {
    contents(File::open(tree.image_dir().join("greeter.tar")).expect("the archive"))
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn blob<'a>(archive: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let bytes = &archive[&format!("blobs/{}", digest.replace(':', "/"))];
    assert_eq!(digest, format!("sha256:{}", sha256(bytes)));
    assert_eq!(descriptor["size"], json!(bytes.len()));
    bytes
}

#[test]
fn an_archive_is_an_oci_layout_and_a_docker_archive() {
    let tree = Tree::small("archive").titled("Greeter").without_engine().env("SOURCE_DATE_EPOCH", "951827696");
    tree.replace("Cargo.toml", "check-flag = ", "health-flag = \"--well\"\ncheck-flag = ");
    let image = tree.image(&["--base", "scratch", "--tag", "hello:there"]);
    let archive = archive(&tree);
    assert_eq!(json(&archive["oci-layout"]), json!({ "imageLayoutVersion": "1.0.0" }));
    let index = json(&archive["index.json"]);
    assert_eq!(index["manifests"][0]["digest"], image["manifest_digest"]);
    let names = json!({
        "org.opencontainers.image.ref.name": "hello:there",
        "io.containerd.image.name": "docker.io/library/hello:there",
    });
    assert_eq!(index["manifests"][0]["annotations"], names);
    let manifest = json(blob(&archive, &index["manifests"][0]));
    let config = json(blob(&archive, &manifest["config"]));
    let expected = json!({
        "User": "1000:1001",
        "ExposedPorts": { "9000/tcp": {} },
        "Healthcheck": {
            "Test": ["CMD", "./greeter", "--settings", "/opt/greeter/etc/settings.toml", "--well"],
            "Interval": 30_000_000_000_u64,
            "Timeout": 5_000_000_000_u64,
            "StartPeriod": 30_000_000_000_u64,
            "Retries": 3,
        },
        "Cmd": [
            "./greeter", "--settings", "/opt/greeter/etc/settings.toml", "--plugin", "goodbye.plug", "--plugin", "hello.plug",
        ],
        "WorkingDir": "/opt/greeter",
        "Volumes": { "/srv/greeter": {} },
        "Labels": {
            "org.opencontainers.image.base.name": "scratch",
            "org.opencontainers.image.created": "2000-02-29T12:34:56Z",
            "org.opencontainers.image.description": "Greets",
            "org.opencontainers.image.licenses": "MIT",
            "org.opencontainers.image.source": "https://example.org/greeter.git",
            "org.opencontainers.image.title": "Greeter",
            "org.opencontainers.image.version": "1.2.3",
            "xtask.engine": "local",
        },
        "StopSignal": "SIGTERM",
    });
    assert_eq!(config["config"], expected);

    let docker = json(&archive["manifest.json"]);
    assert_eq!(docker[0]["RepoTags"], json!(["hello:there"]));
    let blob_names = manifest["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| format!("blobs/{}", layer["digest"].as_str().expect("a digest").replace(':', "/")));
    assert_eq!(docker[0]["Layers"], json!(blob_names.collect::<Vec<_>>()));

    let mut listing = String::new();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("diff ids");
    for (index, layer) in manifest["layers"].as_array().expect("layers").iter().enumerate() {
        let mut tar = Vec::new();
        GzDecoder::new(blob(&archive, layer)).read_to_end(&mut tar).expect("gzip");
        assert_eq!(diff_ids[index], json!(format!("sha256:{}", sha256(&tar))));
        // What this machine's libc and toolchain bring along has other names elsewhere.
        let own = contents(tar.as_slice()).into_keys().filter(|path| !path.contains("lib/") && !path.contains(".so"));
        let own: Vec<String> = own.filter(|path| !path.starts_with("lib64/")).collect();
        listing += &format!("{}: {}\n", image["layers"][index]["name"].as_str().expect("a name"), own.join(" "));
    }
    expect![[r#"
        libraries: opt/ opt/greeter/ usr/
        greeter: opt/ opt/greeter/ opt/greeter/greeter srv/ srv/greeter/
        configuration: opt/ opt/greeter/ opt/greeter/etc/ opt/greeter/etc/settings.toml
        goodbye.plug: opt/ opt/greeter/ opt/greeter/goodbye.plug
        hello.plug: opt/ opt/greeter/ opt/greeter/hello.plug
    "#]]
    .assert_eq(&listing);
}

#[test]
fn a_command_can_be_the_entrypoint() {
    let tree = Tree::small("entrypoint").without_engine();
    let command = json!([
        "./greeter",
        "--settings",
        "/opt/greeter/etc/settings.toml",
        "--plugin",
        "goodbye.plug",
        "--plugin",
        "hello.plug",
    ]);
    let started = |tree: &Tree| {
        let archive = archive(tree);
        let manifest = json(blob(&archive, &json(&archive["index.json"])["manifests"][0]));
        let mut config = json(blob(&archive, &manifest["config"]))["config"].take();
        [config["Entrypoint"].take(), config["Cmd"].take()]
    };
    let args = ["--base", "scratch"];
    let image = tree.image(&args);
    assert_eq!((started(&tree), &image["entrypoint"]), ([Value::Null, command.clone()], &json!(false)));
    let by_option = tree.image(&[&args[..], &["--entrypoint"]].concat());
    assert_eq!((started(&tree), &by_option["entrypoint"]), ([command.clone(), Value::Null], &json!(true)));
    assert_eq!((&by_option["command"], &by_option["verified"]["said"]), (&command, &json!("2 plugins loaded")));
    let provenance = json(&fs::read(tree.image_dir().join("greeter.provenance.json")).expect("a document"));
    let definition = &provenance["predicate"]["buildDefinition"];
    assert_eq!(definition["externalParameters"]["entrypoint"], true);
    let internal = definition["internalParameters"]["command"].as_str().expect("text");
    assert!(internal.ends_with(" --tag greeter:1.2.3 --entrypoint"), "{internal}");

    tree.replace("Cargo.toml", "check-flag = ", "entrypoint = true\ncheck-flag = ");
    assert_eq!(tree.image(&args)["entrypoint"], true);
    assert_eq!(started(&tree), [command, Value::Null]);
    let plan = tree.xtask(&["plan", "--base", "scratch"]);
    let line = plan.stdout.lines().find(|line| line.contains(" ./greeter "));
    let settings = "--settings /opt/greeter/etc/settings.toml";
    assert_eq!(
        line,
        Some(format!("entrypoint ./greeter {settings} --plugin goodbye.plug --plugin hello.plug").as_str())
    );
}

#[test]
fn an_image_is_verified_by_chroot_or_in_a_user_namespace() {
    let tree = Tree::small("chroot").without_engine();
    let image = tree.image(&[]);
    assert_eq!(
        image["verified"],
        json!({
            "manifest_digest": image["manifest_digest"], "by": "chroot", "said": "2 plugins loaded",
        })
    );
    assert_eq!(image["loaded_into"], Value::Null);

    let tree = Tree::small("user-namespace").without_engine().by_a_user();
    assert_eq!(tree.image(&[])["verified"]["by"], "user namespace");
}

#[test]
fn an_image_that_does_not_start_is_not_delivered() {
    let tree = Tree::small("does-not-start").without_engine();
    tree.replace(
        "greeter/src/main.rs",
        "if dry_run {",
        "if dry_run {\n        eprintln!(\"not today\");\n        std::process::exit(3);\n    }\n    if dry_run {",
    );
    let run = tree.xtask(&["image"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = "error: the image does not start: `unshare --net --root=[ROOT]/target/image/rootfs --wd=/opt/greeter \
        --setuid=1000 --setgid=1001 -- ./greeter --settings /opt/greeter/etc/settings.toml --plugin goodbye.plug --plugin \
        hello.plug --dry-run` ended with exit status: 3:\nnot today\n";
    assert!(run.stderr.ends_with(error), "{}", run.stderr);
    assert!(!tree.image_dir().join("greeter.tar").exists());

    let run = tree.xtask(&["image", "--no-verify"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("Not verified the image was not started\n"), "{}", run.stderr);
}

#[test]
fn a_second_run_writes_nothing() {
    let tree = Tree::small("second-run").without_engine();
    let first = tree.image(&[]);
    let stamps = || -> BTreeMap<String, std::time::SystemTime> {
        let files = walkdir::WalkDir::new(tree.image_dir()).into_iter().map(|entry| entry.expect("an entry"));
        let kept = files.filter(|entry| {
            let path = entry.path().to_string_lossy().into_owned();
            entry.file_type().is_file() && !path.contains("image/cargo/") && !path.ends_with("/lock")
        });
        kept.map(|entry| {
            let time = entry.metadata().expect("metadata").modified().expect("a time");
            (entry.path().to_string_lossy().into_owned(), time)
        })
        .collect()
    };
    let before = stamps();
    let second = tree.image(&[]);
    assert_eq!(stamps(), before);
    assert_eq!(first["manifest_digest"], second["manifest_digest"]);
    assert!(second["layers"].as_array().expect("layers").iter().all(|layer| layer["new"] == json!(false)));
}

#[test]
fn an_edited_plugin_changes_one_layer() {
    let tree = Tree::small("edited").without_engine();
    let before = tree.image(&[]);
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let after = tree.image(&[]);
    let changed: Vec<String> = layers(&before)
        .into_iter()
        .zip(layers(&after))
        .filter(|(before, after)| before != after)
        .map(|((name, _), _)| name)
        .collect();
    assert_eq!(changed, ["hello.plug"]);
}

#[test]
fn a_source_replaced_by_an_older_one_is_rebuilt() {
    let tree = Tree::small("older").without_engine();
    let before = tree.image(&[]);
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let file = File::options().write(true).open(tree.root.join("plugins/hello/src/lib.rs")).expect("the source");
    let year_2000 = std::time::UNIX_EPOCH + std::time::Duration::from_secs(946_684_800);
    file.set_modified(year_2000).expect("an older date");
    assert_ne!(tree.image(&[])["manifest_digest"], before["manifest_digest"]);
    let built = fs::read(tree.image_dir().join("dist/hello.plug")).expect("the plugin");
    assert!(built.windows(8).any(|bytes| bytes == b"good day"));
}

#[test]
fn a_users_rustflags_come_on_top() {
    let tree = Tree::small("rustflags").without_engine().env("RUSTFLAGS", "--cfg loud");
    tree.replace(
        "plugins/hello/src/lib.rs",
        "\"hello\".to_owned()",
        "if cfg!(loud) { \"HELLO\" } else { \"hello\" }.to_owned()",
    );
    assert_eq!(tree.image(&[])["verified"]["said"], "2 plugins loaded");
    let built = fs::read(tree.image_dir().join("dist/hello.plug")).expect("the plugin");
    assert!(built.windows(5).any(|bytes| bytes == b"HELLO"));
}

#[test]
fn two_dirs_give_one_digest() {
    let first = Tree::small("one-digest-a").titled("One digest").without_engine();
    let second = Tree::small("one-digest-b/somewhere/else").titled("One digest").without_engine().by_a_user();
    assert_eq!(first.image(&[])["manifest_digest"], second.image(&[])["manifest_digest"]);
}

/// A root file system that is usr-merged, with this machine's own glibc.
fn usr_merged(tree: &Tree, libc: &Utf8Path) {
    let interpreter = "/lib64/ld-linux-x86-64.so.2";
    let mut tar = tar::Builder::new(File::create(tree.root.join("base.tar")).expect("a tar"));
    let mut entry = |kind: tar::EntryType, path: &str, link: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        if kind.is_symlink() {
            tar.append_link(&mut header, path, link).expect("a link");
        } else {
            tar.append_data(&mut header, path, content).expect("an entry");
        }
    };
    for dir in ["./usr/", "./usr/lib/", "./usr/lib64/"] {
        entry(tar::EntryType::Directory, dir, "", b"");
    }
    entry(tar::EntryType::Symlink, "./lib", "usr/lib", b"");
    entry(tar::EntryType::Symlink, "./lib64", "usr/lib64", b"");
    entry(tar::EntryType::Regular, "./usr/lib64/ld-linux-x86-64.so.2", "", &fs::read(interpreter).expect("glibc"));
    entry(tar::EntryType::Regular, "./usr/lib/libc.so.6", "", &fs::read(libc).expect("a library"));
}

fn machines(library: &str) -> camino::Utf8PathBuf {
    let output = std::process::Command::new("cc").arg(format!("-print-file-name={library}")).output().expect("cc");
    String::from_utf8(output.stdout).expect("a path").trim().into()
}

#[test]
fn a_usr_merged_base_starts_and_keeps_its_libc() {
    let tree = Tree::small("usr-merged").without_engine();
    usr_merged(&tree, &machines("libc.so.6"));
    assert!(std::process::Command::new("gzip").arg(tree.root.join("base.tar")).status().expect("gzip").success());
    let image = tree.image(&["--base", "base.tar.gz"]);
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    let archive = archive(&tree);
    let manifest = json(blob(&archive, &json(&archive["index.json"])["manifests"][0]));
    let libraries = contents(GzDecoder::new(blob(&archive, &manifest["layers"][1])));
    let dirs = libraries.keys().filter(|path| path.ends_with('/'));
    assert_eq!(
        dirs.collect::<Vec<_>>(),
        ["opt/", "opt/greeter/"],
        "directories that the base image has are not written again"
    );
    assert!(!libraries.keys().any(|path| path.ends_with("libc.so.6")), "what the base image has does not come along");
    assert!(libraries.contains_key("usr/lib/libgcc_s.so.1"), "what it lacks does, where its links lead");
}

#[test]
fn a_base_whose_glibc_is_too_old_is_refused() {
    let tree = Tree::small("old-glibc").without_engine();
    // A library that defines fewer versions than libc, under libc's name.
    usr_merged(&tree, &machines("libresolv.so.2"));
    let run = tree.xtask(&["image", "--base", "base.tar"]);
    assert_eq!(run.code, Some(1));
    let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
    assert!(
        error.contains("the base image's libc.so.6 is too old for ") && error.contains(": have up to GLIBC_"),
        "{error}"
    );
    assert!(
        error.contains(", want GLIBC_") && error.contains("; choose a newer base, or build on an older system"),
        "{error}"
    );
    assert!(!tree.image_dir().join("greeter.tar").exists());
}
