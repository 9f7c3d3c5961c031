//! Whether lines can be appended to a file, as far as that can be told without writing any. Knows nothing of messages.

use crate::append::parent;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Why nothing can be appended to `path`, which need not be there.
pub(crate) fn check(path: &Path) -> Result<(), String> {
    let shown = path.display();
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => Err(format!("{shown} is a directory; choose a file in it")),
        // A device such as /dev/null takes lines as a file does; a disk does not.
        Ok(kind) if kind.is_fifo() || kind.is_socket() || kind.is_block_device() => {
            Err(format!("{shown} is a pipe, a socket or a disk, which stores no lines; choose a file"))
        }
        Ok(_) => can_be_opened(path).map_err(|error| format!("{shown} cannot be written to: {error}")),
        Err(_) => match path.ancestors().skip(1).find(|dir| dir.exists()) {
            Some(dir) if !dir.is_dir() => Err(format!("{} is not a directory, so no file can be in it", dir.display())),
            Some(dir) => takes_files(dir).map_err(|error| {
                let dir = dir.display();
                format!("no file can be made in {dir}: {error}; let the user that the host runs as write there")
            }),
            None => Ok(()),
        },
    }
}

/// Why the file at `path` cannot be moved away, so that another takes its place.
pub(crate) fn check_rotation(path: &Path) -> Result<(), String> {
    // One that is not there is looked at by the other check.
    let Ok(path) = fs::canonicalize(path) else { return Ok(()) };
    let shown = path.display();
    if !path.is_file() {
        return Err(format!("{shown} is a device, which cannot be moved away: remove this key"));
    }
    takes_files(parent(&path)).map_err(|error| {
        format!("{shown} cannot be moved away: {error}; let the user that the host runs as write in its directory")
    })
}

/// For a delivery, which looks for the end of the file: a terminal has none.
fn can_be_opened(path: &Path) -> io::Result<()> {
    OpenOptions::new().read(true).append(true).open(path)?.seek(SeekFrom::End(0)).map(drop)
}

/// Makes a file without a name, of which nothing is left. Not every file system can do that.
fn takes_files(dir: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(dir) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_no_line_can_be_appended_to() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "").expect("a file");
        let _listener = UnixListener::bind(at("socket")).expect("a socket");
        for path in [at("file"), at("new"), at("a/b/new"), "/dev/null".into()] {
            assert_eq!(check(&path), Ok(()), "{}", path.display());
        }
        assert_eq!(fs::read_dir(dir.path()).expect("the directory").count(), 2);
        for (path, expected) in [
            (dir.path().to_owned(), " is a directory; choose a file in it"),
            (at("socket"), "/socket is a pipe, a socket or a disk, which stores no lines; choose a file"),
            (at("file/new"), "/file is not a directory, so no file can be in it"),
        ] {
            let error = check(&path).expect_err("nothing can be appended");
            assert!(error.ends_with(expected), "{error}");
        }
        let no_seek = io::Error::from_raw_os_error(libc::ESPIPE);
        assert_eq!(check(Path::new("/dev/ptmx")), Err(format!("/dev/ptmx cannot be written to: {no_seek}")));
        for path in [at("file"), at("new")] {
            assert_eq!(check_rotation(&path), Ok(()), "{}", path.display());
        }
        let device = check_rotation(Path::new("/dev/null"));
        assert_eq!(device, Err("/dev/null is a device, which cannot be moved away: remove this key".to_owned()));
    }
}
