//! The layers of the base image as uncompressed files, from a container engine, an OCI layout, or a tar.

use std::fs::File;
use std::io::Read;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::base::layout::Layout;
use crate::base::{Base, copy_from_registry, registry_copy};
use crate::containers::engine::Engine;
use crate::containers::engine::images::ImageInfo;
use crate::containers::skopeo;
use crate::elf::dynamic;
use crate::oci::digest::Digest;
use crate::oci::documents::Saved;
use crate::oci::rootfs::Tree;
use crate::oci::unpack::{BaseLayer, GZIP, OTHERS, copy, digest, is_gzip, is_whole, plain, unpack};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;

/// A base's layers from the bottom up, and the root file system that they make.
#[derive(Default)]
pub struct BaseFiles {
    pub layers: Vec<BaseLayer>,
    pub tree: Tree,
    pub env: Vec<String>,
}

/// Fetches the layers that are missing.
pub fn read(
    session: &Session,
    base: &Base,
    engine: Option<&Engine>,
    architecture: &str,
    limit: Duration,
) -> Result<BaseFiles> {
    let Session { paths, .. } = session;
    let (layers, env) = match (base, engine) {
        (Base::Scratch, _) => (Vec::new(), Vec::new()),
        (Base::Tar(path), _) => (vec![unpacked(paths, path)?], Vec::new()),
        (Base::Layout { layout, .. }, _) => (layout.layers(&paths.bases())?, layout.env.clone()),
        (Base::Image { info, .. }, Some(engine)) => {
            let env = info.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default();
            (from_engine(session, info, engine, architecture, limit)?, env)
        }
        (Base::Image { reference, .. }, None) => {
            bail!("the base image {reference} needs a container engine that has it")
        }
    };
    let mut tree = Tree::default();
    for layer in &layers {
        tree.add_layer(&layer.path)?;
    }
    if let Base::Tar(path) = base {
        check_tar(path, &tree, architecture)?;
    }
    Ok(BaseFiles { layers, tree, env })
}

/// A tar does not name its architecture: the files in it show it.
fn check_tar(path: &Utf8Path, tree: &Tree, architecture: &str) -> Result<()> {
    if ["manifest.json", "oci-layout"].iter().any(|name| tree.has(Utf8Path::new(name))) {
        bail!(
            "the base image {path} is an image archive, not a root file system; load it and use the name of the image, or \
             unpack it and use the OCI layout"
        );
    }
    if tree.is_empty() {
        bail!("the base image {path} is empty; use a tar with a root file system");
    }
    let linkers = tree.files().filter(|path| path.file_name().is_some_and(|name| name.starts_with("ld-")));
    let mut others = Vec::new();
    for program in [Utf8Path::new("bin/sh")].into_iter().chain(linkers) {
        match tree.read(program)?.as_deref().and_then(dynamic::architecture) {
            // A system may also have libraries of another architecture.
            Some(has) if has == architecture => return Ok(()),
            other => others.extend(other.map(|has| (program, has))),
        }
    }
    if let Some((program, has)) = others.first() {
        bail!(
            "the base image {path} is linux/{has}, as its /{program} shows, but the build is for linux/{architecture}"
        );
    }
    Ok(())
}

/// The tar itself, or the unpacked one.
fn unpacked(paths: &Paths, path: &Utf8Path) -> Result<BaseLayer> {
    let reading = || format!("reading the base image {path}");
    check_kind(path)?;
    if !is_gzip(path)? {
        return Ok(BaseLayer { path: path.to_owned(), diff_id: digest(path).with_context(reading)?, blob: None });
    }
    let key = digest(path).with_context(reading)?;
    let target = paths.bases().join(format!("{}.unpacked.tar", key.file_name()));
    // The content is known only after unpacking.
    let stamp = target.with_extension("digest");
    if let Some(diff_id) =
        files::read_text(&stamp).ok().and_then(|text| text.parse().ok()).filter(|diff_id| is_whole(&target, diff_id))
    {
        return Ok(BaseLayer { path: target, diff_id, blob: None });
    }
    let mut file = File::open(path).with_context(reading)?;
    files::write_atomically(&target, |out| copy(&mut plain(&mut file)?, out).map(drop).with_context(reading))?;
    check_tar_block(path, &first_block(&target)?)?;
    let diff_id = digest(&target)?;
    files::write_atomically(&stamp, |out| Ok(out.write_all(diff_id.to_string().as_bytes())?))?;
    Ok(BaseLayer { path: target, diff_id, blob: None })
}

/// The format of a file that is no tar, by its first bytes.
fn check_kind(path: &Utf8Path) -> Result<()> {
    let start = first_block(path)?;
    if let Some((_, what, program)) = OTHERS.iter().find(|(begin, ..)| start.starts_with(begin)) {
        bail!(
            "the base image {path} is {what}, which is not supported; unpack it with `{program} {path}` and use the tar"
        );
    }
    if !start.starts_with(&GZIP) { check_tar_block(path, &start) } else { Ok(()) }
}

fn first_block(path: &Utf8Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("reading the base image {path}"))?;
    file.take(512).read_to_end(&mut start).with_context(|| format!("reading the base image {path}"))?;
    Ok(start)
}

/// `path` is what the user named, `block` its first block. Another check reports an empty file.
fn check_tar_block(path: &Utf8Path, block: &[u8]) -> Result<()> {
    if !block.is_empty() && !is_tar(block) {
        bail!("the base image {path} is not a tar; use a root file system in a tar, gzipped or not");
    }
    Ok(())
}

/// Whether this is a tar's first block: an entry whose header has its own checksum, or its end.
/// Source: POSIX.1-2017, pax, "ustar Interchange Format".
fn is_tar(block: &[u8]) -> bool {
    let Some(digits) = block.get(148..156).filter(|_| block.len() == 512) else { return false };
    let written = String::from_utf8_lossy(digits);
    let written = u32::from_str_radix(written.trim_matches(['\0', ' ']), 8);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = digits.iter().map(|byte| u32::from(*byte)).sum();
    // In the sum, the checksum field counts as spaces.
    sum == 0 || written == Ok(sum - own + 8 * u32::from(b' '))
}

/// As the registry has them that the engine pulled the image from, if skopeo can copy them the first time: then they are in the image
/// as they are there. Else out of the engine, which keeps no compressed layers.
fn from_engine(
    session: &Session,
    info: &ImageInfo,
    engine: &Engine,
    architecture: &str,
    limit: Duration,
) -> Result<Vec<BaseLayer>> {
    let Session { ui, paths, .. } = session;
    let layer = |diff_id: &Digest| BaseLayer {
        path: paths.bases().join(format!("{}.tar", diff_id.file_name())),
        diff_id: *diff_id,
        blob: None,
    };
    let layers: Vec<BaseLayer> = info.root_fs.layers.iter().map(layer).collect();
    let missing = layers.iter().any(|layer| !is_whole(&layer.path, &layer.diff_id));
    let layout = from_registry(session, info, architecture, missing.then_some(limit));
    if let Some(layout) = layout.filter(|layout| layout.is_of(&info.root_fs.layers)) {
        return layout.layers(&paths.bases());
    }
    if missing {
        ui.status("Reading", format!("base {} out of {engine}", info.id));
        let archive = paths.bases().join("saved.tar");
        engine.save(ui, &info.id, |from| {
            files::write_atomically(&archive, |to| std::io::copy(from, to).map(drop).context("reading the base image"))
        })?;
        extract(&archive, &layers)?;
        files::remove(&archive)?;
    }
    Ok(layers)
}

/// The image in its registry, copied before, or now if that may take so long.
fn from_registry(session: &Session, info: &ImageInfo, architecture: &str, limit: Option<Duration>) -> Option<Layout> {
    let Session { ui, paths, .. } = session;
    // `localhost/` is what podman puts before names that have no registry.
    let names = info.repo_digests.iter().flatten().filter(|name| !name.starts_with("localhost/"));
    let names: Vec<&String> = names.collect();
    let there = names.iter().find_map(|name| registry_copy(paths, name, architecture).ok());
    let (None, Some(limit), Some(name)) = (&there, limit, names.first()) else { return there };
    if !skopeo::is_installed(ui) {
        return None;
    }
    let copied = copy_from_registry(session, name, architecture, limit);
    if let Err(error) = &copied {
        let error = format!("{error:#}");
        let why = error.lines().next().unwrap_or_default();
        ui.status("Packing", format!("the base image's layers anew, since their registry does not give them: {why}"));
    }
    copied.ok()
}

/// Extracts the layers from a `docker save` archive.
/// Source: <https://github.com/moby/docker-image-spec>, "Combined Image JSON + Filesystem Changeset Format".
fn extract(archive: &Utf8Path, layers: &[BaseLayer]) -> Result<()> {
    let mut tree = Tree::default();
    tree.add_layer(archive)?;
    let manifest = tree.read("manifest.json".into())?;
    let manifest = manifest.with_context(|| format!("{archive} has no manifest.json"))?;
    let saved: Vec<Saved> = serde_json::from_slice(&manifest).with_context(|| format!("reading {archive}"))?;
    let names = saved.first().map(|image| image.layers.as_slice()).unwrap_or_default();
    if names.len() != layers.len() {
        bail!("{archive} holds {} layers, expected {}", names.len(), layers.len());
    }
    for (name, layer) in names.iter().zip(layers) {
        let mut content = tree.open(Utf8Path::new(name))?.with_context(|| format!("{archive} has no {name}"))?;
        let unpacked = unpack(&mut content, &layer.path, &layer.diff_id);
        if let Some(other) = unpacked.with_context(|| format!("reading {name} in {archive}"))? {
            bail!("{name} in {archive} has the digest {other}, expected {}", layer.diff_id);
        }
    }
    Ok(())
}
