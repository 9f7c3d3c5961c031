//! Compiling in a builder's container, onto every kind of base. The builders are stand-ins; the containers are real.

use std::process::Stdio;

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, GREETINGS, Leftovers, MUSL, MUSL_RLIB};
use serde_json::Value;

/// Builds in a container, then starts the image with its own command.
fn check(engine: &Engine, tree: &Tree, name: &str, args: &[&str]) -> Value {
    let image = tree.image(&[&["--engine", &engine.program, "--tag", name], args].concat());
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    assert_eq!(engine.run(name), GREETINGS);
    engine.no_container_is_left(tree);
    image
}

/// The toolchain of the stand-in, which is its distribution's.
fn musl_release(engine: &Engine) -> String {
    let version = engine.read(&["run", "--rm", "--network", "none", MUSL, "rustc", "--version"]);
    version.split(' ').nth(1).expect("a version").to_owned()
}

#[test]
fn glibc_and_musl_builders_onto_alpine_and_scratch() {
    let engine = Engine::found();
    let tree = Tree::small("engines");
    let name = "localhost/xtask-test/greeter:engines";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    check(&engine, &tree, name, &["--builder-image", GNU, "--base", ALPINE]);
    check(&engine, &tree, name, &["--builder-image", GNU, "--base", "scratch"]);
    let release = musl_release(&engine);
    let musl = ["--builder-image", MUSL, "--toolchain", &release, "--base", ALPINE];
    let image = check(&engine, &tree, name, &musl);
    assert!(image["plan"]["toolchain"]["target"].as_str().expect("a target").ends_with("-linux-musl"));
    assert!(has_std(&image), "std is a library of its own");

    assert_eq!(engine.volumes(&tree).len(), 2);
    let again = tree.xtask(&[&["image", "--engine", &engine.program, "--tag", name], musl.as_slice()].concat());
    assert!(again.stderr.contains("       Fresh host, SDK and 2 plugins: "), "{}", again.stderr);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let edited = tree.image(&[&["--engine", &engine.program, "--tag", name], musl.as_slice()].concat());
    let changed = edited["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    assert_eq!(changed.map(|layer| &layer["name"]).collect::<Vec<_>>(), ["hello.plug"]);
    assert_eq!(engine.run(name), "tone = \"polite\"\ngoodbye\ngood day");

    let run = tree.xtask(&["clean", "--volumes"]);
    assert!(run.stderr.contains(&format!("     Removed 2 volumes from {}\n", engine.program)), "{}", run.stderr);
    assert!(engine.volumes(&tree).is_empty());
}

#[test]
fn std_is_in_the_sdk_where_it_is_an_rlib_only() {
    let engine = Engine::found();
    let tree = Tree::small("engines-rlib");
    let name = "localhost/xtask-test/greeter:rlib";
    let _leftovers = Leftovers::new(&engine, &tree, name);
    let release = musl_release(&engine);
    let args = ["--builder-image", MUSL_RLIB, "--toolchain", &release, "--base", ALPINE];
    assert!(!has_std(&check(&engine, &tree, name, &args)));
}

/// Whether std is a file of the image.
fn has_std(image: &Value) -> bool {
    let layers = image["layers"].as_array().expect("layers").iter();
    let mut files = layers.flat_map(|layer| layer["files"].as_array().expect("files"));
    files.any(|file| file["path"].as_str().expect("a path").contains("/libstd-"))
}

/// An image with nothing but the builder's own C library, where Debian has it: `/lib` is a link to `usr/lib`.
fn import_usr_merged(engine: &Engine, name: &str) {
    let files = "cd / && test -L lib && tar -c bin lib lib64 usr/lib64 usr/lib/*-linux-gnu/ld-* usr/lib/*-linux-gnu/lib[cm].so.6";
    let mut tar = engine.command(&["run", "--rm", "--network", "none", GNU, "sh", "-c", files]);
    let mut tar = tar.stdout(Stdio::piped()).spawn().expect("the container engine starts");
    let mut import = engine.command(&["import", "-", name]);
    let import = import.stdin(tar.stdout.take().expect("its stdout")).output().expect("the container engine starts");
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    assert!(tar.wait().expect("the container engine ends").success());
}

#[test]
fn a_usr_merged_image_as_base() {
    let engine = Engine::found();
    let tree = Tree::small("engines-merged");
    let (base, name) = ("localhost/xtask-test/base:merged", "localhost/xtask-test/greeter:merged");
    let _leftovers = [base, name].map(|image| Leftovers::new(&engine, &tree, image));
    import_usr_merged(&engine, base);
    let image = check(&engine, &tree, name, &["--builder-image", GNU, "--base", base]);
    assert_eq!(image["layers"][0]["name"], base);
}

/// What is built from a tree's Dockerfiles, known by a label that they set; removed at the end.
struct Built<'a> {
    engine: &'a Engine,
    label: String,
}

impl<'a> Built<'a> {
    fn from(engine: &'a Engine, tree: &Tree) -> Built<'a> {
        Built { engine, label: format!("xtask.test={}", tree.root) }
    }

    fn list(&self, command: &[&str]) -> Vec<String> {
        let filter = format!("label={}", self.label);
        let ids = self.engine.read(&[command, &["--quiet", "--filter", &filter]].concat());
        ids.lines().map(str::to_owned).collect()
    }
}

impl Drop for Built<'_> {
    fn drop(&mut self) {
        for container in self.list(&["ps", "--all"]) {
            let _ = self.engine.command(&["rm", "--force", &container]).output();
        }
        for image in self.list(&["images"]) {
            let _ = self.engine.command(&["rmi", "--force", &image]).output();
        }
    }
}

#[test]
fn dockerfiles_that_do_more_than_name_an_image() {
    let engine = Engine::found();
    let tree = Tree::small("engines-dockerfiles");
    // Two names: an image that loses its own stays for ever.
    let [first, second] = ["first", "second"].map(|motd| format!("localhost/xtask-test/greeter:dockerfiles-{motd}"));
    let built = Built::from(&engine, &tree);
    let _leftovers = [&first, &second].map(|image| Leftovers::new(&engine, &tree, image));
    let label = &built.label;
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\nLABEL {label}\nRUN touch /marker\n"));
    let copy = "COPY motd /etc/motd2\nRUN cat /etc/motd2 /etc/motd2 >/etc/twice\n";
    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\nLABEL {label}\n{copy}"));
    tree.write("docker/motd", "first.");
    tree.write("plugins/hello/build.rs", "fn main() {\n    std::fs::read(\"/marker\").expect(\"the builder's\");\n}\n");

    let image = |name: &str| {
        let run = tree.xtask(&["image", "--engine", &engine.program, "--tag", name]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let files = ["--network", "none", "--entrypoint", "cat", name, "/etc/motd2", "/etc/twice"];
        (run.stderr, engine.read(&[["run", "--rm"].as_slice(), &files].concat()))
    };
    let building = |file: &str| format!("    Building docker/{file}.Dockerfile ({})\n", engine.program);
    let (said, files) = image(&first);
    assert!(said.contains(&building("builder")) && said.contains(&building("deploy")), "{said}");
    assert_eq!(files, "first.first.first.");

    let (said, _) = image(&first);
    assert!(said.contains("       Fresh host, SDK and 2 plugins: ") && !said.contains("Building"), "{said}");

    tree.write("docker/motd", "second.");
    let (said, files) = image(&second);
    assert!(said.contains(&building("deploy")), "{said}");
    assert_eq!(files, "second.second.second.");
    assert_eq!(engine.run(&second), GREETINGS);
    engine.no_container_is_left(&tree);
}

#[test]
fn a_dockerfile_that_fails_leaves_no_container() {
    let engine = Engine::found();
    let tree = Tree::small("engines-dockerfile-fails");
    let built = Built::from(&engine, &tree);
    tree.write("docker/builder.Dockerfile", &format!("FROM {ALPINE}\nLABEL {}\nRUN exit 3\n", built.label));
    let run = tree.xtask(&["image", "--engine", &engine.program, "--base", ALPINE]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("docker/builder.Dockerfile failed: "), "{}", run.stderr);
    assert!(built.list(&["ps", "--all"]).is_empty());
}
