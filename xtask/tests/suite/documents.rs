//! What is written down about an image: what is linked into which of its files, and how it was made.

use std::fs::{self, File};

use crate::support::{Tree, plugins, sha256};
use expect_test::expect;
use flate2::read::ZlibDecoder;
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};
use serde_json::{Value, json};

fn document(tree: &Tree, file: &str) -> Value {
    let path = tree.image_dir().join(file);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("reading {path}: {error}"));
    serde_json::from_slice(&bytes).expect("JSON")
}

/// What a component needs, but for files.
fn needs(sbom: &Value, reference: &str) -> Vec<String> {
    let all = sbom["dependencies"].as_array().expect("dependencies");
    let of = all.iter().find(|of| of["ref"] == reference).unwrap_or_else(|| panic!("{reference} is not in {sbom:#}"));
    let on = of["dependsOn"].as_array().expect("references").iter().map(|on| on.as_str().expect("text").to_owned());
    on.filter(|on| !on.starts_with("file:")).collect()
}

fn component<'a>(sbom: &'a Value, reference: &str) -> Option<&'a Value> {
    sbom["components"].as_array().expect("components").iter().find(|component| component["bom-ref"] == reference)
}

fn features(sbom: &Value, reference: &str) -> Vec<String> {
    let properties = component(sbom, reference).expect("a component")["properties"].as_array().expect("properties");
    properties.iter().map(|property| property["value"].as_str().expect("text").to_owned()).collect()
}

/// The crates that a built file says are linked into it.
fn crates_in(tree: &Tree, file: &str) -> Value {
    let bytes = fs::read(tree.image_dir().join("dist").join(file)).expect("a built file");
    let header = FileHeader64::<Endianness>::parse(bytes.as_slice()).expect("an ELF file");
    let endian = header.endian().expect("its byte order");
    let sections = header.sections(endian, bytes.as_slice()).expect("its sections");
    let (_, section) = sections.section_by_name(endian, b".dep-v0").expect("the section");
    let content = section.data(endian, bytes.as_slice()).expect("its content");
    serde_json::from_reader(ZlibDecoder::new(content)).expect("JSON")
}

/// A crate of the small tree that others depend on.
fn add_crate(tree: &Tree, name: &str, manifest: &str) {
    tree.write(
        &format!("lib/{name}/Cargo.toml"),
        &format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{manifest}"),
    );
    tree.write(&format!("lib/{name}/src/lib.rs"), "");
}

fn append(tree: &Tree, path: &str, text: &str) {
    tree.write(path, &format!("{}{text}", tree.read(path)));
}

#[test]
fn a_crate_stands_under_the_file_that_it_is_linked_into() {
    let tree = Tree::small("documents").without_engine();
    add_crate(&tree, "shared", "license = \"MIT/Apache-2.0\"\n[features]\nloud = []\n");
    add_crate(&tree, "own", "[dependencies]\ndeep = { path = \"../deep\" }\nshared = { path = \"../shared\" }\n");
    add_crate(&tree, "deep", "license = \"Our own\"\n");
    add_crate(&tree, "tested", "");
    add_crate(&tree, "quoted", "");
    add_crate(&tree, "macros", "[lib]\nproc-macro = true\n[dependencies]\nquoted = { path = \"../quoted\" }\n");
    append(&tree, "greeter/sdk/Cargo.toml", "[dependencies]\nshared = { path = \"../../lib/shared\" }\n");
    append(
        &tree,
        "plugins/hello/Cargo.toml",
        "own = { path = \"../../lib/own\" }\nmacros = { path = \"../../lib/macros\" }\n\
         shared = { path = \"../../lib/shared\", features = [\"loud\"] }\n\
         [dev-dependencies]\ntested = { path = \"../../lib/tested\" }\n",
    );
    let image = tree.image(&["--base", "scratch"]);
    let sbom = document(&tree, "greeter.cdx.json");

    assert_eq!(needs(&sbom, "tree:greeter"), ["tree:greeter/sdk"]);
    assert_eq!(needs(&sbom, "tree:greeter/sdk"), ["tree:lib/shared"]);
    assert_eq!(needs(&sbom, "tree:plugins/goodbye"), ["tree:greeter/sdk"]);
    // The SDK's crates are taken from the SDK.
    assert_eq!(needs(&sbom, "tree:plugins/hello"), ["tree:greeter/sdk", "tree:lib/deep", "tree:lib/own"]);
    assert_eq!(needs(&sbom, "tree:lib/own"), ["tree:lib/deep", "tree:lib/shared"]);
    for not_linked in ["tree:lib/tested", "tree:lib/macros", "tree:lib/quoted"] {
        assert_eq!(component(&sbom, not_linked), None);
    }
    // Of the SDK too, since one build has one copy of it.
    assert_eq!(features(&sbom, "tree:lib/shared"), ["loud"]);
    let licenses = |reference| &component(&sbom, reference).expect("a component")["licenses"];
    assert_eq!(licenses("tree:lib/shared"), &json!([{ "expression": "MIT OR Apache-2.0" }]));
    assert_eq!(licenses("tree:lib/deep"), &json!([{ "license": { "name": "Our own" } }]));

    let subject = &sbom["metadata"]["component"];
    let url = subject["purl"].as_str().expect("a package URL");
    let mut parts = needs(&sbom, url);
    parts.retain(|part| !part.starts_with("file:"));
    assert_eq!(parts, ["tree:greeter", "tree:greeter/sdk", "tree:plugins/goodbye", "tree:plugins/hello"]);
    let digest = image["manifest_digest"].as_str().expect("a digest");
    assert_eq!(subject["hashes"][0]["content"], digest.trim_start_matches("sha256:"));
    let built = fs::read(tree.image_dir().join("dist/hello.plug")).expect("the plugin");
    assert_eq!(component(&sbom, "tree:plugins/hello").expect("the plugin")["hashes"][0]["content"], sha256(&built));
    let settings = component(&sbom, "file:/opt/greeter/etc/settings.toml").expect("the configuration");
    assert_eq!(settings["hashes"][0]["content"], sha256(tree.read("greeter/default.toml").as_bytes()));

    let version = |name: &str| match name {
        "greeter" => "1.2.3",
        "greeter-sdk" => "1.0.0",
        _ => "0.1.0",
    };
    let local = |name: &str| json!({ "name": name, "version": version(name), "source": "local" });
    let with = |name: &str, dependencies: &[usize]| {
        let mut package = local(name);
        package["dependencies"] = json!(dependencies);
        package
    };
    let root = |mut package: Value| {
        package["root"] = true.into();
        package
    };
    assert_eq!(
        crates_in(&tree, "hello.plug"),
        json!({ "packages": [local("deep"), local("greeter-sdk"), root(with("hello", &[1, 3])), with("own", &[0])] })
    );
    assert_eq!(
        crates_in(&tree, "libgreeter_sdk.so"),
        json!({ "packages": [root(with("greeter-sdk", &[1])), local("shared")] })
    );
    assert_eq!(crates_in(&tree, "greeter"), json!({ "packages": [root(with("greeter", &[1])), local("greeter-sdk")] }));
}

#[test]
fn the_provenance_says_of_what_and_how() {
    let tree = Tree::small("provenance").titled("Provenance").without_engine().env("SOURCE_DATE_EPOCH", "951827696");
    let image = tree.image(&["--base", "scratch", "--tag", "ghcr.io/you/greeter:1"]);
    let statement = document(&tree, "greeter.provenance.json");
    let digest = image["manifest_digest"].as_str().expect("a digest").trim_start_matches("sha256:");
    assert_eq!(statement["subject"], json!([{ "name": "ghcr.io/you/greeter:1", "digest": { "sha256": digest } }]));
    let definition = &statement["predicate"]["buildDefinition"];
    expect![[r#"
        {
          "base": "scratch",
          "engine": "local",
          "tag": "ghcr.io/you/greeter:1",
          "toolchain": "1.95.0"
        }"#]]
    .assert_eq(&format!("{:#}", definition["externalParameters"]));
    let internal = &definition["internalParameters"];
    assert_eq!(
        internal["command"],
        "cargo xtask image --engine local --toolchain 1.95.0 --base scratch --tag ghcr.io/you/greeter:1"
    );
    assert_eq!(internal["created"], "2000-02-29T12:34:56Z");
    let lock = &definition["resolvedDependencies"][0];
    assert_eq!(
        lock,
        &json!({ "name": "Cargo.lock", "digest": { "sha256": sha256(tree.read("Cargo.lock").as_bytes()) } })
    );
    assert_eq!(definition["resolvedDependencies"][1]["name"], "rustc");
}

#[test]
fn two_dirs_give_the_same_documents() {
    let documents = |tree: &Tree| {
        tree.image(&["--base", "scratch"]);
        ["greeter.cdx.json", "greeter.provenance.json"]
            .map(|file| String::from_utf8(fs::read(tree.image_dir().join(file)).expect("a document")).expect("UTF-8"))
    };
    let first = Tree::small("documents-a").titled("One digest").without_engine();
    let second = Tree::small("documents-b/somewhere/else").titled("One digest").without_engine();
    let (first, second) = ((documents(&first), first), (documents(&second), second));
    assert_eq!(first.0, second.0);
    for (documents, tree) in [first, second] {
        assert!(!documents.concat().contains(tree.root.as_str()), "a path of this machine is in a document");
    }
}

#[test]
fn documents_lie_beside_every_output_and_in_no_archive() {
    let tree = Tree::small("documents-beside").without_engine();
    let image = tree.image(&[
        "--base",
        "scratch",
        "--output",
        "out/copy.tar",
        "--output",
        "out/plain",
        "--output",
        "oci:out/layout",
    ]);
    for (position, kind) in ["cdx", "provenance"].into_iter().enumerate() {
        let standard = fs::read(tree.image_dir().join(format!("greeter.{kind}.json"))).expect("a document");
        for copy in ["copy", "plain", "layout"] {
            let copy = tree.root.join(format!("out/{copy}.{kind}.json"));
            assert_eq!(fs::read(&copy).expect("a copy"), standard, "{copy}");
        }
        let named = &image["documents"][position];
        assert_eq!(named["file"], format!("[ROOT]/target/image/greeter.{kind}.json"));
        let read = |digest: &Value| {
            let digest = digest.as_str().expect("a digest").replace(':', "/");
            fs::read(tree.root.join("out/layout/blobs").join(digest)).expect("a blob")
        };
        let artifact: Value = serde_json::from_slice(&read(&named["referrer"])).expect("JSON");
        assert_eq!(artifact["subject"]["digest"], image["manifest_digest"]);
        assert_eq!(artifact["artifactType"], named["media_type"]);
        assert_eq!(read(&artifact["config"]["digest"]), b"{}");
        assert_eq!(read(&artifact["layers"][0]["digest"]), standard);
    }
    let mut archive = tar::Archive::new(File::open(tree.image_dir().join("greeter.tar")).expect("the archive"));
    let mut entries = archive.entries().expect("entries").map(|entry| entry.expect("an entry"));
    let index = entries.find(|entry| entry.path_bytes().as_ref() == b"index.json").expect("index.json");
    let index: Value = serde_json::from_reader(index).expect("JSON");
    assert_eq!(index["manifests"].as_array().expect("manifests").len(), 1);
    let others: Vec<Vec<u8>> = entries.map(|entry| entry.path_bytes().into_owned()).collect();
    for document in image["documents"].as_array().expect("documents") {
        let digest = document["referrer"].as_str().expect("a digest").replace(':', "/");
        assert!(others.iter().all(|path| !path.ends_with(digest.as_bytes())));
    }
}

#[test]
fn a_layout_with_referrers_holds_one_image() {
    let below = Tree::small("documents-below").without_engine();
    below.image(&["--base", "scratch", "--output", "oci:out"]);
    let tree = Tree::small("documents-above").without_engine();
    tree.write(
        "Cargo.toml",
        &tree.read("Cargo.toml").replace("/opt/greeter", "/opt/another").replace("/srv/greeter", "/srv/another"),
    );
    let dir = below.root.join("out");
    for base in [format!("oci:{dir}"), format!("oci:{dir}:greeter:1.2.3")] {
        let image = tree.image(&["--base", &base]);
        assert_eq!(image["verified"]["said"], "2 plugins loaded");
        let sbom = document(&tree, "greeter.cdx.json");
        let index: Value = serde_json::from_str(&below.read("out/index.json")).expect("JSON");
        let base = component(&sbom, "base:out").expect("the base image");
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
        assert_eq!(base["hashes"][0]["content"], digest.trim_start_matches("sha256:"));
        assert!(
            !fs::read_to_string(tree.image_dir().join("greeter.provenance.json"))
                .expect("a document")
                .contains(dir.as_str())
        );
    }
}

#[test]
fn the_real_trees_crates_stand_where_they_are_linked() {
    let tree = Tree::real("documents").quick().without_engine();
    tree.image(&["--base", "scratch"]);
    let sbom = document(&tree, "provost.cdx.json");
    let below = |reference: &str| -> Vec<String> {
        let name = |url: String| url.strip_prefix("pkg:cargo/").and_then(|url| Some(url.split_once('@')?.0.to_owned()));
        needs(&sbom, reference).into_iter().filter_map(name).collect()
    };
    let linked = |reference: &str, name: &str| below(reference).iter().any(|below| below == name);
    let plugins = plugins().into_iter().map(|name| format!("tree:plugins/{name}"));
    let files: Vec<String> = ["tree:host", "tree:host/sdk"].map(str::to_owned).into_iter().chain(plugins).collect();
    for (name, place) in [("axum", "tree:host"), ("tokio", "tree:host/sdk"), ("lettre", "tree:plugins/smtp")] {
        let places: Vec<&str> = files.iter().map(String::as_str).filter(|file| linked(file, name)).collect();
        assert_eq!(places, [place], "{name}");
    }
    for not_linked in ["serde_derive", "syn", "tempfile"] {
        assert!(!sbom.to_string().contains(&format!("pkg:cargo/{not_linked}@")), "{not_linked} is linked nowhere");
    }
    let lock: toml::Table = toml::from_str(&tree.read("Cargo.lock")).expect("Cargo.lock");
    let packages = lock["package"].as_array().expect("packages");
    let lettre = packages.iter().find(|package| package["name"].as_str() == Some("lettre")).expect("lettre");
    let url = format!("pkg:cargo/lettre@{}", lettre["version"].as_str().expect("a version"));
    let found = component(&sbom, &url).expect("lettre");
    assert_eq!(found["hashes"][0]["content"], lettre["checksum"].as_str().expect("a checksum"));
    assert_eq!(found["licenses"], json!([{ "expression": "MIT" }]));
    assert!(features(&sbom, &url).contains(&"smtp-transport".to_owned()), "{:?}", features(&sbom, &url));
}

#[test]
fn what_a_cfg_links_is_in_it() {
    let tree = Tree::small("documents-cfg").without_engine();
    add_crate(&tree, "extra", "");
    append(
        &tree,
        "plugins/hello/Cargo.toml",
        "[target.'cfg(extra)'.dependencies]\nextra = { path = \"../../lib/extra\" }\n",
    );
    let linked = |tree: &Tree| {
        tree.image(&["--base", "scratch"]);
        needs(&document(tree, "greeter.cdx.json"), "tree:plugins/hello").iter().any(|name| name.contains("extra"))
    };
    assert!(!linked(&tree));
    let tree = tree.env("RUSTFLAGS", "--cfg extra");
    assert!(linked(&tree));
}
