//! Writes the image as one tar that is an OCI layout and a docker archive at once. docker 20.10, podman and skopeo read it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read, Write};

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde_json::{Value, json};

use crate::assemble::Image;
use crate::assemble::config::{self, INDEX};
use crate::oci::digest::Digest;
use crate::oci::documents::{self, blob_path};
use crate::oci::reference;
use crate::support::files;

/// Writes the archive to `path`, unless the file has these bytes already. Returns whether it was written.
pub fn write_file(image: &Image, name: &str, path: &Utf8Path) -> Result<bool> {
    if let Ok(file) = File::open(path) {
        let mut comparison = Comparison { old: BufReader::with_capacity(1 << 20, file), equal: true };
        write(image, Some(name), &mut comparison)?;
        if comparison.equal && comparison.old.read(&mut [0])? == 0 {
            return Ok(false);
        }
    }
    files::remove_partials(path.parent().unwrap_or(Utf8Path::new(".")))?;
    files::write_atomically(path, |out| write(image, Some(name), out))?;
    Ok(true)
}

/// Source: OCI image specification, image-layout.md; for `manifest.json` <https://github.com/moby/docker-image-spec>.
pub fn write(image: &Image, name: Option<&str>, out: &mut dyn Write) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    append(&mut tar, "oci-layout", &layout_file())?;
    append(&mut tar, "index.json", &index(image, name, &[]))?;
    append(&mut tar, "manifest.json", &for_docker(image, name))?;
    append(&mut tar, &blob_path(&image.manifest_digest), &image.manifest)?;
    append_blobs(&mut tar, image, 0)?;
    tar.finish().context("writing the archive")
}

/// What docker alone reads, without the image's lowest layers, which it has.
pub fn write_above(image: &Image, present: usize, out: &mut dyn Write) -> Result<()> {
    let mut tar = tar::Builder::new(out);
    append(&mut tar, "manifest.json", &for_docker(image, None))?;
    append_blobs(&mut tar, image, present)?;
    tar.finish().context("writing the archive")
}

/// `manifest.json`.
fn for_docker(image: &Image, name: Option<&str>) -> Vec<u8> {
    config::bytes(&json!([{
        "Config": blob_path(&image.config_digest),
        "RepoTags": name.into_iter().collect::<Vec<_>>(),
        "Layers": image.layers().map(|named| blob_path(&named.layer.digest)).collect::<Vec<_>>(),
    }]))
}

/// The configuration, and the layers above the lowest `present`.
fn append_blobs(tar: &mut tar::Builder<&mut dyn Write>, image: &Image, present: usize) -> Result<()> {
    append(tar, &blob_path(&image.config_digest), &image.config)?;
    let blobs: BTreeSet<Digest> = image.layers().skip(present).map(|named| named.layer.digest).collect();
    blobs.iter().try_for_each(|digest| append(tar, &blob_path(digest), &image.store.read(digest)?))
}

/// `oci-layout`.
pub fn layout_file() -> Vec<u8> {
    config::bytes(&json!({ "imageLayoutVersion": "1.0.0" }))
}

/// `index.json`; `referrers` are the descriptors of what refers to the image.
pub fn index(image: &Image, name: Option<&str>, referrers: &[Value]) -> Vec<u8> {
    let mut descriptor = image.descriptor();
    if let Some(name) = name {
        // Podman reads the first, containerd the second. Without them the loaded image has no name.
        descriptor["annotations"] = json!({
            (documents::NAME): name,
            "io.containerd.image.name": reference::qualified(name),
        });
    }
    let manifests: Vec<&Value> = std::iter::once(&descriptor).chain(referrers).collect();
    config::bytes(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": manifests,
    }))
}

fn append(tar: &mut tar::Builder<&mut dyn Write>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_mtime(0);
    header.set_mode(0o644);
    header.set_size(bytes.len() as u64);
    header.set_path(path)?;
    header.set_cksum();
    tar.append(&header, bytes).with_context(|| format!("writing {path} into the archive"))
}

/// Compares what would be written with the file that exists.
struct Comparison {
    old: BufReader<File>,
    equal: bool,
}

impl Write for Comparison {
    fn write(&mut self, new: &[u8]) -> std::io::Result<usize> {
        if self.equal {
            let mut old = vec![0; new.len()];
            self.equal = match self.old.read_exact(&mut old) {
                Ok(()) => old == new,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => false,
                Err(error) => return Err(error),
            };
        }
        Ok(new.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
