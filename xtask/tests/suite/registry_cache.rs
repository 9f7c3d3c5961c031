//! `--cache-from` and `--cache-to`: a machine that was never used takes what another one compiled from the same, and nothing else.

use std::fs;

use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers};
use crate::support::layout::{blob, put, read};
use crate::support::registry::Registry;
use crate::support::{Run, Tree, check, run};
use camino::{Utf8Path, Utf8PathBuf};
use expect_test::expect;
use serde_json::{Value, json};

/// Trees of one content, each with its own directories: machines that know only the registry.
struct Machines {
    elsewhere: Tree,
    registry: Registry,
    title: &'static str,
}

impl Machines {
    fn new(title: &'static str) -> Machines {
        let elsewhere = Tree::small(&format!("{title}-registry"));
        Machines { registry: Registry::start(&elsewhere), elsewhere, title }
    }

    fn machine(&self, name: &str) -> Tree {
        self.registry.trusted_by(Tree::small(&format!("{}-{name}", self.title)).titled(self.title))
    }

    fn reference(&self) -> String {
        format!("{}/greeter:cache", self.registry.address)
    }

    /// Builds an image; what was said, and the report.
    fn image(&self, tree: &Tree, options: &[&str]) -> (String, Value) {
        let name = format!("localhost/xtask-test/greeter:{}", self.title);
        let args = [
            "image",
            "--format",
            "json",
            "--engine",
            "docker",
            "--builder-image",
            GNU,
            "--base",
            ALPINE,
            "--tag",
            &name,
        ];
        let Run { code, stdout, stderr } = tree.xtask(&[&args[..], options].concat());
        assert_eq!(code, Some(0), "{stderr}");
        (stderr, serde_json::from_str(&stdout).expect("JSON"))
    }

    /// What a plan says of the registry.
    fn planned(&self, tree: &Tree, builder: &str) -> String {
        let reference = self.reference();
        let args =
            ["plan", "--engine", "docker", "--builder-image", builder, "--base", ALPINE, "--cache-from", &reference];
        let planned = tree.xtask(&args);
        assert_eq!(planned.code, Some(0), "{}", planned.stderr);
        let line = planned.stdout.lines().find_map(|line| line.strip_prefix("cache      "));
        line.unwrap_or_else(|| panic!("{}", planned.stdout)).replace(&reference, "[REFERENCE]")
    }

    /// What the registry keeps, in a layout of its own.
    fn pull(&self, name: &str) -> Utf8PathBuf {
        let layout = self.elsewhere.root.join(name);
        let (remote, local) = (format!("docker://{}", self.reference()), format!("oci:{layout}:cache"));
        run("skopeo", &["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", &remote, &local]);
        layout
    }

    /// Changes what the registry keeps to an edited copy of a layout: `edit` gets the manifest, and the list of the files.
    fn edit(&self, layout: &Utf8Path, edit: impl FnOnce(&mut Value, &mut Value)) {
        let pristine = fs::read(layout.join("index.json")).expect("an index");
        let mut index = read(layout, "index.json");
        let [mut manifest, mut list] = parts(layout);
        edit(&mut manifest, &mut list);
        manifest["layers"][0] = put(layout, &list, &manifest["layers"][0]);
        index["manifests"][0] = put(layout, &manifest, &index["manifests"][0]);
        fs::write(layout.join("index.json"), index.to_string()).expect("an index");
        let (remote, local) = (format!("docker://{}", self.reference()), format!("oci:{layout}:cache"));
        run("skopeo", &["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", &local, &remote]);
        fs::write(layout.join("index.json"), pristine).expect("an index");
    }
}

/// The manifest, and the list of the files.
fn parts(layout: &Utf8Path) -> [Value; 2] {
    let manifest = blob(layout, &read(layout, "index.json")["manifests"][0]);
    let list = blob(layout, &manifest["layers"][0]);
    [manifest, list]
}

/// Another builder image with the same content.
fn derived(engine: &Engine) -> String {
    let name = "localhost/xtask-test/builder:cached";
    let container = engine.read(&["create", GNU, "true"]);
    engine.read(&["commit", "--change", "LABEL another=yes", &container, name]);
    engine.read(&["rm", &container]);
    name.to_owned()
}

/// Why nothing was taken.
fn not_taken(said: &str) -> &str {
    said.lines().find_map(|line| line.trim_start().strip_prefix("Not taken ")).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn what_was_compiled_from_the_same_is_taken() {
    let machines = Machines::new("cached");
    let reference = machines.reference();
    let first = machines.machine("first");
    let engine = Engine::docker();
    let name = "localhost/xtask-test/greeter:cached";
    let _leftovers = Leftovers::new(&engine, &first, name);
    let (said, built) = machines.image(&first, &["--cache-from", &reference, "--cache-to", &reference]);
    assert!(not_taken(&said).starts_with(&format!("{reference}: ")) && said.contains("manifest unknown"), "{said}");
    assert!(said.contains("   Compiling host, SDK and 2 plugins in "), "{said}");
    assert_eq!((&built["taken_from"], &built["plan"]["isolated"]), (&Value::Null, &json!(true)));

    let second = machines.machine("second");
    let _leftovers = Leftovers::new(&engine, &second, name);
    let would = "[REFERENCE]: host, SDK and plugins were compiled from the same, and would be taken";
    assert_eq!(machines.planned(&second, GNU), would);
    let another = derived(&engine);
    assert_eq!(machines.planned(&second, &another), "[REFERENCE]: not taken: it was compiled from something else");
    engine.read(&["rmi", "--force", &another]);
    let (said, taken) = machines.image(&second, &["--cache-from", &reference]);
    assert!(
        !said.contains("Compiling") && said.contains(&format!("       Taken host, SDK and plugins from {reference}: ")),
        "{said}"
    );
    assert_eq!((&taken["taken_from"], &taken["manifest_digest"]), (&json!(reference), &built["manifest_digest"]));
    assert_eq!(engine.run(name), GREETINGS);

    // Edited, it is something else; and it may be kept under the same name.
    second.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"hallo\"");
    let (said, _) = machines.image(&second, &["--cache-from", &reference, "--cache-to", &reference]);
    assert_eq!(not_taken(&said), format!("{reference}: it was compiled from something else"));
    let (said, _) = machines.image(&first, &["--cache-from", &reference]);
    assert_eq!(not_taken(&said), format!("{reference}: it was compiled from something else"));
    assert!(said.contains("   Compiling "), "{said}");
}

/// Whoever writes to the registry by mistake, or to do harm: each file is checked again.
#[test]
fn what_is_not_what_it_says_is_not_taken() {
    let machines = Machines::new("cached-wrong");
    let reference = machines.reference();
    let tree = machines.machine("first");
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, "localhost/xtask-test/greeter:cached-wrong");
    let keep = || machines.image(&tree, &["--cache-to", &reference]);
    // Another SDK, whole and sealed.
    let sdk = "greeter/sdk/src/lib.rs";
    let source = tree.read(sdk);
    tree.write(sdk, &format!("{source}\npub fn added() {{}}\n"));
    keep();
    let other = parts(&machines.pull("other"));
    tree.write(sdk, &source);
    keep();
    let kept = machines.pull("kept");
    // All blobs are at hand, of both.
    for blob in fs::read_dir(machines.elsewhere.root.join("other/blobs/sha256")).expect("blobs") {
        let blob = blob.expect("a blob");
        fs::copy(blob.path(), kept.join("blobs/sha256").join(blob.file_name().to_str().expect("a digest")))
            .expect("a copy");
    }
    let second = machines.machine("second");
    let _leftovers = Leftovers::new(&Engine::docker(), &second, "localhost/xtask-test/greeter:cached-wrong");
    let why = |edit: &dyn Fn(&mut Value, &mut Value)| {
        machines.edit(&kept, edit);
        let (said, image) = machines.image(&second, &["--cache-from", &reference]);
        assert_eq!(image["taken_from"], Value::Null);
        not_taken(&said).replace(&reference, "[REFERENCE]")
    };
    // The list, the host, the SDK, std, then the plugins.
    let swapped = why(&|manifest, _| manifest["layers"].as_array_mut().expect("layers").swap(4, 5));
    assert_eq!(swapped, "[REFERENCE]: its file 3 is not the one that its list names");
    let relisted = why(&|manifest, list| {
        manifest["layers"].as_array_mut().expect("layers").swap(4, 5);
        list["files"].as_array_mut().expect("digests").swap(3, 4);
    });
    assert_eq!(relisted, "[REFERENCE]: goodbye.plug: it is another package, or other crates are linked into it");
    let older = why(&|manifest, _| manifest["layers"][2] = other[0]["layers"][2].clone());
    assert_eq!(older, "[REFERENCE]: its file 1 is not the one that its list names");
    let labelled = why(&|manifest, list| {
        let annotations = manifest["annotations"].clone();
        *manifest = other[0].clone();
        manifest["annotations"] = annotations;
        *list = other[1].clone();
    });
    assert_eq!(labelled, "[REFERENCE]: its list of files is of another build");
    let outside = why(&|_, list| list["dist"]["sdk"]["name"] = json!("../libgreeter_sdk.so"));
    assert_eq!(outside, "[REFERENCE]: it names the path ../libgreeter_sdk.so, which is outside of it");
    let fewer = why(&|manifest, _| drop(manifest["layers"].as_array_mut().expect("layers").pop()));
    assert!(fewer.starts_with("[REFERENCE]: it has ") && fewer.contains(" files, and its list "), "{fewer}");
    let else_ = why(&|manifest, _| manifest["artifactType"] = json!("application/vnd.other"));
    assert_eq!(else_, "[REFERENCE]: it is something else");
    let without = why(&|_, list| drop(list["dist"]["plugins"].as_array_mut().expect("plugins").pop()));
    assert!(without.contains(" files, and its list "), "{without}");
}

#[test]
fn what_cannot_be_kept_at_all() {
    let tree = Tree::small("cached-local").without_engine();
    check(
        &tree,
        &["image", "--cache-from", "greeter:cache"],
        expect![[r#"
            error: --cache-from greeter:cache has no registry; write it as in ghcr.io/you/greeter:cache
        "#]],
    );
    let run = tree.xtask(&["image", "--base", "scratch", "--cache-to", "localhost:1/greeter:cache"]);
    let error = "error: --cache-from and --cache-to need a build in a container: what else this machine compiles with is not known\n";
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.ends_with(error), "{}", run.stderr);
}
