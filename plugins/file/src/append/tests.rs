use super::*;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

fn append(path: &Path, line: &[u8]) -> io::Result<u64> {
    Target::new(path.to_owned(), None, None).append(line)
}

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

/// Whatever the umask is; one that the host did not make keeps its own, unless it is empty.
#[test]
fn a_new_file_gets_its_mode() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mode = |path: &Path| fs::metadata(path).expect("the file is there").mode() & 0o7777;
    for wanted in [0o600, 0o640, 0o666, 0o777] {
        let target = Target::new(dir.path().join(format!("{wanted:o}")), Some(wanted), None);
        target.append(b"{1}\n").expect("appended");
        assert_eq!(mode(&target.path), wanted);
        fs::set_permissions(&target.path, Permissions::from_mode(0o644)).expect("the test's own file");
        target.append(b"{2}\n").expect("appended");
        assert_eq!(mode(&target.path), 0o644);
    }
    let target = Target::new(dir.path().join("empty"), Some(0o640), None);
    fs::write(&target.path, "").expect("an empty file");
    target.append(b"{1}\n").expect("appended");
    assert_eq!(mode(&target.path), 0o640);
}
