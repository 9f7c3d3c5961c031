//! Plugins beside a tree.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Tree, run};

/// A directory beside the tree, removed at the end of the test.
pub struct Beside(pub Utf8PathBuf);

impl Beside {
    pub fn new(tree: &Tree) -> Beside {
        let dir = tree.root.with_file_name(format!("beside-{}", tree.root.file_name().expect("a name")));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        Beside(dir)
    }

    pub fn write(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Of a plugin that greets with its name.
pub const MANIFEST: &str =
    "[package]\nname = \"weather\"\nversion = \"0.3.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = [\"cdylib\"]\n";
pub const SOURCE: &str = "fn greet() -> String {\n    \"weather\".to_owned()\n}\n\ngreeter_sdk::export!(greet);\n";

pub fn git(dir: &Utf8Path, args: &[&str]) -> String {
    let name = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"];
    run("git", &[&["-C", dir.as_str()], &name[..], args].concat())
}

/// For behind [`MANIFEST`].
pub const SDK: &str = "\n[dependencies]\ngreeter-sdk = \"1\"\n";

/// What a run that succeeds, and has no result, writes to stderr.
pub fn said(tree: &Tree, args: &[&str]) -> String {
    let run = tree.xtask(args);
    assert_eq!((run.code, run.stdout.as_str()), (Some(0), ""), "{}", run.stderr);
    run.stderr
}
