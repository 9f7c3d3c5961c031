//! What becomes of each layer: what the plan predicts, what the image then is, and why.

use crate::support::{Tree, layers};
use expect_test::expect;
use serde_json::Value;

type Layers = Vec<(String, Vec<String>)>;

fn texts(value: &Value) -> Vec<String> {
    value.as_array().expect("texts").iter().map(|text| text.as_str().expect("text").to_owned()).collect()
}

fn new_layers(layers: &Value, is_new: impl Fn(&Value) -> bool) -> Layers {
    let new = layers.as_array().expect("layers").iter().filter(|layer| is_new(layer));
    new.map(|layer| (layer["name"].as_str().expect("a name").to_owned(), texts(&layer["why"]))).collect()
}

/// The layers that the plan says are new, and why.
fn predicted(tree: &Tree) -> Layers {
    let run = tree.xtask(&["plan", "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let plan: Value = serde_json::from_str(&run.stdout).expect("JSON");
    new_layers(&plan["layers"], |layer| layer["forecast"] == "new")
}

/// What the plan predicts, and the image then is.
fn check(tree: &Tree, expected: &[(&str, &str)]) {
    let expected: Layers = expected.iter().map(|(name, why)| ((*name).to_owned(), vec![(*why).to_owned()])).collect();
    assert_eq!(predicted(tree), expected);
    assert_eq!(new_layers(&tree.image(&[])["layers"], |layer| layer["new"] == true), expected);
    assert_eq!(predicted(tree), []);
}

#[test]
fn the_plan_predicts_which_layers_are_new() {
    let tree = Tree::small("predicted").without_engine();
    check(&tree, &ALL.map(|name| (name, "first image")));
    check(&tree, &[]);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    check(&tree, &[("hello.plug", "plugins/hello changed")]);
    tree.add_plugin("hello", "welcome");
    check(&tree, &[("welcome.plug", "the plugin welcome was added")]);
    std::fs::remove_dir_all(tree.root.join("plugins/welcome")).expect("the plugin's directory");
    check(&tree, &[]);
    tree.write("greeter/default.toml", "tone = \"rude\"\n");
    // It lies in the host's directory, so the host might hold it, which only its file shows.
    let predicted_new: Vec<String> = predicted(&tree).into_iter().map(|(name, _)| name).collect();
    assert_eq!(predicted_new, ["greeter", "configuration"]);
    let new = new_layers(&tree.image(&[])["layers"], |layer| layer["new"] == true);
    assert_eq!(new, [("configuration".to_owned(), vec!["greeter/default.toml changed".to_owned()])]);

    tree.write("greeter/sdk/src/lib.rs", &(tree.read("greeter/sdk/src/lib.rs") + "\n/// More.\npub fn more() {}\n"));
    let of_sdk = ["libraries", "greeter", "goodbye.plug", "hello.plug"];
    assert_eq!(predicted(&tree), of_sdk.map(|name| (name.to_owned(), vec!["the SDK changed".to_owned()])));
    tree.image(&[]);
    let tree = tree.env("RUSTFLAGS", "--cfg loud");
    assert_eq!(
        predicted(&tree),
        ALL.map(|name| (name.to_owned(), vec!["rustflags changed: --cfg loud added".to_owned()]))
    );
}

const ALL: [&str; 5] = ["libraries", "greeter", "configuration", "goodbye.plug", "hello.plug"];

#[test]
fn an_edited_plugin_and_a_commit_change_one_layer() {
    let tree = Tree::small("committed").without_engine();
    tree.write(".gitignore", "/target\n/xtask/path\n");
    let first = tree.commit();
    let before = tree.image(&[]);
    assert_eq!(tree.label("org.opencontainers.image.revision"), first);
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let second = tree.commit();
    let after = tree.image(&[]);
    assert_eq!(tree.label("org.opencontainers.image.revision"), second);
    assert_ne!(before["manifest_digest"], after["manifest_digest"]);
    let pairs = layers(&before).into_iter().zip(layers(&after));
    let changed: Vec<String> = pairs.filter(|(before, after)| before != after).map(|(_, after)| after.0).collect();
    assert_eq!(changed, ["hello.plug"]);
}

/// A crate with a feature, which the SDK uses and hello may turn it on of.
fn with_shared_crate(tree: &Tree) {
    tree.write(
        "shared/Cargo.toml",
        "[package]\nname = \"shared\"\nversion = \"0.3.0\"\nedition = \"2024\"\n\n[features]\nloud = []\n",
    );
    tree.write(
        "shared/src/lib.rs",
        "//! How loud.\n\npub fn volume() -> u32 {\n    if cfg!(feature = \"loud\") { 11 } else { 5 }\n}\n",
    );
    tree.replace("Cargo.toml", "greeter-sdk = {", "shared = { path = \"shared\" }\ngreeter-sdk = {");
    tree.replace("Cargo.toml", "\"greeter/sdk\", ", "\"greeter/sdk\", \"shared\", ");
    for manifest in ["greeter/sdk/Cargo.toml", "plugins/hello/Cargo.toml"] {
        let text = tree.read(manifest).replace("greeter-sdk.workspace = true\n", "");
        let sdk = if manifest.contains("hello") { "greeter-sdk.workspace = true\n" } else { "" };
        let text = text.replace("[dependencies]\n", "");
        tree.write(manifest, &format!("{}\n\n[dependencies]\n{sdk}shared.workspace = true\n", text.trim_end()));
    }
    let export = "\npub use shared::volume;\n";
    tree.write("greeter/sdk/src/lib.rs", &(tree.read("greeter/sdk/src/lib.rs") + export));
}

#[test]
fn a_plugin_that_turns_on_a_feature_of_a_shared_crate_changes_every_layer() {
    let tree = Tree::small("turned-on").without_engine();
    with_shared_crate(&tree);
    tree.image(&[]);
    tree.replace(
        "plugins/hello/Cargo.toml",
        "shared.workspace = true",
        "shared = { workspace = true, features = [\"loud\"] }",
    );
    let why = |more: &[&str]| -> Vec<String> {
        more.iter().chain(&["hello turned on shared/loud"]).map(|why| (*why).to_owned()).collect()
    };
    let expected: Layers = vec![
        ("libraries".to_owned(), why(&[])),
        ("greeter".to_owned(), why(&[])),
        ("goodbye.plug".to_owned(), why(&[])),
        ("hello.plug".to_owned(), why(&["plugins/hello changed"])),
    ];
    assert_eq!(predicted(&tree), expected);
    let run = tree.xtask(&["image", "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let said = "    Features hello turned on shared/loud: every layer changes\n";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    let image: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(new_layers(&image["layers"], |layer| layer["new"] == true), expected);
}

/// Digests and sizes, which are others with another toolchain, are masked.
fn masked(text: &str) -> String {
    let mask = |line: &str| match line.split_once("reused sha256:") {
        Some((before, rest)) => {
            format!("{before}reused sha256:[{}] [SIZE]\n", rest.split(' ').next().map_or(0, str::len))
        }
        None => format!("{line}\n"),
    };
    text.lines().map(mask).collect()
}

#[test]
fn a_plan_shows_what_becomes_of_each_layer() {
    let tree = Tree::small("plan-layers").without_engine();
    tree.image(&[]);
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let run = tree.xtask(&["plan"]);
    let begin = run.stdout.find("layers ").expect("the layers");
    expect![[r#"
        layers     libraries      the SDK and shared libraries, reused sha256:[12] [SIZE]
                   greeter        the host, reused sha256:[12] [SIZE]
                   configuration  the default configuration, reused sha256:[12] [SIZE]
                   goodbye.plug   the plugin goodbye, reused sha256:[12] [SIZE]
                   hello.plug     the plugin hello, new: plugins/hello changed
    "#]]
    .assert_eq(&masked(&run.stdout[begin..]));
    let run = tree.xtask(&["image"]);
    let said = |line: &&str| line.contains(" New ") || line.contains("Assembling");
    let lines: Vec<&str> = run.stderr.lines().filter(said).collect();
    let [assembling, new] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(assembling.starts_with("  Assembling 5 layers on scratch: 1 new (hello.plug "), "{assembling}");
    assert!(assembling.ends_with("KB), 4 reused"), "{assembling}");
    assert!(new.starts_with("         New hello.plug ") && new.ends_with(": plugins/hello changed"), "{new}");
    let run = tree.xtask(&["image", "-v"]);
    assert_eq!(run.stderr.lines().filter(|line| line.starts_with("      Reused ")).count(), 5, "{}", run.stderr);
}

/// What a plugin needs of the system's libraries, only its file shows.
#[test]
fn a_library_that_comes_along_is_named() {
    let tree = Tree::small("another-library").without_engine();
    tree.image(&[]);
    tree.replace(
        "plugins/hello/src/lib.rs",
        "    \"hello\".to_owned()",
        "    #[link(name = \"m\")]\n    unsafe extern \"C\" {\n        safe fn j0(value: f64) -> f64;\n    }\n    \
         j0(0.5).to_string()",
    );
    assert_eq!(predicted(&tree), [("hello.plug".to_owned(), vec!["plugins/hello changed".to_owned()])]);
    let new = new_layers(&tree.image(&[])["layers"], |layer| layer["new"] == true);
    let names: Vec<&str> = new.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["libraries", "hello.plug"]);
    assert!(new[0].1[0].ends_with("/libm.so.6 came along"), "{new:?}");
}

/// Crates of the tree stand for those of the registry, which have the same names.
#[test]
fn a_second_implementation_of_cryptography_is_said_with_its_cost_and_who_turns_it_on() {
    let tree = Tree::small("crypto").without_engine();
    let add = |name: &str, rest: &str| {
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n{rest}");
        tree.write(&format!("crates/{name}/Cargo.toml"), &manifest);
        tree.write(&format!("crates/{name}/src/lib.rs"), "");
    };
    add("aws-lc-rs", "");
    add(
        "tls",
        "[features]\naws_lc_rs = [\"dep:aws-lc-rs\"]\n\n[dependencies]\naws-lc-rs = { path = \"../aws-lc-rs\", optional = true }\n",
    );
    add("client", "[features]\ndefault = [\"tls/aws_lc_rs\"]\n\n[dependencies]\ntls = { path = \"../tls\" }\n");
    tree.write("crates/aws-lc-rs/src/lib.rs", "pub static BYTES: [u8; 300_000] = *include_bytes!(\"bytes\");\n");
    // Bytes that cannot be compressed: a layer must grow by as much.
    let mut state = 1_u64;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(300_000)
    .collect();
    tree.write_bytes("crates/aws-lc-rs/src/bytes", &bytes);
    let uses = "#[cfg(feature = \"aws_lc_rs\")]\npub fn bytes() -> &'static [u8] {\n    &aws_lc_rs::BYTES\n}\n";
    tree.write("crates/tls/src/lib.rs", uses);
    let sdk = tree.read("greeter/sdk/Cargo.toml");
    tree.write("greeter/sdk/Cargo.toml", &format!("{sdk}\n[dependencies]\ntls = {{ path = \"../../crates/tls\" }}\n"));
    tree.write("greeter/sdk/src/lib.rs", &format!("{}\npub use tls;\n", tree.read("greeter/sdk/src/lib.rs")));
    let run = tree.xtask(&["image"]);
    assert!(run.code == Some(0) && !run.stderr.contains("cryptography"), "{}", run.stderr);

    tree.replace(
        "plugins/hello/Cargo.toml",
        "[dependencies]",
        "[dependencies]\nclient = { path = \"../../crates/client\" }",
    );
    let run = tree.xtask(&["image"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let warnings: Vec<&str> = run.stderr.lines().filter(|line| line.contains("cryptography")).collect();
    assert_eq!(
        warnings,
        [
            "warning: aws-lc-rs 1.0.0 is a second implementation of cryptography beside the SDK's, about 4.5 MB in every image; hello \
         turns it on by client > tls: write `default-features = false` for client in its Cargo.toml; `--without hello` builds the others"
        ]
    );
    let grown: Vec<&str> = run.stderr.lines().filter(|line| line.contains(" more) sha256:")).collect();
    assert_eq!(grown.len(), 1, "{}", run.stderr);
    assert!(
        grown[0].contains("New libraries (the SDK and shared libraries), ") && grown[0].contains(" (3"),
        "{}",
        grown[0]
    );

    let run = tree.xtask(&["check", "hello", "--format", "json"]);
    let found: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let crypto = found["errors"].as_array().expect("errors").iter().find(|error| error["code"] == "crypto");
    assert_eq!(
        crypto.expect("it is found")["message"],
        "plugins/hello: aws-lc-rs 1.0.0 is a second implementation of cryptography beside the SDK's, about 4.5 MB in every image; hello \
         turns it on by client > tls: write `default-features = false` for client in its Cargo.toml"
    );
}
