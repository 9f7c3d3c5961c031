//! What is inside a finished image: the files that carry an ABI record, compared with the host that the image starts, and
//! what they import with what the image's libraries export. Nothing is started.

use anyhow::{Context, Result, anyhow, bail};
use camino::{Utf8Path, Utf8PathBuf};
use provost_record::{Comparison, ReadError, Report, compare, inspect, missing};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::assemble::Image;
use crate::assemble::base::uncompressed;
use crate::assemble::tree::Tree;
use crate::build::libraries::is_interpreter;
use crate::elf::Elf;
use crate::exports::Exported;
use crate::faults::Faults;
use crate::files;
use crate::plan::ImagePlan;

/// An image's files with ABI records.
pub struct Contents {
    /// Path in the image and content, sorted.
    files: Vec<(Utf8PathBuf, Vec<u8>)>,
    /// Which of them the image starts.
    host: Option<usize>,
    /// What the image's libraries export.
    there: Exported,
}

/// One image in `manifest.json`, as `docker save` writes it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

/// What an image starts.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    config: Settings,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<Utf8PathBuf>,
}

/// The root file system of a finished image.
pub fn tree(image: &Image) -> Result<Tree> {
    let mut tree = Tree::default();
    for (name, layer) in &image.layers {
        let tar = uncompressed(files::read(&image.store.blob(&layer.digest))?);
        tar.and_then(|tar| tree.add_bytes(tar)).with_context(|| format!("unpacking the layer {name}"))?;
    }
    Ok(tree)
}

/// The host and every plugin of the plan fit together as they stand in the image.
pub fn check(tree: &Tree, plan: &ImagePlan) -> Result<()> {
    let build = &plan.build;
    let place = |name: &str| build.host.working_folder.join(name);
    let mut files = Vec::new();
    let plugins = build.plugins.iter().map(|plugin| build.file_name(plugin));
    for path in std::iter::once(build.host.package.clone()).chain(plugins).map(|name| place(&name)) {
        let bytes = tree.read(&path)?.with_context(|| format!("the image has no {path}"))?;
        files.push((path, bytes));
    }
    let contents = Contents { there: exported(tree, &files, &place(&build.host.package))?, files, host: Some(0) };
    let mut faults = Faults::default();
    for report in contents.reports() {
        match report {
            Ok(Report { file, comparison: Some(comparison), .. }) => {
                if !comparison.differences.is_empty() {
                    let table = provost_record::table(&comparison.differences);
                    faults.push(format!("{file} was built against another SDK than the host:\n{table}"));
                }
                if let Some(missing) = comparison.missing {
                    faults.push(format!("{file}: {missing}"));
                }
            }
            Ok(_) => {}
            Err(error) => faults.push(format!("{error:#}")),
        }
    }
    faults.report("the finished image")
}

impl Contents {
    /// Whether a file begins as an archive does: a tar has its own name for itself at a fixed place.
    pub fn is_archive(bytes: &[u8]) -> bool {
        bytes.get(257..262) == Some(b"ustar")
    }

    /// Of an archive that this program, `docker save`, podman or skopeo wrote.
    /// Source: <https://github.com/moby/docker-image-spec>; OCI image specification, image-layout.md.
    pub fn of_archive(archive: Vec<u8>) -> Result<Contents> {
        let mut blobs = Tree::default();
        blobs.add_bytes(archive)?;
        let (config, layers) = names(&blobs)?;
        let config: Config = json(&blobs, &config)?;
        let mut tree = Tree::default();
        for layer in layers {
            let tar = uncompressed(blob(&blobs, &layer)?);
            tar.and_then(|tar| tree.add_bytes(tar)).with_context(|| format!("unpacking the layer {layer}"))?;
        }
        let started = config.config.started().map(|program| tree.resolve(&program)).transpose()?;
        let mut files = Vec::new();
        for path in tree.files() {
            let bytes = tree.read(path)?.unwrap_or_default();
            let of_others = [ReadError::NotElf, ReadError::NotElf64, ReadError::NoRecord];
            match inspect(&bytes) {
                Err(ReadError::Machine(_) | ReadError::NotShared(_)) => {}
                Err(error) if of_others.contains(&error) => {}
                _ => files.push((Utf8Path::new("/").join(path), bytes)),
            }
        }
        let is_host = |path: &Utf8Path| started.as_ref().is_some_and(|host| path == Utf8Path::new("/").join(host));
        let host = files.iter().position(|(path, _)| is_host(path));
        let there = match host {
            Some(host) => exported(&tree, &files, &files[host].0)?,
            None => Exported::default(),
        };
        Ok(Contents { files, host, there })
    }

    /// Of each file, or why it could not be read.
    pub fn reports(&self) -> impl Iterator<Item = Result<Report<'_>>> {
        let host = self.host.map(|host| &self.files[host]);
        let host = host.and_then(|(path, bytes)| Some((path, inspect(bytes).ok()?.record)));
        self.files.iter().enumerate().map(move |(index, (path, bytes))| {
            let failed = |error| anyhow!("{path}: {error}");
            let inspection = inspect(bytes).map_err(failed)?;
            let comparison = match &host {
                Some((host, record)) if self.host != Some(index) => Some(Comparison {
                    with: host.to_string(),
                    differences: compare(&inspection.record, record),
                    missing: missing(bytes, &self.there).map_err(failed)?,
                }),
                _ => None,
            };
            Ok(Report { file: path.to_string(), inspection, comparison })
        })
    }
}

impl Settings {
    fn started(&self) -> Option<Utf8PathBuf> {
        let mut command = self.entrypoint.iter().chain(&self.cmd).flatten();
        let folder = self.working_dir.as_deref().unwrap_or(Utf8Path::new("/"));
        command.next().map(|program| folder.join(program))
    }
}

/// Where an archive holds its image's configuration and layers.
fn names(blobs: &Tree) -> Result<(String, Vec<String>)> {
    if blobs.has("manifest.json".into()) {
        let saved: Vec<Saved> = json(blobs, "manifest.json")?;
        let count = saved.len();
        let [image] = <[Saved; 1]>::try_from(saved).map_err(|_| anyhow!("it holds {count} images, wanted is one"))?;
        return Ok((image.config, image.layers));
    }
    if !blobs.has("index.json".into()) {
        bail!("it is a tar, but no archive of an image: it has neither manifest.json nor index.json");
    }
    let index: Index = json(blobs, "index.json")?;
    let [image] = index.manifests.as_slice() else {
        bail!("it holds {} images, wanted is one", index.manifests.len());
    };
    let path = |of: &Descriptor| format!("blobs/{}", of.digest.replace(':', "/"));
    let manifest: Manifest = json(blobs, &path(image))?;
    Ok((path(&manifest.config), manifest.layers.iter().map(path).collect()))
}

fn blob(blobs: &Tree, path: &str) -> Result<Vec<u8>> {
    blobs.read(Utf8Path::new(path))?.with_context(|| format!("it has no {path}"))
}

fn json<T: DeserializeOwned>(blobs: &Tree, path: &str) -> Result<T> {
    serde_json::from_slice(&blob(blobs, path)?).with_context(|| format!("reading its {path}"))
}

/// What the libraries export that these files need. Where the dynamic linker would look depends on its configuration, so a
/// library is taken from wherever it is, beside the host first; that it is found there, only a start can show.
fn exported(tree: &Tree, files: &[(Utf8PathBuf, Vec<u8>)], host: &Utf8Path) -> Result<Exported> {
    let program = tree.read(host)?.with_context(|| format!("the image has no {host}"))?;
    let interpreter = Elf::parse(&program).with_context(|| format!("reading {host}"))?.interpreter;
    let beside = host.parent().unwrap_or(Utf8Path::new("/"));
    let needing = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()));
    Exported::gather(needing, |name| {
        let interpreter = interpreter.as_deref().map(Utf8Path::new).filter(|place| is_interpreter(place, name));
        let anywhere = tree.named(name).map(Utf8Path::to_owned);
        let places = interpreter.map(Utf8Path::to_owned).into_iter().chain([beside.join(name)]).chain(anywhere);
        for place in places {
            if let Some(bytes) = tree.read(&place)?.filter(|bytes| bytes.starts_with(b"\x7fELF")) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    })
}
