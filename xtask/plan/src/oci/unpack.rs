//! Unpacks layers, gzipped or not, to tars.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Write};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::read::MultiGzDecoder;

use crate::oci::digest::{Digest, Hasher};
use crate::support::files;

/// The first bytes of compressed content.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first bytes of other compressed content, its format, and the program that unpacks it.
pub const OTHERS: [(&[u8], &str, &str); 6] = [
    (&[0x28, 0xb5, 0x2f, 0xfd], "compressed by zstd", "zstd --decompress"),
    (&[0xfd, b'7', b'z', b'X', b'Z', 0], "compressed by xz", "xz --decompress --keep"),
    (b"BZh", "compressed by bzip2", "bzip2 --decompress --keep"),
    (&[0x04, 0x22, 0x4d, 0x18], "compressed by lz4", "lz4 --decompress"),
    (b"hsqs", "a squashfs image", "sqfs2tar"),
    (b"PK\x03\x04", "a zip archive", "unzip"),
];

/// A layer of an image that somebody else made.
pub struct BaseLayer {
    /// An uncompressed tar.
    pub path: Utf8PathBuf,
    pub diff_id: Digest,
    /// Digest and path of the gzipped layer, if the base has one: it is used unchanged.
    pub blob: Option<(Digest, Utf8PathBuf)>,
}

/// Decides by the first bytes of a file, not by its name or media type.
pub fn is_gzip(path: &Utf8Path) -> Result<bool> {
    let mut start = [0; GZIP.len()];
    let mut file = File::open(path).with_context(|| format!("reading {path}"))?;
    Ok(file.read_exact(&mut start).is_ok() && start == GZIP)
}

/// The digest of a file, which is read piece by piece.
pub fn digest(path: &Utf8Path) -> Result<Digest> {
    let mut file = File::open(path).with_context(|| format!("reading {path}"))?;
    copy(&mut file, &mut std::io::sink()).with_context(|| format!("reading {path}"))
}

/// Whether a layer that was unpacked before exists unchanged.
pub fn is_whole(path: &Utf8Path, diff_id: &Digest) -> bool {
    path.is_file() && digest(path).is_ok_and(|is| is == *diff_id)
}

/// Unpacks a layer to `path`, piece by piece, if it has the expected digest; else returns the digest that it has.
pub fn unpack(from: &mut dyn Read, path: &Utf8Path, diff_id: &Digest) -> Result<Option<Digest>> {
    let mut is = None;
    let written = files::write_atomically(path, |out| {
        let digest = copy(&mut plain(from)?, out)?;
        is = Some(digest);
        // Only content that was checked gets this name.
        anyhow::ensure!(digest == *diff_id, "another digest");
        Ok(())
    });
    match written {
        Err(_) if is.is_some_and(|is| is != *diff_id) => Ok(is),
        written => written.map(|()| None),
    }
}

/// The content of a layer: docker's own store exports it unpacked, the containerd store packed.
pub fn plain<'r>(from: &'r mut dyn Read) -> Result<Box<dyn Read + 'r>> {
    let mut start = Vec::new();
    from.take(8).read_to_end(&mut start)?;
    if let Some((_, what, _)) = OTHERS.iter().find(|(begin, ..)| start.starts_with(begin)) {
        bail!("the layer is {what}, which is not supported; use a root file system in a tar as the base image");
    }
    let gzipped = start.starts_with(&GZIP);
    let whole = BufReader::with_capacity(1 << 16, Cursor::new(start).chain(from));
    Ok(if gzipped { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) })
}

/// Copies, and returns the digest of what was copied.
pub fn copy(from: &mut dyn Read, to: &mut dyn Write) -> Result<Digest> {
    let mut hash = Hasher::default();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hash.finish()),
            count => {
                hash.update(&buffer[..count]);
                to.write_all(&buffer[..count])?;
            }
        }
    }
}

/// The same of a layer in memory, such as ours.
pub fn uncompressed(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    plain(&mut &*bytes)?.read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
