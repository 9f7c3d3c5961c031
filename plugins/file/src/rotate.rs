//! Moves a file away once it is large, and keeps the last ones: `NAME.1` is the newest. Knows nothing of lines and locks.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// When another file takes the place of the one that is written to, and how many stay.
#[derive(Clone, Copy)]
pub(crate) struct Rotation {
    /// In bytes; a file with one line may be larger.
    pub(crate) size: u64,
    /// At least 1.
    pub(crate) keep: u32,
}

impl Rotation {
    /// Whether a file with `end` bytes has no room for `line`.
    pub(crate) fn is_due(&self, end: u64, line: &[u8]) -> bool {
        end > 0 && end.saturating_add(line.len() as u64) > self.size
    }

    /// Moves the file at `path` away. The caller has its lock, so nobody else moves it meanwhile.
    ///
    /// Each step is a rename, so one that was cut off has lost nothing: the next one goes on from there.
    pub(crate) fn rotate(&self, path: &Path) -> io::Result<()> {
        // A symlink stays, and what it leads to moves.
        let path = fs::canonicalize(path)?;
        let free = self.free(&path)?;
        for number in (1..free).rev() {
            fs::rename(numbered(&path, number), numbered(&path, number + 1))?;
        }
        fs::rename(&path, numbered(&path, 1))
    }

    /// The first number that no file has, so that none is removed while there is room. The oldest file's if there is none.
    fn free(&self, path: &Path) -> io::Result<u32> {
        for number in 1..self.keep {
            match fs::symlink_metadata(numbered(path, number)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(number),
                Err(error) => return Err(error),
            }
        }
        Ok(self.keep)
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::append::Target;
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;
    use std::thread;

    fn target(path: PathBuf, size: u64, keep: u32) -> Target {
        Target::new(path, None, Some(Rotation { size, keep }))
    }

    /// The files of a directory, by name.
    fn files(dir: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(dir).expect("the directory").map(|entry| entry.expect("an entry"));
        let text = |path: PathBuf| fs::read_to_string(path).expect("a file");
        entries.map(|entry| (entry.file_name().into_string().expect("UTF-8"), text(entry.path()))).collect()
    }

    fn check(dir: &Path, expected: &[(&str, &str)]) {
        let expected = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        assert_eq!(files(dir), expected);
    }

    #[test]
    fn the_last_files_stay() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let target = target(dir.path().join("log"), 8, 2);
        let append = |line: &str| target.append(line.as_bytes()).expect("appended");
        assert_eq!([append("{1}\n"), append("{2}\n"), append("{3}\n")], [0, 4, 0]);
        check(dir.path(), &[("log", "{3}\n"), ("log.1", "{1}\n{2}\n")]);
        // A line that is larger than a file has one of its own.
        assert_eq!([append("{longer than 8}\n"), append("{4}\n")], [0, 0]);
        check(dir.path(), &[("log", "{4}\n"), ("log.1", "{longer than 8}\n"), ("log.2", "{3}\n")]);
    }

    #[test]
    fn one_file_stays() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let target = target(dir.path().join("log"), 1, 1);
        for line in ["{1}\n", "{2}\n", "{3}\n"] {
            target.append(line.as_bytes()).expect("appended");
        }
        check(dir.path(), &[("log", "{3}\n"), ("log.1", "{2}\n")]);
    }

    /// As it stands after each step of a rotation whose process was killed.
    #[test]
    fn a_rotation_that_was_cut_off() {
        for (left, expected) in [
            (
                &[("log", "4"), ("log.1", "3"), ("log.3", "2")][..],
                &[("log", "5\n"), ("log.1", "4\n"), ("log.2", "3"), ("log.3", "2")][..],
            ),
            (
                &[("log", "4"), ("log.2", "3"), ("log.3", "2")],
                &[("log", "5\n"), ("log.1", "4\n"), ("log.2", "3"), ("log.3", "2")],
            ),
            (
                &[("log.1", "4"), ("log.2", "3"), ("log.3", "2")],
                &[("log", "5\n"), ("log.1", "4"), ("log.2", "3"), ("log.3", "2")],
            ),
        ] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            for (name, text) in left {
                fs::write(dir.path().join(name), text).expect("a temporary file");
            }
            target(dir.path().join("log"), 1, 3).append(b"5\n").expect("appended");
            check(dir.path(), expected);
        }
    }

    #[test]
    fn a_symlink_stays() {
        let (dir, elsewhere) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let link = dir.path().join("link");
        symlink(elsewhere.path().join("log"), &link).expect("a symlink");
        let target = target(link.clone(), 1, 2);
        for line in ["{1}\n", "{2}\n"] {
            target.append(line.as_bytes()).expect("appended");
        }
        check(elsewhere.path(), &[("log", "{2}\n"), ("log.1", "{1}\n")]);
        assert!(link.is_symlink() && fs::read_dir(dir.path()).expect("the directory").count() == 1);
    }

    #[test]
    fn a_file_that_cannot_be_moved_grows() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("log.1")).expect("a directory in its place");
        let target = target(dir.path().join("log"), 1, 1);
        assert_eq!([b"{1}\n", b"{2}\n"].map(|line| target.append(line).expect("appended")), [0, 4]);
    }

    /// Each line is in one of the files, where its receipt says, whoever rotates.
    #[test]
    fn several_write_and_rotate() {
        const LINES: usize = 500;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                // Each one has its own idea of when it is time.
                let target = target(dir.path().join("log"), 50 + 10 * writer, 1000);
                thread::spawn(move || {
                    let append = |line| {
                        let line = format!("{writer} {line}\n");
                        (target.append(line.as_bytes()).expect("appended"), line)
                    };
                    (0..LINES).map(append).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut receipts: Vec<_> =
            writers.into_iter().flat_map(|writer| writer.join().expect("it appended all")).collect();
        let files = files(dir.path());
        assert!(files.len() > 100, "{} files", files.len());
        let mut found = Vec::new();
        for text in files.values() {
            assert!(text.ends_with('\n') && text.len() <= 80, "{text}");
            let mut offset = 0;
            for line in text.split_inclusive('\n') {
                found.push((offset, line.to_owned()));
                offset += line.len() as u64;
            }
        }
        receipts.sort();
        found.sort();
        assert_eq!(found, receipts);
    }
}
