//! Two runs in one target directory.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Stdio};

use crate::support::Tree;

#[test]
fn two_runs_at_once_wait_for_each_other() {
    let tree = Tree::small("two-runs").without_engine();
    // The first one compiles for as long as somebody listens here.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let script = format!(
        "use std::io::Read;\n\nfn main() {{\n    let held = std::net::TcpStream::connect({:?});\n    \
         let _ = held.and_then(|mut held| held.read(&mut [0]));\n}}\n",
        listener.local_addr().expect("its address").to_string()
    );
    tree.write("plugins/hello/build.rs", &script);
    let (first, mut first_said) = start(&tree);
    until(&mut first_said, "   Compiling ");
    let (second, mut second_said) = start(&tree);
    let lock = tree.image_dir().join("lock");
    assert_eq!(
        until(&mut second_said, "     Waiting "),
        format!("     Waiting for another run that holds {lock}\n"),
        "it is the first thing that it says"
    );
    drop(listener);
    let outputs = [(first, first_said), (second, second_said)].map(|(run, mut said)| {
        said.read_to_string(&mut String::new()).expect("UTF-8");
        run.wait_with_output().expect("xtask ends")
    });
    assert!(outputs.iter().all(|output| output.status.success()));
    assert_eq!(outputs[0].stdout, outputs[1].stdout);
}

fn start(tree: &Tree) -> (Child, BufReader<ChildStderr>) {
    let mut command = tree.command(&["image"]);
    let mut run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("xtask starts");
    let said = BufReader::new(run.stderr.take().expect("its messages"));
    (run, said)
}

/// What a run says up to the line that begins with `words`, and with it.
fn until(said: &mut BufReader<ChildStderr>, words: &str) -> String {
    let mut seen = String::new();
    while !seen.lines().last().is_some_and(|line| line.starts_with(words)) {
        assert_ne!(said.read_line(&mut seen).expect("UTF-8"), 0, "it ended without `{words}`:\n{seen}");
    }
    seen
}

/// `clean` removes the lock with its directory while others wait for it: they must not take what nobody else will find.
#[test]
fn a_lock_that_was_removed_is_none() {
    let tree = Tree::small("removed-lock").without_engine();
    let lock = tree.root.join("target/image/lock");
    let take = || {
        std::fs::create_dir_all(lock.parent().expect("a parent")).expect("a directory");
        let file = std::fs::File::create(&lock).expect("a file");
        file.lock().expect("a lock");
        file
    };
    let first = take();
    let mut xtask = tree.command(&["plan", "--base", "scratch"]);
    let mut xtask = xtask.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("xtask starts");
    let mut stderr = BufReader::new(xtask.stderr.take().expect("its stderr")).lines().map(|line| line.expect("UTF-8"));
    let waits = |line: Option<String>| {
        assert!(line.as_deref().is_some_and(|line| line.starts_with("     Waiting ")), "{line:?}")
    };
    waits(stderr.next());
    std::fs::remove_file(&lock).expect("the lock");
    let second = take();
    drop(first);
    waits(stderr.next());
    drop(second);
    assert!(!stderr.any(|line| line.starts_with("     Waiting ")));
    assert_eq!(xtask.wait().expect("xtask ends").code(), Some(0));
}
