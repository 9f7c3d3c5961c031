//! A directory for one unit test, removed at its end.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

pub struct TestDir(Utf8PathBuf);

impl TestDir {
    /// `name` is unique among the tests.
    pub fn new(name: &str) -> TestDir {
        let dir = Utf8PathBuf::from_path_buf(std::env::temp_dir()).expect("a UTF-8 path");
        let dir = dir.join(format!("xtask-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory for the test");
        TestDir(dir)
    }

    pub fn path(&self) -> &Utf8Path {
        &self.0
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }
}

impl Drop for TestDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
