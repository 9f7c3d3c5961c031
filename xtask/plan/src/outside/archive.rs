//! Plugins in tars, gzipped or not: a source release, or the `.crate` of a registry.

use std::io::{BufReader, Read};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::GzDecoder;

use crate::oci::digest::Digest;
use crate::support::files;

/// Unpacks the archive into `dir`; returns the directory of the plugin there, and the archive's digest.
pub fn unpack(archive: &Utf8Path, dir: &Utf8Path) -> Result<(Utf8PathBuf, Digest)> {
    let unpacking = || format!("unpacking {archive}");
    let digest = Digest::sha256(files::read(archive)?);
    let file = BufReader::new(std::fs::File::open(archive).with_context(unpacking)?);
    let is_gzip = archive.as_str().ends_with("gz") || archive.as_str().ends_with(".crate");
    let reader: Box<dyn Read> = if is_gzip { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let dir = dir.join("archive").join(digest.hex());
    files::remove(&dir)?;
    files::create_dir(&dir)?;
    // It refuses to write outside of the directory.
    tar::Archive::new(reader).unpack(&dir).with_context(unpacking)?;
    Ok((crate_in(&dir).with_context(unpacking)?, digest))
}

/// The directory itself, or the only one in it.
fn crate_in(dir: &Utf8Path) -> Result<Utf8PathBuf> {
    if dir.join("Cargo.toml").is_file() {
        return dir.canonicalize_utf8().context("finding what was unpacked");
    }
    let inside = dir.read_dir_utf8()?.collect::<Result<Vec<_>, _>>()?;
    match inside.as_slice() {
        [only] if only.path().join("Cargo.toml").is_file() => Ok(only.path().canonicalize_utf8()?),
        _ => bail!("there is no Cargo.toml, neither at its top nor in its only directory: it is no plugin"),
    }
}
