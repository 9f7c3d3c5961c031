//! A directory for one unit test, removed at its end.

use std::fs;

use camino::Utf8Path;
use tempfile::TempDir;

pub struct TestDir(TempDir);

impl Default for TestDir {
    fn default() -> TestDir {
        TestDir(tempfile::tempdir().expect("a temporary directory"))
    }
}

impl TestDir {
    pub fn path(&self) -> &Utf8Path {
        self.0.path().try_into().expect("a UTF-8 path")
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}
