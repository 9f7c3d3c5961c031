//! A build in a container that is broken off in the middle: nothing runs on, and the next one takes up where it ended.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::Tree;
use crate::support::engine::{ALPINE, Engine, GNU, Leftovers, filter, machine};

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// How many seconds the container may live on.
const GRACE: u64 = 60;

/// A plugin's build script that never ends.
const BLOCKED: &str = "fn main() {\n    loop {\n        std::thread::park();\n    }\n}\n";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

/// Starts xtask in a process group of its own; returns when cargo compiles the plugin that blocks it.
fn compiling(tree: &Tree, args: &[&str]) -> (Child, BufReader<ChildStderr>) {
    let mut command = tree.command(&[&["image", "--verbose"], args].concat());
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut xtask = command.spawn().expect("xtask starts");
    let mut stderr = BufReader::new(xtask.stderr.take().expect("its stderr"));
    let mut said = String::new();
    while !said.contains("Compiling hello v0.1.0 (/xtask/work/src/plugins/hello)") {
        assert!(stderr.read_line(&mut said).expect("UTF-8") > 0, "it ended before it compiled:\n{said}");
    }
    (xtask, stderr)
}

/// Waits until the container engine says that it removed the tree's container.
fn removed(engine: &Engine, tree: &Tree, since: u64) {
    let event = if engine.program == "podman" { "event=remove" } else { "event=destroy" };
    let (since, until) = (since.to_string(), (now() + GRACE).to_string());
    let times = ["events", "--since", &since, "--until", &until];
    let filters = ["--filter", "type=container", "--filter", event, "--filter", &filter(tree), "--format", "{{.Type}}"];
    let mut events = engine.command(&[times.as_slice(), &filters].concat());
    let mut events = events.stdout(Stdio::piped()).spawn().expect("the container engine starts");
    let mut event = String::new();
    BufReader::new(events.stdout.take().expect("its stdout")).read_line(&mut event).expect("an event");
    let _ = events.kill();
    events.wait().expect("the container engine ends");
    assert_eq!(event, "container\n", "the container is there after {GRACE} s");
}

fn check(name: &str, signal: i32, interrupt: impl FnOnce(&mut Child)) {
    let engine = Engine::found();
    // A shell has those that it starts in the background ignore SIGINT.
    let tree = Tree::small(name).by(&["env", "--default-signal=INT"]);
    let image = format!("localhost/xtask-test/greeter:{name}");
    let _leftovers = Leftovers::new(&engine, &tree, &image);
    let args = ["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", &image];
    tree.write("plugins/hello/build.rs", BLOCKED);
    let since = now();

    // Its stderr stays open: what it started must not end of that.
    let (mut xtask, _stderr) = compiling(&tree, &args);
    assert_eq!(engine.containers(&tree).len(), 1, "it compiles in a container");
    interrupt(&mut xtask);
    assert_eq!(xtask.wait().expect("xtask ends").signal(), Some(signal));
    removed(&engine, &tree, since);
    assert!(engine.containers(&tree).is_empty());

    let volumes = engine.volumes(&tree);
    std::fs::remove_file(tree.root.join("plugins/hello/build.rs")).expect("a build script");
    assert_eq!(tree.image(&args)["verified"]["said"], "2 plugins loaded");
    assert_eq!(engine.volumes(&tree), volumes);
    engine.no_container_is_left(&tree);
}

#[test]
fn by_control_c() {
    check("interrupted", SIGINT, |xtask| {
        // To its whole group, as a terminal does.
        let kill = Command::new("sh").args(["-c", &format!("kill -INT -{}", xtask.id())]).status();
        assert!(kill.expect("sh starts").success());
    });
}

#[test]
fn by_a_kill_that_reaches_xtask_alone() {
    check("interrupted-by-kill", SIGKILL, |xtask| xtask.kill().expect("a running xtask"));
}

#[test]
fn before_its_container_started() {
    let engine = Engine::found();
    let tree = Tree::small("interrupted-early");
    let image = "localhost/xtask-test/greeter:interrupted-early";
    let _leftovers = Leftovers::new(&engine, &tree, image);
    let filter = filter(&tree);
    let label = filter.strip_prefix("label=").expect("a label");
    // What is there after `create` and before `start`, of this machine: of a process that has ended, and of one that runs, which may
    // be another job with the same path. And of another machine with the same path.
    let mut ended = Command::new("true").spawn().expect("a process");
    ended.wait().expect("its end");
    let (ended, running) = (ended.id(), std::process::id());
    let create = |machine: &str, process: u32| {
        let process = format!("xtask.process={process}");
        let labels = ["--label", label, "--label", machine, "--label", &process];
        engine.read(&[&["create", "--interactive", "--network", "none"], labels.as_slice(), &[GNU, "cat"]].concat())
    };
    let own = create(&machine(), ended);
    let others = [create(&machine(), running), create("xtask.machine=another", ended)];
    assert_eq!(engine.containers(&tree).len(), 3);
    tree.image(&["--engine", &engine.program, "--builder-image", GNU, "--base", ALPINE, "--tag", image]);
    let mut left = engine.containers(&tree);
    left.sort_by_key(|left| others.iter().position(|id| id.starts_with(left)));
    assert!(
        left.len() == 2 && others.iter().zip(&left).all(|(id, left)| id.starts_with(left)),
        "{own}, {others:?}: {left:?}"
    );
}
