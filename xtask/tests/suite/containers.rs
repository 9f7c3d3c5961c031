//! Images in a container engine: loaded, named, run, and taken as a base.

use std::process::Command;

use crate::support::{Tree, layers, run};

/// Removes an image's name when the test ends.
struct Named(&'static str);

impl Drop for Named {
    fn drop(&mut self) {
        let _ = engine(&["rmi", "--force", self.0]);
    }
}

/// The container engine that `cargo xtask test` found.
fn engine(args: &[&str]) -> String {
    let program = std::env::var("XTASK_ENGINE").expect("XTASK_ENGINE is not set; run the tests by `cargo xtask test`");
    let output = Command::new(program).args(args).output().expect("the container engine starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {stderr}");
    stdout.trim().to_owned()
}

#[test]
fn an_image_is_loaded_under_its_name_and_runs() {
    let name = Named("localhost/xtask-test/greeter:runs");
    let tree = Tree::small("runs");
    let image = tree.image(&["--tag", name.0]);
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    let said = engine(&["run", "--rm", "--read-only", "--network", "none", name.0]);
    assert_eq!(said, "tone = \"polite\"\ngoodbye\nhello");

    let again = tree.xtask(&["image", "--tag", name.0]);
    assert!(again.stderr.contains("   Unchanged localhost/xtask-test/greeter:runs in "), "{}", again.stderr);
}

/// What an engine does with arguments, on both roads.
#[test]
fn arguments_replace_a_command_and_are_added_to_an_entrypoint() {
    let name = Named("localhost/xtask-test/greeter:entrypoint");
    let tree = Tree::small("entrypoint-run");
    let run = ["run", "--rm", "--network", "none", name.0];
    tree.image(&["--tag", name.0]);
    let own = ["./greeter", "--settings", "etc/settings.toml", "--dry-run"];
    assert_eq!(engine(&[&run[..], &own].concat()), "0 plugins loaded");
    let image = tree.image(&["--tag", name.0, "--entrypoint"]);
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    assert_eq!(engine(&run), "tone = \"polite\"\ngoodbye\nhello");
    assert_eq!(engine(&[&run[..], &["--plugin", "hello.plug", "--dry-run"]].concat()), "3 plugins loaded");
}

#[test]
fn docker_gets_only_the_layers_that_it_lacks() {
    let name = Named("localhost/xtask-test/greeter:edited");
    let tree = Tree::small("edited");
    let image = tree.image(&["--tag", name.0]);
    let number = layers(&image).len();
    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good morning\"");
    let run = tree.xtask(&["image", "--tag", name.0]);
    let above = layers(&image).into_iter().skip_while(|(name, _)| name != "hello.plug").count();
    // Podman reads all layers of an archive.
    let is_docker = std::env::var("XTASK_ENGINE").is_ok_and(|engine| engine == "docker");
    let had = format!("; docker had {} of {number} layers\n", number - above);
    assert!(!is_docker || above < number && run.stderr.contains(&had), "expected {had}:\n{}", run.stderr);
    assert_eq!(engine(&["run", "--rm", name.0]), "tone = \"polite\"\ngoodbye\ngood morning");

    // The image from before is gone, and its layers with it.
    engine(&["rmi", "--force", name.0]);
    tree.replace("plugins/hello/src/lib.rs", "good morning", "good evening");
    let run = tree.xtask(&["image", "--tag", name.0]);
    assert!(run.code == Some(0) && !run.stderr.contains(" had "), "{}", run.stderr);
    assert_eq!(engine(&["run", "--rm", name.0]), "tone = \"polite\"\ngoodbye\ngood evening");
}

#[test]
fn an_image_that_does_not_start_gets_no_name() {
    let name = Named("localhost/xtask-test/greeter:broken");
    let tree = Tree::small("broken-in-container engine");
    let before = tree.image(&["--tag", name.0]);
    tree.replace("greeter/src/main.rs", "if dry_run {", "assert!(!dry_run, \"not today\");\n    if dry_run {");
    let run = tree.xtask(&["image", "--tag", name.0]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.contains("error: the image does not start: ") && run.stderr.contains("not today"),
        "{}",
        run.stderr
    );
    let id = engine(&["image", "inspect", "--format", "{{.Id}}", name.0]);
    assert!(before["config_digest"].as_str().expect("a digest").ends_with(id.trim_start_matches("sha256:")));
}

#[test]
fn a_plugin_reads_what_it_ships() {
    let name = Named("localhost/xtask-test/greeter:ships");
    let tree = Tree::small("ships");
    tree.replace("Cargo.toml", "config = \"/opt", "plugin-config = \"/opt/greeter/etc/plugins\"\nconfig = \"/opt");
    let before = tree.image(&["--tag", name.0]);
    tree.write("plugins/hello/words/of/welcome.txt", "welcome");
    tree.write("plugins/hello/loud", "#!/bin/sh\n");
    run("chmod", &["755", tree.root.join("plugins/hello/loud").as_str()]);
    tree.write("plugins/hello/default.toml", "volume = 11");
    let manifest = tree.read("plugins/hello/Cargo.toml");
    let table = "\n[package.metadata.greeter]\nassets = [\"words\", \"loud\"]\nconfig = \"default.toml\"\n";
    tree.write("plugins/hello/Cargo.toml", &(manifest + table));
    let code = r#"
        let read = |path| std::fs::read_to_string(path).expect("a file that is shipped");
        let loud = std::fs::metadata("assets/hello/loud").expect("a file that is shipped");
        let mode = std::os::unix::fs::PermissionsExt::mode(&loud.permissions()) & 0o777;
        format!("{} {mode:o} {}", read("assets/hello/words/of/welcome.txt"), read("etc/plugins/hello.toml"))
    "#;
    tree.replace("plugins/hello/src/lib.rs", "\"hello\".to_owned()", code);
    let after = tree.image(&["--tag", name.0]);
    let said = engine(&["run", "--rm", "--read-only", "--network", "none", name.0]);
    assert_eq!(said, "tone = \"polite\"\ngoodbye\nwelcome 755 volume = 11");
    // What starts the host without an image finds them too.
    assert!(tree.image_dir().join("dist/assets/hello/words/of/welcome.txt").is_file());

    tree.write("plugins/hello/words/of/welcome.txt", "come in");
    let edited = tree.image(&["--tag", name.0]);
    let said = engine(&["run", "--rm", "--read-only", "--network", "none", name.0]);
    assert_eq!(said, "tone = \"polite\"\ngoodbye\ncome in 755 volume = 11");
    for (old, new) in [(&before, &after), (&after, &edited)] {
        let changed = layers(new).into_iter().filter(|layer| !layers(old).contains(layer)).map(|(name, _)| name);
        assert_eq!(changed.collect::<Vec<_>>(), ["hello.plug"]);
    }
}

#[test]
fn an_image_of_the_engine_is_a_base() {
    let (base, name) = (Named("localhost/xtask-test/base:two-layers"), Named("localhost/xtask-test/greeter:based"));
    let tree = Tree::small("based");
    // A base with two layers of its own, of which one is another image's.
    tree.image(&["--tag", base.0]);
    let fresh = Tree::small("based-on");
    for (key, value) in [("working-dir", "/opt/second"), ("state-dir", "/srv/second")] {
        let old = value.replace("second", "greeter");
        fresh.replace("Cargo.toml", &format!("{key} = \"{old}\""), &format!("{key} = \"{value}\""));
    }
    fresh.replace("Cargo.toml", "/opt/greeter/etc/settings.toml", "/opt/second/settings.toml");
    let below = tree.image(&["--tag", base.0]);
    let image = fresh.image(&["--base", base.0, "--tag", name.0]);
    let count = layers(&below).len();
    let digests = |image| layers(image).into_iter().map(|(_, digest)| digest).collect::<Vec<_>>();
    assert_eq!(digests(&image)[..count], digests(&below), "the base image's layers come first, byte for byte");
    assert_eq!(engine(&["run", "--rm", name.0]), "tone = \"polite\"\ngoodbye\nhello");

    let refused = Tree::small("based-clash");
    let run = refused.xtask(&["image", "--base", base.0]);
    assert!(
        run.stderr.ends_with(
            "error: making the layer libraries: the base image already has /opt/greeter/libgreeter_sdk.so, which the image \
             adds; choose another base image, or rename the added file\n"
        ),
        "{}",
        run.stderr
    );
}
