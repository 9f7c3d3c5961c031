//! Submodules of git that were not fetched: their folders are there and empty, which cargo explains as a manifest that is missing.

use camino::{Utf8Path, Utf8PathBuf};

/// The submodules of the tree, and those in them, whose folders have nothing in them.
pub fn unfetched(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut unfetched = Vec::new();
    let mut todo = vec![Utf8PathBuf::new()];
    while let Some(outer) = todo.pop() {
        let text = std::fs::read_to_string(root.join(&outer).join(".gitmodules")).unwrap_or_default();
        for path in paths(&text).map(|path| outer.join(path)) {
            let is_empty = root.join(&path).read_dir_utf8().map_or(true, |mut entries| entries.next().is_none());
            if is_empty { unfetched.push(path) } else { todo.push(path) }
        }
    }
    unfetched.sort();
    unfetched
}

/// The same, if `path` is one of them or lies in one: what is wrong, and how to mend it.
pub fn fault(root: &Utf8Path, path: &Utf8Path) -> Option<String> {
    let submodule = unfetched(root).into_iter().find(|submodule| path.starts_with(submodule))?;
    Some(format!(
        "{submodule} is a submodule that was not fetched: run `git submodule update --init --recursive {submodule}`"
    ))
}

/// What an error says of all of them, as lines of their own.
pub fn hint(root: &Utf8Path) -> String {
    let lines = unfetched(root).into_iter().filter_map(|submodule| fault(root, &submodule));
    lines.map(|line| format!("\n  - {line}")).collect()
}

/// Source: git-config's syntax, as `git submodule add` writes it.
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let values = text.lines().filter_map(|line| line.split_once('='));
    values.filter(|(key, _)| key.trim() == "path").map(|(_, value)| value.trim().trim_matches('"'))
}
