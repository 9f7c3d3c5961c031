//! Turns entries into the bytes of a layer: the same entries give the same bytes, on every machine and for ever. A change of
//! these bytes changes the digest of every image: `FORMAT` counts such changes.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::oci::entry::{Content, Entry, ROOT, User};
use crate::oci::listing::Listed;
use crate::oci::rootfs::Tree;
use crate::oci::unpack::{self, BaseLayer};
use crate::support::files;

/// Version of the bytes that tar and gzip produce.
pub const FORMAT: u32 = 1;

/// The one modification time of every entry, in seconds since 1970. A commit's date would change every layer at every
/// commit.
const MODIFIED: u64 = 0;

/// A layer in the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Layer {
    /// Of the uncompressed tar.
    pub diff_id: Digest,
    /// Of the gzipped blob.
    pub digest: Digest,
    /// Of the gzipped blob, in bytes.
    pub size: u64,
    /// Of the tar, in bytes.
    pub unpacked: u64,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct NamedLayer {
    /// A name for people.
    pub name: String,
    pub layer: Layer,
    /// Its content; empty for layers of the base image.
    pub files: Vec<Listed>,
}

/// Owners and contents by path, on top of the base image.
pub type Laid = BTreeMap<Utf8PathBuf, (User, Content)>;

/// Every entry at the path to which the base's symlinks lead, with each parent directory that the base does not have.
pub fn lay(entries: &[Entry], base: &Tree) -> Result<Laid> {
    let mut laid = Laid::new();
    for entry in entries {
        let path = match entry.path.parent() {
            Some(parent) => base.resolve(parent)?.join(entry.path.file_name().unwrap_or_default()),
            None => entry.path.clone(),
        };
        anyhow::ensure!(
            !base.has(&path) || entry.content == Content::Dir && base.has_dir(&path),
            "the base image already has /{path}, which the image adds; choose another base image, or rename the added file"
        );
        for parent in path.ancestors().skip(1).filter(|parent| !base.has_dir(parent)) {
            laid.entry(parent.to_owned()).or_insert((ROOT, Content::Dir));
        }
        laid.insert(path, (entry.owner, entry.content.clone()));
    }
    Ok(laid)
}

/// As an uncompressed tar: sorted, directories before their content, a PAX header only where a path needs it.
pub fn tar(laid: &Laid) -> Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, (owner, content)) in laid {
        append(&mut tar, path, *owner, content).with_context(|| format!("writing /{path} into a layer"))?;
    }
    Ok(tar.into_inner()?)
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &Utf8Path, owner: User, content: &Content) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mtime(MODIFIED);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_mode(content.mode());
    match content {
        Content::Dir => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            set_path(tar, &mut header, &format!("{path}/"))?;
            header.set_cksum();
            tar.append(&header, std::io::empty())?;
        }
        Content::File { bytes, .. } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(bytes.len() as u64);
            set_path(tar, &mut header, path.as_str())?;
            header.set_cksum();
            tar.append(&header, bytes.as_slice())?;
        }
    }
    Ok(())
}

/// A path that is too long for a ustar header is in a PAX header before it; the ustar header then has the end of the path.
/// Source: POSIX.1-2017, pax, "pax Header Block".
fn set_path(tar: &mut tar::Builder<Vec<u8>>, header: &mut tar::Header, path: &str) -> Result<()> {
    const ROOM: usize = 100;
    if header.set_path(path).is_ok() {
        return Ok(());
    }
    tar.append_pax_extensions([("path", path.as_bytes())])?;
    let mut begin = path.len() - ROOM + 1;
    while !path.is_char_boundary(begin) {
        begin += 1;
    }
    Ok(header.set_path(path[begin..].trim_start_matches('/'))?)
}

/// Compressed layers by digest, found again by their content.
pub struct Store {
    dir: Utf8PathBuf,
}

impl Store {
    pub fn new(dir: Utf8PathBuf) -> Store {
        Store { dir }
    }

    /// The layer that contains the tar with this digest and size in bytes, if it is undamaged.
    pub fn find(&self, diff_id: &Digest, unpacked: u64) -> Option<Layer> {
        let index = std::fs::read(self.index(diff_id)).ok()?;
        let layer: Layer = serde_json::from_slice(&index).ok()?;
        let size = self.read(&layer.digest).ok()?.len() as u64;
        (layer.diff_id == *diff_id && (size, unpacked) == (layer.size, layer.unpacked)).then_some(layer)
    }

    /// A layer's blob. It is checked against its digest before it is delivered.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob(digest);
        let bytes = files::read(&path)?;
        let is = Digest::sha256(&bytes);
        anyhow::ensure!(is == *digest, "{path} is damaged: its digest is {is}; run the command again to recreate it");
        Ok(bytes)
    }

    /// Adds a layer of ours.
    pub fn add(&self, diff_id: &Digest, tar: &[u8]) -> Result<Layer> {
        let mut encoder = gzip(Vec::new());
        encoder.write_all(tar)?;
        let blob = encoder.finish()?;
        let digest = Digest::sha256(&blob);
        files::write_atomically(&self.blob(&digest), |out| Ok(out.write_all(&blob)?))?;
        self.keep(Layer { diff_id: *diff_id, digest, size: blob.len() as u64, unpacked: tar.len() as u64 })
    }

    /// Adds a layer of a base image, which may be large: reads a tar of `unpacked` bytes piece by piece.
    pub fn add_from(&self, diff_id: &Digest, tar: &mut dyn Read, unpacked: u64) -> Result<Layer> {
        let new = self.dir.join("new");
        files::write_atomically(&new, |out| {
            let mut encoder = gzip(out);
            std::io::copy(tar, &mut encoder)?;
            encoder.finish().map(drop).context("compressing a layer")
        })?;
        let (digest, size) = (unpack::digest(&new)?, files::size(&new)?);
        let blob = self.blob(&digest);
        files::create_dir(blob.parent().unwrap_or(&self.dir))?;
        std::fs::rename(&new, &blob).with_context(|| format!("renaming {new} to {blob}"))?;
        self.keep(Layer { diff_id: *diff_id, digest, size, unpacked })
    }

    /// Remembers the content of a blob.
    fn keep(&self, layer: Layer) -> Result<Layer> {
        let index = serde_json::to_vec(&layer)?;
        files::write_atomically(&self.index(&layer.diff_id), |out| Ok(out.write_all(&index)?))?;
        Ok(layer)
    }

    /// Adds a gzipped layer of a base image unchanged.
    pub fn adopt(&self, layer: &BaseLayer, digest: &Digest, from: &Utf8Path) -> Result<Layer> {
        let unpacked = files::size(&layer.path)?;
        let bytes = match self.read(digest) {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes = files::read(from)?;
                let is = Digest::sha256(&bytes);
                anyhow::ensure!(is == *digest, "{from} is damaged: its digest is {is}; write the layout again");
                files::write_atomically(&self.blob(digest), |out| Ok(out.write_all(&bytes)?))?;
                bytes
            }
        };
        let size = bytes.len() as u64;
        Ok(Layer { diff_id: layer.diff_id, digest: *digest, size, unpacked })
    }

    fn blob(&self, digest: &Digest) -> Utf8PathBuf {
        self.dir.join(digest.path())
    }

    fn index(&self, diff_id: &Digest) -> Utf8PathBuf {
        self.dir.join(format!("format-{FORMAT}")).join(diff_id.path())
    }
}

/// miniz_oxide, pinned by the lock: plain Rust without paths for special processors, hence the same bytes everywhere
/// (zlib-rs and zlib-ng hash differently where the processor has a CRC instruction).
pub fn gzip<W: Write>(out: W) -> GzEncoder<W> {
    const UNKNOWN_SYSTEM: u8 = 255;
    GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(out, Compression::new(6))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Store, Tree, lay, tar};
    use crate::oci::digest::Digest;
    use crate::oci::entry::{Entry, User};
    use crate::support::test_dir::TestDir;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::file(Utf8Path::new("/srv/host"), b"host".to_vec(), true),
            Entry::dir(Utf8Path::new("/var/lib/state"), User { uid: 65532, gid: 65532 }),
            Entry::file(Utf8Path::new("/etc/config.toml"), b"a = 1\n".to_vec(), false),
        ]
    }

    fn packed(entries: &[Entry]) -> Vec<u8> {
        tar(&lay(entries, &Tree::default()).expect("paths")).expect("a tar")
    }

    #[test]
    fn the_bytes_are_these() {
        let test = TestDir::default();
        let bytes = packed(&entries());
        let mut backwards = entries();
        backwards.reverse();
        assert_eq!(bytes, packed(&backwards), "the order of entries is no input");

        let mut listing = String::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().expect("entries") {
            let header = entry.expect("an entry").header().clone();
            let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
            let (uid, gid) = (header.uid().expect("a uid"), header.gid().expect("a gid"));
            listing += &format!(
                "{:o} {uid}:{gid} {} {path}\n",
                header.mode().expect("a mode"),
                header.mtime().expect("a time")
            );
        }
        let expected = "755 0:0 0 etc/\n644 0:0 0 etc/config.toml\n755 0:0 0 srv/\n755 0:0 0 srv/host\n\
                        755 0:0 0 var/\n755 0:0 0 var/lib/\n755 65532:65532 0 var/lib/state/\n";
        assert_eq!(listing, expected);

        let store = Store::new(test.path().to_owned());
        let diff_id = Digest::sha256(&bytes);
        let layer = store.add(&diff_id, &bytes).expect("a layer");
        assert_eq!(store.find(&diff_id, layer.unpacked).expect("the same layer").digest, layer.digest);
        let (path, mut blob) = (store.blob(&layer.digest), store.read(&layer.digest).expect("a blob"));
        blob[20] ^= 1;
        std::fs::write(&path, &blob).expect("a blob");
        assert!(store.find(&diff_id, layer.unpacked).is_none(), "one that is damaged is made anew");
        let damaged =
            format!("{path} is damaged: its digest is {}; run the command again to recreate it", Digest::sha256(&blob));
        assert_eq!(store.read(&layer.digest).expect_err("damaged").to_string(), damaged);
        assert_eq!(
            layer.digest.to_string(),
            "sha256:d494821c84488ff19f84035592ead32c540bcd37c8ca88c84df4b478f5874594",
            "count FORMAT up when these bytes change on purpose"
        );
    }
}
