//! An image goes to a registry, and comes back.

use std::fs;

use crate::support::engine::{Engine, GREETINGS, Leftovers};
use crate::support::registry::{Gate, Refuses, Registry};
use crate::support::{Tree, run, sha256};
use camino::Utf8Path;
use expect_test::expect;
use serde_json::{Value, json};

#[test]
fn skopeo_pushes_the_digest_that_was_printed() {
    let tree = Tree::small("push");
    let registry = Registry::start(&tree);
    let tree = registry.trusted_by(tree);
    let name = format!("{}/greeter:1", registry.address);
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, &name);
    let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
    let digest = image["manifest_digest"].as_str().expect("a digest");
    let referrers: Vec<&Value> =
        image["documents"].as_array().expect("documents").iter().map(|of| &of["referrer"]).collect();
    assert_eq!(
        image["pushed"],
        json!({ "reference": name, "digest": digest, "moved": image["pushed"]["moved"], "signed": false, "referrers": referrers })
    );
    let there =
        run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")]);
    assert_eq!(there, digest);

    let pinned = format!("{}/greeter@{digest}", registry.address);
    Engine::docker().read(&["pull", "--quiet", &pinned]);
    assert_eq!(Engine::docker().run(&pinned), GREETINGS);
    let pulled = tree.root.join("pulled");
    pull(&format!("{}/greeter:1", registry.address), &pulled);
    let manifest = fs::read(pulled.join("manifest.json")).expect("a manifest");
    assert_eq!(digest, format!("sha256:{}", sha256(&manifest)));
}

/// Everything, then nothing but the manifest, then what one edited plugin changes.
#[test]
fn what_the_registry_has_is_not_sent_again() {
    let tree = Tree::small("push-moved").without_engine();
    let registry = Registry::start(&tree);
    let tree = registry.trusted_by(tree);
    let name = format!("{}/greeter:1", registry.address);
    let push = || {
        let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
        let reference = format!("docker://{name}");
        let size = |args: &[&str]| {
            let args = [&["inspect", "--tls-verify=false", "--raw"], args, &[reference.as_str()]].concat();
            let output = std::process::Command::new("skopeo").args(args).output().expect("skopeo starts");
            output.stdout.len() as u64
        };
        let (manifest, config) = (size(&[]), size(&["--config"]));
        (image, manifest, config)
    };
    let moved = |image: &Value| image["pushed"]["moved"].as_u64().expect("bytes");
    let (first, manifest, config) = push();
    let layers = first["layers"].as_array().expect("layers").iter().map(|layer| layer["size"].as_u64().expect("bytes"));
    assert_eq!(moved(&first), layers.sum::<u64>() + manifest + config);
    let (again, manifest, _) = push();
    assert_eq!(moved(&again), manifest);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"hallo\"");
    let (edited, manifest, config) = push();
    let layers = edited["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    let layers: Vec<&Value> = layers.collect();
    assert_eq!(layers.iter().map(|layer| &layer["name"]).collect::<Vec<_>>(), ["hello.plug"]);
    assert_eq!(moved(&edited), layers[0]["size"].as_u64().expect("bytes") + manifest + config);
}

#[test]
fn skopeo_pushes_what_refers_to_the_image() {
    let tree = Tree::small("push-referrers").without_engine();
    let registry = Registry::start(&tree);
    let tree = registry.trusted_by(tree);
    let repository = format!("{}/greeter", registry.address);
    let mut expected = Vec::new();
    // The same image under another name is described by other documents: the list has both.
    for name in [format!("{repository}:1"), format!("{repository}:2"), format!("{repository}:2")] {
        let image = tree.image(&["--base", "scratch", "--tag", &name, "--push", &name]);
        let digest = image["manifest_digest"].as_str().expect("a digest");
        let listed = raw(&format!("{repository}:{}", digest.replace(':', "-")));
        for document in image["documents"].as_array().expect("documents") {
            let referrer = document["referrer"].as_str().expect("a digest").to_owned();
            let artifact = raw(&format!("{repository}@{referrer}"));
            assert_eq!(artifact["subject"]["digest"], digest);
            assert_eq!(artifact["artifactType"], document["media_type"]);
            let copy = tree.root.join("artifact");
            pull(&format!("{repository}@{referrer}"), &copy);
            let blob = artifact["layers"][0]["digest"].as_str().expect("a digest").trim_start_matches("sha256:");
            let written = fs::read(document["file"].as_str().expect("a path").replace("[ROOT]", tree.root.as_str()))
                .expect("a document");
            assert_eq!(fs::read(copy.join(blob)).expect("the document"), written);
            if !expected.contains(&referrer) {
                expected.push(referrer);
            }
        }
        let listed = listed["manifests"].as_array().expect("manifests").iter().map(|of| of["digest"].as_str());
        assert_eq!(listed.flatten().collect::<Vec<_>>(), expected);
    }
    assert_eq!(expected.len(), 4);
}

/// A manifest as the registry has it.
fn raw(reference: &str) -> Value {
    let text = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    serde_json::from_str(&text).expect("JSON")
}

fn pull(reference: &str, dir: &Utf8Path) {
    let (from, to) = (format!("docker://{reference}"), format!("dir:{dir}"));
    run("skopeo", &["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false", &from, &to]);
}

#[test]
fn docker_pushes_and_the_registrys_own_digest_is_printed() {
    let tree = Tree::small("push-docker");
    let registry = Registry::start(&tree);
    let name = format!("{}/greeter:2", registry.address);
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, &name);
    let tree = tree.without(&["skopeo", "podman"]);
    let run_ = tree.xtask(&["image", "--base", "scratch", "--format", "json", "--push", &name]);
    assert_eq!(run_.code, Some(0), "{}", run_.stderr);
    let image: Value = serde_json::from_str(&run_.stdout).expect("JSON");
    let there =
        run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &format!("docker://{name}")]);
    assert_eq!(image["pushed"]["digest"], there.as_str());
    assert_ne!(image["manifest_digest"], there.as_str());
    assert_eq!(image["pushed"]["referrers"], json!([]));
    assert!(
        run_.stderr.contains("warning: the digest in the registry differs from the archive's, "),
        "{}",
        run_.stderr
    );
    let warning = "warning: the SBOM and the provenance were not pushed: docker can push only images; install skopeo to push \
        them\n";
    assert!(run_.stderr.contains(warning), "{}", run_.stderr);
    let not_signed = format!("  Not signed {name}; `--sign` signs it\n");
    assert!(run_.stderr.ends_with(&not_signed), "{}", run_.stderr);
}

#[test]
fn a_name_without_a_registry() {
    let tree = Tree::small("push-nowhere");
    let run = tree.xtask(&["image", "--base", "scratch", "--push", "greeter:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
    expect![[r#"
        error: --push greeter:1 has no registry; write it as in ghcr.io/you/greeter:1
    "#]]
    .assert_eq(error);
}

/// Newer tools may take it: then it is the registry that does not answer.
#[test]
fn a_registry_by_its_address() {
    let tree = Tree::small("push-address").without_engine();
    let run = tree.xtask(&["image", "--base", "scratch", "--push", "[::1]:1/greeter:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = "error: --push [::1]:1/greeter:1: this skopeo does not support an IPv6 address for a registry; give the \
        address a name in DNS or /etc/hosts and push to it\n";
    assert!(run.stderr.ends_with(error) || run.stderr.contains("error: pushing [::1]:1/greeter:1: "), "{}", run.stderr);
}

#[test]
fn nothing_to_push_with() {
    let tree = Tree::small("push-nothing").without(&["docker", "podman", "skopeo"]);
    let run = tree.xtask(&["image", "--base", "scratch", "--push", "127.0.0.1:1/greeter:1"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    let error = &run.stderr[run.stderr.find("error: ").expect("an error")..];
    expect![[r#"
        error: --push needs skopeo, docker or podman; install one of them
    "#]]
    .assert_eq(error);
}

/// Pushes through a registry that refuses something; what was pushed, and what was said after that.
fn push_through(tree: &Tree, gate: &Gate, name: &str) -> (Value, String) {
    let run = tree.xtask(&["image", "--base", "scratch", "--format", "json", "--push", name]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let image: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let said = run.stderr.split("      Pushed ").last().expect("a line").replace(&gate.address, "[GATE]");
    (image, said)
}

#[test]
fn an_image_is_pushed_where_its_documents_are_refused() {
    let tree = Tree::small("push-refused").without_engine();
    let registry = Registry::start(&tree);
    let gate = Gate::before(&registry, Refuses::Referrers);
    let (image, said) = push_through(&tree, &gate, &format!("{}/greeter:1", gate.address));
    let digest = image["manifest_digest"].as_str().expect("a digest");
    assert_eq!(
        image["pushed"],
        json!({
            "reference": format!("{}/greeter:1", gate.address), "digest": digest, "moved": image["pushed"]["moved"], "signed": false,
            "referrers": [],
        })
    );
    let (line, warning) = said.split_once('\n').expect("two lines");
    assert_eq!(line.split_once(", ").map(|(name, _)| name), Some(format!("[GATE]/greeter:1@{digest}").as_str()));
    let begin = "warning: the SBOM and the provenance were not pushed; they are beside the archive: pushing them \
        to [GATE]/greeter: `skopeo copy --quiet --all --dest-tls-verify=false ";
    assert!(warning.starts_with(begin) && warning.contains("manifest invalid"), "{warning}");
}

#[test]
fn a_tag_that_may_not_be_written_again_is_no_error_of_the_same_image() {
    let tree = Tree::small("push-immutable").without_engine();
    let registry = Registry::start(&tree);
    let gate = Gate::before(&registry, Refuses::SecondTags);
    let name = format!("{}/greeter:1", gate.address);
    let (first, _) = push_through(&tree, &gate, &name);
    let (second, _) = push_through(&tree, &gate, &name);
    for key in ["reference", "digest", "referrers"] {
        assert_eq!(first["pushed"][key], second["pushed"][key]);
    }

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let run = tree.xtask(&["image", "--base", "scratch", "--push", &name]);
    let error = run.stderr.lines().find(|line| line.starts_with("error: ")).expect("an error");
    assert!(
        run.code == Some(1) && error.starts_with(&format!("error: pushing {name}: `skopeo --debug copy ")),
        "{}",
        run.stderr
    );
    assert_eq!(raw(&name)["config"]["digest"], first["config_digest"]);
}

#[test]
fn a_list_that_cannot_be_read_is_not_replaced() {
    let tree = Tree::small("push-list").without_engine();
    let registry = Registry::start(&tree);
    let repository = format!("{}/greeter", registry.address);
    let image = tree.image(&["--base", "scratch", "--push", &format!("{repository}:1")]);
    let list = format!("{repository}:{}", image["manifest_digest"].as_str().expect("a digest").replace(':', "-"));
    let before = raw(&list);
    let gate = Gate::before(&registry, Refuses::Lists);
    // Another name, so that it has other documents.
    let (_, said) = push_through(&tree, &gate, &format!("{}/greeter:2", gate.address));
    assert!(said.contains("\nwarning: the SBOM and the provenance were not pushed; "), "{said}");
    assert_eq!(raw(&list), before);
}
