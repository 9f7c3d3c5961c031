//! What can go wrong while a container compiles: each error whole, as a person reads it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use crate::support::engine::{ALPINE, Engine, GNU, Leftovers, filter};
use crate::support::{Tree, errors};
use expect_test::{Expect, expect};

/// No test here gets as far as to give it.
const NAME: &str = "localhost/xtask-test/greeter:errors";

const STANDINS: [&str; 6] = ["--engine", "docker", "--builder-image", GNU, "--base", ALPINE];

fn check(tree: &Tree, args: &[&str], expected: Expect) {
    expected.assert_eq(&errors(tree, args));
}

#[test]
fn a_plugin_that_does_not_compile() {
    let tree = Tree::small("wrong-plugin");
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    tree.write("plugins/hello/src/lib.rs", "fn greet() -> String {\n    1\n}\n\ngreeter_sdk::export!(greet);\n");
    check(
        &tree,
        &STANDINS,
        expect![[r#"
            error[E0308]: mismatched types
             --> plugins/hello/src/lib.rs:2:5
              |
            1 | fn greet() -> String {
              |               ------ expected `String` because of return type
            2 |     1
              |     ^ expected `String`, found integer
              |
            help: try using a conversion method
              |
            2 |     1.to_string()
              |      ++++++++++++

            For more information about this error, try `rustc --explain E0308`.
            error: could not compile `hello` (lib) due to 1 previous error
            error: compiling the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
        "#]],
    );
    Engine::docker().no_container_is_left(&tree);
}

#[test]
fn a_build_script_that_tries_the_network() {
    let tree = Tree::small("network");
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    let script = "fn main() {\n    if let Err(error) = std::net::TcpStream::connect(\"192.0.2.1:80\") {\n        \
        eprintln!(\"{error}\");\n        std::process::exit(1);\n    }\n}\n";
    tree.write("plugins/hello/build.rs", script);
    check(
        &tree,
        &STANDINS,
        expect![[r#"
            error: failed to run custom build command for `hello v0.1.0 (/xtask/work/src/plugins/hello)`

            Caused by:
              process didn't exit successfully: `/xtask/work/target/release/build/hello-6f7dc1222dfb842b/build-script-build` (exit status: 1)
              --- stderr
              Network is unreachable (os error 101)
            error: compiling the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
              - something tried to use the network, which is disabled while compiling; add what a build script downloads to its crate
        "#]],
    );
    Engine::docker().no_container_is_left(&tree);
}

#[test]
fn a_full_disk() {
    let (docker, tree) = (Engine::docker(), Tree::small("full-disk"));
    let _leftovers = Leftovers::new(&docker, &tree, NAME);
    // A run that fails makes the volume; it is made again, a small one in memory.
    tree.write("plugins/hello/build.rs", "compile_error!(\"not yet\");\n");
    errors(&tree, &STANDINS);
    let work = &docker.volumes(&tree)[0];
    docker.read(&["volume", "rm", work]);
    let small = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=200k"];
    docker.read(
        &[&["volume", "create", "--label", filter(&tree).trim_start_matches("label=")], &small[..], &[work]].concat(),
    );
    tree.write("plugins/hello/build.rs", "fn main() {}\n");
    let error = errors(&tree, &STANDINS);
    // Which of the programs at work is the first to find no room is chance, and so is how it says so: a linker gets a bus
    // error, since it maps a file.
    let (_, error) = error.split_once("error: compiling ").expect("an error");
    let (_, error) = error.split_once(" failed ").expect("what failed");
    expect![[r#"
        (exit status: 101); see cargo's messages above
          - the builder's disk is full: `docker system df` shows what fills it, and `cargo xtask clean --volumes` removes the volumes of this checkout
    "#]].assert_eq(error);
}

/// A run that is at cargo in its container, and that container.
struct Started {
    run: Child,
    container: String,
    said: BufReader<ChildStderr>,
}

impl Started {
    /// Echoed commands say how far it is.
    fn start(tree: &Tree) -> Started {
        let mut command = tree.command(&[&["image", "--verbose", "--tag", NAME], &STANDINS[..]].concat());
        let mut run = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
        let said = BufReader::new(run.stderr.take().expect("its messages"));
        let mut started = Started { run, container: String::new(), said };
        let mut seen = String::new();
        while !seen.contains(" cargo build ") {
            assert_ne!(started.said.read_line(&mut seen).expect("UTF-8"), 0, "it ended before cargo ran:\n{seen}");
        }
        let containers = Engine::docker().containers(tree);
        started.container = containers.into_iter().next().expect("a container");
        started
    }

    /// The error that it ends with.
    fn error(mut self) -> String {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).expect("UTF-8");
        assert_eq!(self.run.wait().expect("xtask ends").code(), Some(1), "{rest}");
        rest[rest.rfind("error: ").expect("an error")..].to_owned()
    }
}

#[test]
fn a_container_that_is_killed() {
    let tree = Tree::small("killed");
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    tree.write("plugins/hello/build.rs", "fn main() {\n    loop {\n        std::thread::park();\n    }\n}\n");
    let started = Started::start(&tree);
    Engine::docker().read(&["kill", &started.container]);
    expect![[r#"
        error: the builder's container was stopped from outside, by a person or because memory ran out (OOM); run the command again
    "#]].assert_eq(&started.error());
}

#[test]
fn a_lack_of_memory() {
    let tree = Tree::small("memory");
    let _leftovers = Leftovers::new(&Engine::docker(), &tree, NAME);
    // Waits for the limit that the test sets, then takes more: cgroup 2 has one file for it, cgroup 1 another.
    tree.write(
        "plugins/hello/build.rs",
        r#"fn main() {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = || files.iter().find_map(|file| std::fs::read_to_string(file).ok()?.trim().parse::<usize>().ok());
    while limit().is_none_or(|limit| limit > 1 << 30) {
        std::thread::yield_now();
    }
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1u8; 1 << 20]));
    }
}
"#,
    );
    let started = Started::start(&tree);
    Engine::docker().read(&["update", "--memory", "256m", "--memory-swap", "256m", &started.container]);
    expect![[r#"
        error: compiling the plugin hello (plugins/hello) failed (exit status: 101); see cargo's messages above; `--without hello` builds the others
          - a compiler was killed, probably because memory ran out (OOM); give docker's containers more memory, or compile fewer crates at once with CARGO_BUILD_JOBS=1
    "#]].assert_eq(&started.error());
}
