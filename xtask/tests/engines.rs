//! Compiling in a builder's container, onto every kind of base. The builders are stand-ins; the containers are real.

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::Tree;
use support::runtime::{ALPINE, GNU, GREETINGS, Leftovers, MUSL, Runtime};

/// Builds in a container, then starts the image with its own command.
fn check(runtime: &Runtime, tree: &Tree, name: &str, args: &[&str]) -> Value {
    let image = tree.image(&[&["--engine", &runtime.program, "--tag", name], args].concat());
    assert_eq!(image["verified"]["said"], "2 plugins loaded");
    assert_eq!(runtime.run(name), GREETINGS);
    runtime.no_container_is_left(tree);
    image
}

/// The toolchain of the stand-in, which is its distribution's.
fn musl_release(runtime: &Runtime) -> String {
    let version = runtime.read(&["run", "--rm", "--network", "none", MUSL, "rustc", "--version"]);
    version.split(' ').nth(1).expect("a version").to_owned()
}

#[test]
fn glibc_and_musl_builders_onto_alpine_and_scratch() {
    let runtime = Runtime::found();
    let tree = Tree::small("engines");
    let name = "localhost/xtask-test/greeter:engines";
    let _leftovers = Leftovers::of(&runtime, &tree, name);
    check(&runtime, &tree, name, &["--builder-image", GNU, "--base", ALPINE]);
    check(&runtime, &tree, name, &["--builder-image", GNU, "--base", "scratch"]);
    let release = musl_release(&runtime);
    let musl = ["--builder-image", MUSL, "--toolchain", &release, "--base", ALPINE];
    let image = check(&runtime, &tree, name, &musl);
    assert!(image["plan"]["toolchain"]["target"].as_str().expect("a target").ends_with("-linux-musl"));

    assert_eq!(runtime.volumes(&tree).len(), 2);
    let again = tree.xtask(&[&["image", "--engine", &runtime.program, "--tag", name], musl.as_slice()].concat());
    assert!(again.stderr.contains("       Fresh host, SDK and 2 plugins: "), "{}", again.stderr);

    tree.replace("plugins/hello/src/lib.rs", "\"hello\"", "\"good day\"");
    let edited = tree.image(&[&["--engine", &runtime.program, "--tag", name], musl.as_slice()].concat());
    let changed = edited["layers"].as_array().expect("layers").iter().filter(|layer| layer["new"] == true);
    assert_eq!(changed.map(|layer| &layer["name"]).collect::<Vec<_>>(), ["hello.plug"]);
    assert_eq!(runtime.run(name), "tone = \"polite\"\ngoodbye\ngood day");

    let run = tree.xtask(&["clean", "--volumes"]);
    assert!(run.stderr.contains(&format!("     Removed 2 volumes from {}\n", runtime.program)), "{}", run.stderr);
    assert!(runtime.volumes(&tree).is_empty());
}

/// An image with nothing but the builder's own C library, where Debian has it: `/lib` is a link to `usr/lib`.
fn import_usr_merged(runtime: &Runtime, name: &str) {
    let files = "cd / && test -L lib && tar -c bin lib lib64 usr/lib64 usr/lib/*-linux-gnu/ld-* usr/lib/*-linux-gnu/lib[cm].so.6";
    let mut tar = runtime.command(&["run", "--rm", "--network", "none", GNU, "sh", "-c", files]);
    let mut tar = tar.stdout(Stdio::piped()).spawn().expect("the runtime starts");
    let mut import = runtime.command(&["import", "-", name]);
    let import = import.stdin(tar.stdout.take().expect("its stdout")).output().expect("the runtime starts");
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
    assert!(tar.wait().expect("the runtime ends").success());
}

#[test]
fn a_usr_merged_image_as_base() {
    let runtime = Runtime::found();
    let tree = Tree::small("engines-merged");
    let (base, name) = ("localhost/xtask-test/base:merged", "localhost/xtask-test/greeter:merged");
    let _leftovers = [base, name].map(|image| Leftovers::of(&runtime, &tree, image));
    import_usr_merged(&runtime, base);
    let image = check(&runtime, &tree, name, &["--builder-image", GNU, "--base", base]);
    assert_eq!(image["layers"][0]["name"], base);
}

/// What is built from a tree's Dockerfiles, known by a label that they set; removed at the end.
struct Built<'a> {
    runtime: &'a Runtime,
    label: String,
}

impl<'a> Built<'a> {
    fn from(runtime: &'a Runtime, tree: &Tree) -> Built<'a> {
        Built { runtime, label: format!("xtask.test={}", tree.root) }
    }

    fn list(&self, command: &[&str]) -> Vec<String> {
        let filter = format!("label={}", self.label);
        let ids = self.runtime.read(&[command, &["--quiet", "--filter", &filter]].concat());
        ids.lines().map(str::to_owned).collect()
    }
}

impl Drop for Built<'_> {
    fn drop(&mut self) {
        for container in self.list(&["ps", "--all"]) {
            let _ = self.runtime.command(&["rm", "--force", &container]).output();
        }
        for image in self.list(&["images"]) {
            let _ = self.runtime.command(&["rmi", "--force", &image]).output();
        }
    }
}

#[test]
fn dockerfiles_that_do_more_than_name_an_image() {
    let runtime = Runtime::found();
    let tree = Tree::small("engines-dockerfiles");
    // Two names: an image that loses its own stays for ever.
    let [first, second] = ["first", "second"].map(|motd| format!("localhost/xtask-test/greeter:dockerfiles-{motd}"));
    let built = Built::from(&runtime, &tree);
    let _leftovers = [&first, &second].map(|image| Leftovers::of(&runtime, &tree, image));
    let label = &built.label;
    tree.write("docker/builder.Dockerfile", &format!("FROM {GNU}\nLABEL {label}\nRUN touch /marker\n"));
    let copy = "COPY motd /etc/motd2\nRUN cat /etc/motd2 /etc/motd2 >/etc/twice\n";
    tree.write("docker/deploy.Dockerfile", &format!("FROM {ALPINE}\nLABEL {label}\n{copy}"));
    tree.write("docker/motd", "first.");
    tree.write("plugins/hello/build.rs", "fn main() {\n    std::fs::read(\"/marker\").expect(\"the builder's\");\n}\n");

    let image = |name: &str| {
        let run = tree.xtask(&["image", "--engine", &runtime.program, "--tag", name]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let files = ["--network", "none", "--entrypoint", "cat", name, "/etc/motd2", "/etc/twice"];
        (run.stderr, runtime.read(&[["run", "--rm"].as_slice(), &files].concat()))
    };
    let building = |file: &str| format!("    Building docker/{file}.Dockerfile ({})\n", runtime.program);
    let (said, files) = image(&first);
    assert!(said.contains(&building("builder")) && said.contains(&building("deploy")), "{said}");
    assert_eq!(files, "first.first.first.");

    let (said, _) = image(&first);
    assert!(said.contains("       Fresh host, SDK and 2 plugins: ") && !said.contains("Building"), "{said}");

    tree.write("docker/motd", "second.");
    let (said, files) = image(&second);
    assert!(said.contains(&building("deploy")), "{said}");
    assert_eq!(files, "second.second.second.");
    assert_eq!(runtime.run(&second), GREETINGS);
    runtime.no_container_is_left(&tree);
}

#[test]
fn a_dockerfile_that_fails_leaves_no_container() {
    let runtime = Runtime::found();
    let tree = Tree::small("engines-dockerfile-fails");
    let built = Built::from(&runtime, &tree);
    tree.write("docker/builder.Dockerfile", &format!("FROM {ALPINE}\nLABEL {}\nRUN exit 3\n", built.label));
    let run = tree.xtask(&["image", "--engine", &runtime.program, "--base", ALPINE]);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("docker/builder.Dockerfile failed: "), "{}", run.stderr);
    assert!(built.list(&["ps", "--all"]).is_empty());
}
