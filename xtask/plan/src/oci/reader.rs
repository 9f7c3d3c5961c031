//! Reads one image that a tool wrote: an archive of xtask, `docker save`, podman or skopeo, or an OCI layout.
//! Source: <https://github.com/moby/docker-image-spec>; OCI image specification, image-layout.md.

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::de::DeserializeOwned;

use crate::oci::documents::{Config, Descriptor, Index, Manifest, Saved};
use crate::oci::rootfs::Tree;
use crate::support::files;

pub enum Blobs {
    Archive(Tree),
    Dir(Utf8PathBuf),
}

impl Blobs {
    /// Whether a file begins like an archive: a tar has its magic number at a fixed offset.
    pub fn is_archive(bytes: &[u8]) -> bool {
        bytes.get(257..262) == Some(b"ustar")
    }

    pub fn of_archive(bytes: Vec<u8>) -> Result<Blobs> {
        let mut tree = Tree::default();
        tree.add_bytes(bytes)?;
        Ok(Blobs::Archive(tree))
    }

    /// The image's configuration, and where its layers are.
    pub fn image(&self) -> Result<(Config, Vec<String>)> {
        if let Some(saved) = self.find("manifest.json")? {
            let saved: Vec<Saved> = parse("manifest.json", &saved)?;
            let count = saved.len();
            let [image] =
                <[Saved; 1]>::try_from(saved).map_err(|_| anyhow!("it holds {count} images, expected one"))?;
            return Ok((self.json(&image.config)?, image.layers));
        }
        let Some(index) = self.find("index.json")? else {
            bail!("it is neither an image archive nor an OCI layout: it has neither manifest.json nor index.json");
        };
        let index: Index = parse("index.json", &index)?;
        let images: Vec<_> = index.manifests.iter().filter(|descriptor| !descriptor.is_artifact()).collect();
        let [image] = images.as_slice() else {
            bail!("it holds {} images, expected one", images.len());
        };
        if image.is_index() {
            bail!("it holds an index of images for several platforms, expected one image");
        }
        let manifest: Manifest = self.json(&image.path()?)?;
        let layers = manifest.layers.iter().map(Descriptor::path).collect::<Result<_>>()?;
        Ok((self.json(&manifest.config.path()?)?, layers))
    }

    pub fn read(&self, path: &str) -> Result<Vec<u8>> {
        self.find(path)?.with_context(|| format!("it has no {path}"))
    }

    fn find(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = Utf8Path::new(path);
        match self {
            Blobs::Archive(tree) => tree.read(path),
            Blobs::Dir(dir) => {
                // These paths are not trusted.
                if !path.components().all(|part| matches!(part, Utf8Component::Normal(_))) {
                    bail!("it names the path {path}, which is outside of it");
                }
                let path = dir.join(path);
                path.is_file().then(|| files::read(&path)).transpose()
            }
        }
    }

    fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        parse(path, &self.read(path)?)
    }
}

fn parse<T: DeserializeOwned>(path: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).with_context(|| format!("reading its {path}"))
}
