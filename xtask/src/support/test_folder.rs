//! A folder for one unit test, removed at its end.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

pub struct TestFolder(Utf8PathBuf);

impl TestFolder {
    /// `name` is unique among the tests.
    pub fn new(name: &str) -> TestFolder {
        let folder = Utf8PathBuf::from_path_buf(std::env::temp_dir()).expect("a UTF-8 path");
        let folder = folder.join(format!("xtask-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the test");
        TestFolder(folder)
    }

    pub fn path(&self) -> &Utf8Path {
        &self.0
    }

    pub fn write(&self, relative: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, content).expect("a file");
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
