//! `cargo xtask add`, `update` and `remove`, killed while they run.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::Tree;
use crate::support::beside::{Beside, MANIFEST, SDK, SOURCE, said};

/// Killed at moments that are spread over the run, each command leaves the old plugin or the new one, with the record of that one.
#[test]
fn a_kill_at_any_moment_leaves_the_old_plugin_or_the_new_one() {
    let tree = Tree::small("added-killed").without_engine();
    let beside = Beside::new(&tree);
    beside.write("weather/Cargo.toml", &format!("{MANIFEST}{SDK}"));
    let dir = beside.0.join("weather");
    let put = |word: &str| {
        beside.write("weather/src/lib.rs", &SOURCE.replace("\"weather\"", &format!("\"{word}\"")));
        (0..40).for_each(|number| beside.write(&format!("weather/src/notes-{number}"), word));
    };
    put("zero");
    said(&tree, &["add", dir.as_str()]);
    put("one");
    let begun = Instant::now();
    said(&tree, &["update"]);
    let whole = begun.elapsed();
    let state = || {
        let there = tree.root.join("plugins/weather").is_dir();
        there.then(|| {
            let notes: Vec<_> =
                (0..40).map(|number| tree.read(&format!("plugins/weather/src/notes-{number}"))).collect();
            assert!(notes.iter().all(|note| *note == notes[0]), "{notes:?}");
            notes[0].clone()
        })
    };
    // Whether it was ended before it came to its own end.
    let kill = |args: &[&str], after: Duration| {
        let mut command = tree.command(args);
        let mut xtask = command.stderr(Stdio::null()).spawn().expect("xtask starts");
        let end = Instant::now() + after;
        while Instant::now() < end {
            if let Some(status) = xtask.try_wait().expect("it is ours") {
                assert!(status.success());
                return false;
            }
        }
        let _ = xtask.kill();
        xtask.wait().expect("it is ours");
        true
    };
    // Later each time, until it is too late.
    let moments = || (0_u32..).map(|step| whole * step / 30);
    for (step, moment) in moments().enumerate() {
        let (old, new) = if step % 2 == 0 { ("one", "two") } else { ("two", "one") };
        put(new);
        let killed = kill(&["update"], moment);
        let now = state().expect("an update removes nothing");
        assert!(now == new || killed && now == old, "{now}");
        // The record is that of what is there: nothing counts as edited.
        said(&tree, &["update"]);
        assert_eq!(state().as_deref(), Some(new));
        if !killed {
            break;
        }
    }
    for moment in moments() {
        let killed = kill(&["remove", "weather"], moment);
        if state().is_some() {
            assert!(killed);
            said(&tree, &["remove", "weather"]);
        } else if !killed {
            break;
        }
        said(&tree, &["add", dir.as_str()]);
    }
    for moment in moments() {
        let killed = kill(&["add", dir.as_str()], moment);
        if state().is_none() {
            assert!(killed);
            said(&tree, &["add", dir.as_str()]);
        } else if !killed {
            break;
        }
        said(&tree, &["remove", "weather"]);
    }
    said(&tree, &["remove", "weather"]);
    said(&tree, &["add", dir.as_str()]);
    let unchanged = said(&tree, &["update"]);
    assert!(unchanged.starts_with("   Unchanged plugins/weather"), "{unchanged}");
    // The last run left nothing of those that were killed.
    let mut left: Vec<_> = fs::read_dir(tree.root.join("plugins"))
        .expect("plugins")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["goodbye", "hello", "sources.toml", "weather"]);
}
