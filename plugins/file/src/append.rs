//! Appends a line to a file so that it is either whole and on the disk, or not there. Knows nothing of messages.

use crate::rotate::Rotation;
use provost_sdk::tracing;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a file is made with, where its maker does not say so: all that the umask leaves.
const ANY_MODE: u32 = 0o666;

/// The file that lines are appended to.
pub(crate) struct Target {
    /// It need not be there.
    pub(crate) path: PathBuf,
    /// The permissions of a new file.
    pub(crate) mode: Option<u32>,
    /// When another file takes its place.
    pub(crate) rotation: Option<Rotation>,
    /// Whether the last try to move it away failed.
    stuck: AtomicBool,
}

impl Target {
    pub(crate) fn new(path: PathBuf, mode: Option<u32>, rotation: Option<Rotation>) -> Self {
        Self { path, mode, rotation, stuck: AtomicBool::new(false) }
    }

    /// Appends `line`, which ends with a line feed, and returns at which byte it begins.
    ///
    /// The file is opened each time, so that one which was moved away (by log rotation) is made anew.
    pub(crate) fn append(&self, line: &[u8]) -> io::Result<u64> {
        loop {
            let mut file = open_locked(&self.path, self.mode)?;
            let end = end_of_lines(&mut file)?;
            match &self.rotation {
                Some(rotation) if rotation.is_due(end, line) => match rotation.rotate(&self.path) {
                    // While this has the old file's lock, nobody else moves it; who waits for that lock finds another file then.
                    Ok(()) => {
                        self.stuck.store(false, Ordering::Relaxed);
                        continue;
                    }
                    // A file that is too large is better than a message that is not delivered. The log tells of it once, not for each.
                    Err(error) => {
                        if !self.stuck.swap(true, Ordering::Relaxed) {
                            tracing::warn!(path = %self.path.display(), %error, "cannot rotate the file");
                        }
                    }
                },
                _ => {}
            }
            write(&self.path, &mut file, end, line, self.mode)?;
            return Ok(end);
        }
    }
}

/// Writes `line` to the end of a locked file.
fn write(path: &Path, file: &mut File, end: u64, line: &[u8], mode: Option<u32>) -> io::Result<()> {
    if end == 0 {
        if let Some(mode) = mode {
            set_mode(file, mode)?;
        }
        // The file's name is in its directory, and is on the disk only when the directory is. Before the first line, so that
        // it is tried again when it fails. A symlink leads to another directory.
        sync(parent(&fs::canonicalize(path)?))?;
    }
    if let Err(error) = file.write_all(line).and_then(|()| sync_line(file)) {
        // Part of the line may be there, as on a full disk. No receipt was given for it, so it is not missed.
        let _ = file.set_len(end);
        return Err(error);
    }
    Ok(())
}

/// Waits until what was written is on the disk.
fn sync_line(file: &File) -> io::Result<()> {
    match file.sync_data() {
        // A device such as /dev/null has no disk below it.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) && !file.metadata()?.is_file() => Ok(()),
        result => result,
    }
}

/// Gives an empty file its permissions: the umask may have taken some away. One whose maker was killed before is still empty.
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.mode() & 0o7777 == mode {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(mode)) {
        // Another user made it, who may be log rotation, and chose.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result,
    }
}

/// The file that is at `path` while this process has its lock.
///
/// The lock lasts until the file is closed: a line that failed half-way is taken back, and must be the last one then, whatever
/// other provider or process appends to the same file.
fn open_locked(path: &Path, mode: Option<u32>) -> io::Result<File> {
    loop {
        let file = open(path, mode)?;
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

fn open(path: &Path, mode: Option<u32>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).mode(mode.unwrap_or(ANY_MODE));
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
pub(crate) fn parent(path: &Path) -> &Path {
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
mod tests;
