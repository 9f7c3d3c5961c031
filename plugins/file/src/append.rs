//! Appends a line to a file so that it is either whole and on the disk, or not there. Knows nothing of messages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Appends `line`, which ends with a line feed, and returns at which byte it begins.
///
/// The file is opened each time, so that one which was moved away (by log rotation) is made anew.
pub(crate) fn append(path: &Path, line: &[u8]) -> io::Result<u64> {
    let mut file = open_locked(path)?;
    let end = end_of_lines(&mut file)?;
    if end == 0 {
        // The file's name is in its directory, and is on the disk only when the directory is. Before the first line, so that
        // it is tried again when it fails. A symlink leads to another directory.
        sync(parent(&fs::canonicalize(path)?))?;
    }
    if let Err(error) = file.write_all(line).and_then(|()| file.sync_data()) {
        // Part of the line may be there, as on a full disk. No receipt was given for it, so it is not missed.
        let _ = file.set_len(end);
        return Err(error);
    }
    Ok(end)
}

/// The file that is at `path` while this process has its lock.
///
/// The lock lasts until the file is closed: a line that failed half-way is taken back, and must be the last one then, whatever
/// other provider or process appends to the same file.
fn open_locked(path: &Path) -> io::Result<File> {
    loop {
        let file = open(path)?;
        file.lock()?;
        // While this waited, whoever had the lock may have moved the file away or removed it, as log rotation does: what
        // is written to it then, nobody reads. Each turn begins with another file, so somebody else gets on.
        let mine = file.metadata()?;
        match fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (mine.dev(), mine.ino()) => return Ok(file),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_dir(parent(path))?;
            options.create(true).open(path)
        }
        result => result,
    }
}

/// Makes a directory and its parents, each one on the disk before anything is put into it.
fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    make_dir(parent(dir))?;
    match fs::create_dir(dir) {
        // Somebody else was faster, and may not have come to the next step.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
        result => result?,
    }
    sync(parent(dir)).inspect_err(|_| {
        // Were it left there, the next try would take it for one that is on the disk.
        let _ = fs::remove_dir(dir);
    })
}

/// The directory that `path` is in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The end of the file, once its last line is whole.
///
/// A process that was killed may have left half a line. It is ended, not removed: nothing says that it was ours.
fn end_of_lines(file: &mut File) -> io::Result<u64> {
    let end = file.seek(SeekFrom::End(0))?;
    if end == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(end - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" {
        return Ok(end);
    }
    file.write_all(b"\n")?;
    Ok(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn lines_follow_each_other_and_dirs_are_made() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("a/b/messages.jsonl");
        assert_eq!(append(&path, b"{1}\n").expect("appended"), 0);
        assert_eq!(append(&path, b"{2}\n").expect("appended"), 4);
        assert_eq!(fs::read(&path).expect("the file"), b"{1}\n{2}\n");
    }

    #[test]
    fn a_torn_line_is_ended() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("messages.jsonl");
        fs::write(&path, "{1}\n{\"id\":\"to").expect("a torn file");
        assert_eq!(append(&path, b"{3}\n").expect("appended"), 14);
        assert_eq!(fs::read_to_string(&path).expect("the file"), "{1}\n{\"id\":\"to\n{3}\n");
    }

    /// Another provider or process, whose line fails half-way, must not take ours back with it.
    #[test]
    fn one_at_a_time_appends() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("messages.jsonl");
        append(&path, b"{1}\n").expect("appended");
        let mut other = OpenOptions::new().append(true).open(&path).expect("the file");
        other.lock().expect("nobody else has it");
        let (sender, appended) = channel();
        thread::spawn({
            let path = path.clone();
            move || sender.send(append(&path, b"{2}\n"))
        });
        assert!(matches!(appended.recv_timeout(Duration::from_millis(100)), Err(RecvTimeoutError::Timeout)));
        other.write_all(b"{\"half").and_then(|()| other.set_len(4)).expect("taken back");
        drop(other);
        assert_eq!(appended.recv().expect("an answer").expect("appended"), 4);
        assert_eq!(fs::read(&path).expect("the file"), b"{1}\n{2}\n");
    }

    /// It takes the file under its lock, and reads it under another name: no line may be missing then.
    #[test]
    fn a_rotator_gets_every_line() {
        const LINES: usize = 2000;
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("messages.jsonl");
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                let path = path.clone();
                thread::spawn(move || {
                    for line in 0..LINES {
                        append(&path, format!("{writer} {line}\n").as_bytes()).expect("appended");
                    }
                })
            })
            .collect();
        let mut lines = Vec::new();
        let mut rotate = || {
            let Ok(mut file) = OpenOptions::new().read(true).append(true).open(&path) else { return };
            file.lock().expect("a lock");
            let moved = dir.path().join("moved");
            fs::rename(&path, &moved).expect("moved");
            let mut text = String::new();
            file.read_to_string(&mut text).expect("the file");
            lines.extend(text.lines().map(str::to_owned));
            fs::remove_file(moved).expect("removed");
        };
        while writers.iter().any(|writer| !writer.is_finished()) {
            rotate();
        }
        writers.into_iter().for_each(|writer| writer.join().expect("it appended all"));
        rotate();
        lines.sort();
        let mut expected: Vec<String> =
            (0..2).flat_map(|writer| (0..LINES).map(move |line| format!("{writer} {line}"))).collect();
        expected.sort();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_moved_file_is_made_anew() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("messages.jsonl");
        append(&path, b"{1}\n").expect("appended");
        fs::rename(&path, dir.path().join("messages.jsonl.1")).expect("moved");
        assert_eq!(append(&path, b"{2}\n").expect("appended"), 0);
    }

    #[test]
    fn a_dir_cannot_be_appended_to() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(append(dir.path(), b"{1}\n").expect_err("refused").kind(), io::ErrorKind::IsADirectory);
    }
}
