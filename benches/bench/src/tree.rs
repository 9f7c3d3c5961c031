//! Clones of the tree, in which builds are measured.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::{Places, process};

/// Without what is not committed.
pub struct Tree {
    dir: PathBuf,
}

impl Tree {
    pub fn new(places: &Places, name: &str) -> Tree {
        let dir = places.target.join(name);
        let _ = std::fs::remove_dir_all(&dir);
        let (from, to) = (places.root.to_str().expect("UTF-8"), dir.to_str().expect("UTF-8"));
        process::output(&places.root, Path::new("git"), &["clone", "--quiet", "--no-hardlinks", from, to]);
        Tree { dir }
    }

    pub fn path(&self) -> &str {
        self.dir.to_str().expect("UTF-8")
    }

    /// The names of its plugins, sorted.
    pub fn plugins(&self) -> Vec<String> {
        let entries =
            std::fs::read_dir(self.dir.join("plugins")).expect("plugins/").map(|entry| entry.expect("an entry"));
        let crates = entries.filter(|entry| entry.path().join("Cargo.toml").is_file());
        let mut names: Vec<String> = crates.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// What selects host, SDK and plugins in a cargo command.
    pub fn packages(&self) -> String {
        let plugins: String = self.plugins().iter().map(|name| format!(" -p {name}")).collect();
        format!("-p provost -p provost-sdk{plugins}")
    }

    pub fn write(&self, path: &str, text: &str) {
        std::fs::write(self.dir.join(path), text).expect("a file of the tree");
    }

    pub fn append(&self, path: &str, text: &str) {
        let old = std::fs::read_to_string(self.dir.join(path)).unwrap_or_default();
        self.write(path, &(old + text));
    }

    /// Text that a file of the tree must have, by other text.
    pub fn replace(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.dir.join(path)).expect("a file of the tree");
        assert!(text.contains(from), "{path} has no `{from}`");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// What a program that runs in it prints.
    pub fn output(&self, program: &Path, arguments: &[&str]) -> String {
        process::output(&self.dir, program, arguments)
    }

    /// How long a program runs in it, in seconds.
    pub fn run(&self, program: &Path, arguments: &[&str]) -> f64 {
        let begin = Instant::now();
        self.output(program, arguments);
        begin.elapsed().as_secs_f64()
    }

    /// Changes the code of a source, and what it is compiled to: an image of the same bytes would not be verified or loaded again.
    pub fn edit(&self, path: &str, round: usize) {
        const MARK: &str = "#[used] static ROUND";
        let text = std::fs::read_to_string(self.dir.join(path)).expect("a source");
        let text: String =
            text.lines().filter(|line| !line.starts_with(MARK)).map(|line| format!("{line}\n")).collect();
        self.write(path, &format!("{text}{MARK}: usize = {round};\n"));
    }
}
