//! Notices changes in the tree by looking at it again and again: that works on every file system, in containers too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use walkdir::WalkDir;

use crate::source::copy::is_source;
use crate::support::paths::Paths;

/// How long it waits between two looks.
const PAUSE: Duration = Duration::from_millis(150);

/// Time and size of every file that may be compiled.
pub type State = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

pub fn state(paths: &Paths) -> Result<State> {
    let target = paths.target();
    let is_target =
        |entry: &walkdir::DirEntry| entry.path() == target || entry.depth() == 1 && entry.file_name() == "target";
    let walk = WalkDir::new(&paths.root).into_iter().filter_entry(|entry| is_source(entry) && !is_target(entry));
    let mut state = State::new();
    // One that cannot be read, or is gone by now, is an error of the build if it matters.
    for entry in walk.filter_map(Result::ok).filter(|entry| entry.file_type().is_file()) {
        if let Ok(metadata) = entry.metadata() {
            state.insert(entry.path().to_owned(), (metadata.modified().ok(), metadata.len()));
        }
    }
    Ok(state)
}

/// Waits until the tree differs from `before`, and then until nobody writes any more. A changed lock file is the build's own doing.
pub fn changed(paths: &Paths, before: &State) -> Result<()> {
    let lock = paths.root.join("Cargo.lock");
    let look = || {
        state(paths).map(|mut state| {
            state.remove(lock.as_std_path());
            state
        })
    };
    let mut before = before.clone();
    before.remove(lock.as_std_path());
    let mut last = look()?;
    loop {
        thread::sleep(PAUSE);
        let now = look()?;
        if now != before && now == last {
            return Ok(());
        }
        last = now;
    }
}
