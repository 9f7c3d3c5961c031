//! Reads and writes files. Every error names the path, and no file is ever half-written.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, ErrorKind, Write};

use anyhow::{Context, Error, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

/// File extension of a file that is being written.
const PARTIAL: &str = ".partial";

/// The error of a full disk, and its fix.
pub const FULL: &str = "no space left on device; free some space, or write elsewhere: CARGO_TARGET_DIR moves the target \
    directory, --output chooses another place";

pub fn read(path: &Utf8Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {path}"))
}

pub fn read_text(path: &Utf8Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {path}"))
}

/// In bytes.
pub fn size(path: &Utf8Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("reading {path}"))?.len())
}

pub fn create_dir(path: &Utf8Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|error| unwritable("creating the directory", path, error))
}

/// An empty file, which stands for no content.
pub fn create(path: &Utf8Path) -> Result<fs::File> {
    fs::File::create(path).map_err(|error| unwritable("writing", path, error))
}

fn unwritable(doing: &str, path: &Utf8Path, error: io::Error) -> Error {
    if is_full(&error) {
        return anyhow!("{doing} {path}: {FULL}");
    }
    anyhow!("{doing} {path}: {error}; make it writable, or set CARGO_TARGET_DIR to a directory that is")
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// The error of writing `path`; a full disk has its own message.
pub fn not_written(path: &Utf8Path, error: impl Into<Error>) -> Error {
    let error = error.into();
    let full = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_full);
    if full { anyhow!("writing {path}: {FULL}") } else { error.context(format!("writing {path}")) }
}

/// Removes a file or a directory that may be absent.
pub fn remove(path: &Utf8Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("removing {path}")),
        _ => Ok(()),
    }
}

/// Writes through a temporary name in the same directory: a reader sees the old content or the new one, never a part.
pub fn write_atomically(path: &Utf8Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    write_renamed(path, write, fs::File::sync_all)
}

/// The same for a file that is compared before it is used. It does not wait for the disk: what a crash of the machine loses
/// is written again.
pub fn write_copy(path: &Utf8Path, content: &[u8]) -> Result<()> {
    write_renamed(path, |out| Ok(out.write_all(content)?), |_| Ok(()))
}

fn write_renamed(
    path: &Utf8Path,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
    end: impl FnOnce(&fs::File) -> io::Result<()>,
) -> Result<()> {
    if let Some(dir) = path.parent() {
        create_dir(dir)?;
    }
    let partial = Utf8PathBuf::from(format!("{path}.{}{PARTIAL}", unique()));
    let result = (|| {
        let failed = |error| not_written(path, error);
        // Creates a new file: never opens an existing file or symlink.
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&partial);
        let file = file.map_err(|error| failed(error.into()))?;
        // A file that is locked is in use.
        file.lock().map_err(|error| failed(error.into()))?;
        let mut buffered = io::BufWriter::with_capacity(1 << 16, file);
        write(&mut buffered).map_err(failed)?;
        let file = buffered.into_inner().map_err(|error| error.into_error());
        file.and_then(|file| end(&file)).map_err(|error| failed(error.into()))?;
        fs::rename(&partial, path).with_context(|| format!("renaming {partial} to {path}"))
    })();
    if result.is_err() {
        let _ = fs::remove_file(&partial);
    }
    result
}

/// Makes a directory with these files, by path relative to it: it is there with all of them, or not at all. One that is there
/// already must be empty.
pub fn create_tree(dir: &Utf8Path, files: &BTreeMap<Utf8PathBuf, String>) -> Result<()> {
    let name = dir.file_name().with_context(|| format!("{dir} is not the name of a directory"))?;
    let partial = dir.with_file_name(format!(".{name}.{}", unique()));
    let written = files.iter().try_for_each(|(path, text)| {
        let path = partial.join(path);
        create_dir(path.parent().unwrap_or(&partial))?;
        fs::write(&path, text).map_err(|error| not_written(&path, error))
    });
    // A rename replaces an empty directory, and no other.
    let created =
        written.and_then(|()| fs::rename(&partial, dir).with_context(|| format!("renaming {partial} to {dir}")));
    if created.is_err() {
        let _ = fs::remove_dir_all(&partial);
    }
    created
}

/// Copies a directory of files and directories to one that is absent.
pub fn copy_tree(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry.with_context(|| format!("reading the directory {from}"))?;
        let path = to.as_std_path().join(entry.path().strip_prefix(from)?);
        let path = Utf8PathBuf::try_from(path).context("the paths of a copy are UTF-8")?;
        if entry.file_type().is_dir() {
            create_dir(&path)?;
        } else {
            fs::copy(entry.path(), &path).map_err(|error| not_written(&path, error))?;
        }
    }
    Ok(())
}

/// Removes the temporary files of runs that were killed.
pub fn remove_partials(dir: &Utf8Path) -> Result<()> {
    for entry in dir.read_dir_utf8().into_iter().flatten().flatten() {
        let is_partial = entry.file_name().ends_with(PARTIAL) && entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_partial && fs::File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            remove(entry.path())?;
        }
    }
    Ok(())
}

/// A random part of a name.
fn unique() -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("{}-{random:016x}", std::process::id())
}

/// Writes unless the file has this content; returns whether it had to be written.
pub fn write_changed(path: &Utf8Path, content: &[u8]) -> Result<bool> {
    let changed = !fs::read(path).is_ok_and(|old| old == content);
    if changed {
        write_atomically(path, |out| Ok(out.write_all(content)?))?;
    }
    Ok(changed)
}
