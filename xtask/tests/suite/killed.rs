//! A run that is killed at any moment leaves the image that was there, or the new one, and never a part of one.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Tree, run};
use serde_json::Value;

const ROUNDS: u32 = 20;

const ARGS: [&str; 6] = ["image", "--base", "scratch", "--output", "oci:out", "--no-verify"];

/// What skopeo, which checks every digest, finds in both outputs.
fn digests(tree: &Tree) -> [String; 2] {
    let copy = format!("dir:{}", tree.root.join("copy"));
    let archive = format!("oci-archive:{}", tree.image_dir().join("greeter.tar"));
    [archive, format!("oci:{}:greeter:1.2.3", tree.root.join("out"))].map(|source| {
        run("skopeo", &["copy", "--quiet", "--preserve-digests", &source, &copy]);
        let inspected: Value = serde_json::from_str(&run("skopeo", &["inspect", &copy])).expect("JSON");
        inspected["Digest"].as_str().expect("a digest").to_owned()
    })
}

#[test]
fn twenty_kills_at_moments_spread_over_a_run() {
    let tree = Tree::small("killed").without_engine();
    let source = tree.read("plugins/hello/src/lib.rs");
    let edit = |round: u32| {
        tree.write("plugins/hello/src/lib.rs", &source.replace("\"hello\"", &format!("\"hello {round}\"")))
    };
    let finish = || {
        let run = tree.xtask(&ARGS);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout.trim().to_owned()
    };
    finish();
    edit(ROUNDS);
    let start = Instant::now();
    let mut good = vec![finish()];
    let whole_run = start.elapsed();

    let mut cut_short = 0;
    for round in 0..ROUNDS {
        edit(round);
        let mut xtask = tree.command(&ARGS).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("xtask starts");
        // Nobody waits for anything here: the moment is what is tried.
        std::thread::sleep(whole_run.mul_f64(f64::from(round + 1) / f64::from(ROUNDS)).max(Duration::from_millis(1)));
        let _ = xtask.kill();
        cut_short += u32::from(!xtask.wait().expect("xtask ends").success());
        let found = digests(&tree);
        let new = finish();
        good.push(new.clone());
        assert!(found.iter().all(|digest| good.contains(digest)), "round {round}: {found:?} of {good:?}");
        assert_eq!(digests(&tree), [new.clone(), new], "round {round}");
    }
    assert!(cut_short > ROUNDS / 4, "only {cut_short} runs were cut short");
}
