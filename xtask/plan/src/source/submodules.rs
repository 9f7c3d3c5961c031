//! Finds submodules of git that were not fetched. Their directories are empty, and cargo would report a missing manifest.

use std::collections::BTreeSet;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::support::shell::quoted;

/// The submodules with empty directories: of the tree, inside those, and of a repository around the tree.
pub fn unfetched(root: &Utf8Path) -> BTreeSet<Utf8PathBuf> {
    let mut unfetched = BTreeSet::new();
    let mut todo = repositories(root);
    while let Some(outer) = todo.pop() {
        let text = std::fs::read_to_string(outer.join(".gitmodules")).unwrap_or_default();
        for path in text.lines().filter_map(path).map(|path| outer.join(path)) {
            let is_empty = path.read_dir_utf8().map_or(true, |mut entries| entries.next().is_none());
            match path.strip_prefix(root) {
                Ok(inside) if is_empty => drop(unfetched.insert(inside.to_owned())),
                Ok(_) => todo.push(path),
                Err(_) => {}
            }
        }
    }
    unfetched
}

/// The root, and the directories above it up to the root of its repository, if it is in one.
fn repositories(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_repository = |dir: &&Utf8Path| dir.join(".git").exists();
    let depth = root.ancestors().position(|dir| is_repository(&dir)).unwrap_or_default();
    root.ancestors().take(depth + 1).map(Utf8Path::to_owned).collect()
}

/// The same, if `path` is one of them or inside one: the error and its fix.
pub fn error(root: &Utf8Path, path: &Utf8Path) -> Option<String> {
    let submodule = unfetched(root).into_iter().find(|submodule| path.starts_with(submodule))?;
    Some(format!(
        "{submodule} is a submodule that was not fetched: run `git submodule update --init --recursive {}`",
        quoted(submodule.as_str())
    ))
}

/// What an error says about all of them, one line each.
pub fn hint(root: &Utf8Path) -> String {
    let lines = unfetched(root).into_iter().filter_map(|submodule| error(root, &submodule));
    lines.map(|line| format!("\n  - {line}")).collect()
}

/// The path that a line of a `.gitmodules` sets, if git accepts it: inside the repository.
/// Source: <https://git-scm.com/docs/git-config#_syntax>.
fn path(line: &str) -> Option<Utf8PathBuf> {
    let (_, value) = line.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("path"))?;
    let (mut path, mut in_quotes, mut characters) = (String::new(), false, value.trim().chars());
    while let Some(character) = characters.next() {
        match character {
            '"' => in_quotes = !in_quotes,
            '\\' => path.extend(characters.next()),
            '#' | ';' if !in_quotes => break,
            character => path.push(character),
        }
    }
    let path = Utf8PathBuf::from(path.trim_end());
    let below = path.components().all(|part| matches!(part, Utf8Component::Normal(_)));
    (below && !path.as_str().is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::{error, path};
    use crate::support::files;
    use crate::support::test_dir::TestDir;

    #[test]
    fn a_repository_around_the_tree_has_submodules_too() {
        let dir = TestDir::default();
        let root = dir.path().join("tree");
        dir.write(".git", "");
        dir.write(".gitmodules", "[submodule \"ours\"]\n\tpath = tree/plugins/ours\n");
        files::create_dir(&root.join("plugins/ours")).expect("a directory");
        let expected = "plugins/ours is a submodule that was not fetched: run `git submodule update --init --recursive \
            plugins/ours`";
        assert_eq!(error(&root, "plugins/ours/src".into()).as_deref(), Some(expected));
        assert_eq!(error(&root, "plugins/other".into()), None);
        dir.write("tree/plugins/ours/Cargo.toml", "");
        assert_eq!(error(&root, "plugins/ours".into()), None);
    }

    #[test]
    fn a_path_is_read_as_git_reads_it() {
        let check =
            |line: &str, expected: Option<&str>| assert_eq!(path(line).as_deref().map(|path| path.as_str()), expected);
        check("\tpath = plugins/extra", Some("plugins/extra"));
        check("Path=plugins/extra ; ours", Some("plugins/extra"));
        check("path = \"plugins/ex#tra \\\"1\\\"\" # ours", Some("plugins/ex#tra \"1\""));
        for line in [
            "[submodule \"path\"]",
            "\turl = https://example.org/path",
            "path = .",
            "path = ../x",
            "path = /x",
            "path =",
        ] {
            check(line, None);
        }
    }
}
