//! Files that a configuration names.

use std::fs;
use std::io;
use std::path::Path;

/// What is in a file.
///
/// # Errors
///
/// When it cannot be read, is not UTF-8, or is a pipe or a device: it might never end.
pub fn read_text(path: &Path) -> io::Result<String> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() || kind.is_dir() {
        return fs::read_to_string(path);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file, but a pipe, a socket or a device"))
}
