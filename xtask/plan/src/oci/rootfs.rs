//! A root file system: layers laid over each other, as a container sees them.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::Bound;
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::support::files;

/// Following more links than this is a loop; Linux's own limit.
const MOST_LINKS: usize = 40;

#[derive(Clone, Debug, Default)]
pub struct Tree {
    layers: Vec<LayerTar>,
    /// By path, relative to the root. As text: comparing paths part by part is slow with many files.
    nodes: BTreeMap<String, Node>,
}

/// An uncompressed layer.
#[derive(Clone, Debug)]
enum LayerTar {
    File(Utf8PathBuf),
    Memory(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Dir,
    /// Its layer, and the offset in that layer's tar.
    File {
        layer: usize,
        offset: u64,
        size: u64,
        executable: bool,
    },
    Link(Utf8PathBuf),
    /// A device, a fifo.
    Other,
}

impl Tree {
    /// Adds an uncompressed layer on top. The file must stay where it is.
    pub fn add_layer(&mut self, layer: &Utf8Path) -> Result<()> {
        let reading = || format!("reading the layer {layer}");
        self.add(File::open(layer).with_context(reading)?).with_context(reading)?;
        self.layers.push(LayerTar::File(layer.to_owned()));
        Ok(())
    }

    /// The same with a layer in memory.
    pub fn add_bytes(&mut self, layer: Vec<u8>) -> Result<()> {
        self.add(Cursor::new(&layer))?;
        self.layers.push(LayerTar::Memory(layer));
        Ok(())
    }

    /// Source: OCI image specification, layer.md, "Whiteouts".
    fn add(&mut self, tar: impl Read + Seek) -> Result<()> {
        let mut archive = tar::Archive::new(tar);
        let mut added = BTreeMap::new();
        for entry in archive.entries_with_seek()? {
            let entry = entry?;
            let Some(path) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
            if let Some(hidden) = path.file_name().and_then(|name| name.strip_prefix(".wh.")) {
                let dir = path.parent().unwrap_or(Utf8Path::new(""));
                match hidden {
                    ".wh..opq" => self.hide_below(dir),
                    hidden => self.hide(&dir.join(hidden)),
                }
                continue;
            }
            let link = || entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
            let node = match entry.header().entry_type() {
                tar::EntryType::Directory => Node::Dir,
                tar::EntryType::Symlink => Node::Link(link().unwrap_or_default().into()),
                tar::EntryType::Link => {
                    let target = normal(&link().unwrap_or_default()).unwrap_or_default();
                    added
                        .get(target.as_str())
                        .or_else(|| self.nodes.get(target.as_str()))
                        .cloned()
                        .unwrap_or(Node::Other)
                }
                kind if kind.is_file() => {
                    let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    Node::File { layer: self.layers.len(), offset, size, executable }
                }
                _ => Node::Other,
            };
            added.insert(path.into_string(), node);
        }
        for (path, node) in added {
            if node != Node::Dir || self.nodes.get(&path).is_some_and(|old| *old != Node::Dir) {
                self.hide(Utf8Path::new(&path));
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    /// Forgets a path and all below it.
    fn hide(&mut self, path: &Utf8Path) {
        self.nodes.remove(path.as_str());
        self.hide_below(path);
    }

    /// Forgets all below a path.
    fn hide_below(&mut self, path: &Utf8Path) {
        if path.as_str().is_empty() {
            return self.nodes.clear();
        }
        let dir = format!("{path}/");
        let below = self.nodes.range::<str, _>((Bound::Excluded(dir.as_str()), Bound::Unbounded));
        let below = below.map(|(path, _)| path).take_while(|other| other.starts_with(&dir));
        for path in below.cloned().collect::<Vec<_>>() {
            self.nodes.remove(&path);
        }
    }

    /// The path to which `path` leads: the base's symlinks are followed, also in the last part. Parts that it lacks
    /// stay as they are.
    pub fn resolve(&self, path: &Utf8Path) -> Result<Utf8PathBuf> {
        let mut todo: Vec<String> = parts(path);
        let mut real = Utf8PathBuf::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == ".." {
                real.pop();
                continue;
            }
            let next = real.join(&part);
            let Some(Node::Link(target)) = self.nodes.get(next.as_str()) else {
                real = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                bail!("the base image's symlinks at /{next} form a loop");
            }
            if target.is_absolute() {
                real = Utf8PathBuf::new();
            }
            todo.extend(parts(target));
        }
        Ok(real)
    }

    pub fn has_dir(&self, path: &Utf8Path) -> bool {
        path.as_str().is_empty() || self.nodes.get(path.as_str()) == Some(&Node::Dir)
    }

    pub fn has(&self, path: &Utf8Path) -> bool {
        self.nodes.contains_key(path.as_str())
    }

    /// The paths of all files, without symlinks.
    pub fn files(&self) -> impl Iterator<Item = &Utf8Path> {
        self.nodes.iter().filter(|(_, node)| matches!(node, Node::File { .. })).map(|(path, _)| Utf8Path::new(path))
    }

    /// The paths that end in `name`, whatever is there.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &Utf8Path> {
        self.nodes.keys().map(Utf8Path::new).filter(move |path| path.file_name() == Some(name))
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Writes everything into the empty directory `dir`, except devices. Symlinks in paths are resolved inside the tree,
    /// and symlinks are made last: no layer can write outside of `dir`.
    pub fn write_to(&self, dir: &Utf8Path) -> Result<()> {
        let place = |path: &Utf8Path| -> Result<Utf8PathBuf> {
            let parent = self.resolve(path.parent().unwrap_or(Utf8Path::new("")))?;
            files::create_dir(&dir.join(&parent))?;
            Ok(dir.join(parent).join(path.file_name().unwrap_or_default()))
        };
        for (path, node) in &self.nodes {
            let path = Utf8Path::new(path);
            match node {
                Node::Dir => files::create_dir(&place(path)?)?,
                Node::File { executable, .. } => {
                    let target = place(path)?;
                    let content = self.read(path)?.unwrap_or_default();
                    fs::write(&target, content).map_err(|error| files::not_written(&target, error))?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&target, PermissionsExt::from_mode(mode))
                        .with_context(|| format!("writing {target}"))?;
                }
                Node::Link(_) | Node::Other => {}
            }
        }
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node {
                let place = place(Utf8Path::new(path))?;
                symlink(target, &place).with_context(|| format!("making the symlink {place}"))?;
            }
        }
        Ok(())
    }

    /// A file's content; links are followed. `None` if there is no such file.
    pub fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open(path)? else { return Ok(None) };
        let mut content = Vec::new();
        file.read_to_end(&mut content).with_context(|| format!("reading /{path} in a layer"))?;
        Ok(Some(content))
    }

    /// The same, for reading piece by piece.
    pub fn open(&self, path: &Utf8Path) -> Result<Option<Box<dyn Read + '_>>> {
        let real = self.resolve(path)?;
        let Some(Node::File { layer, offset, size, .. }) = self.nodes.get(real.as_str()) else { return Ok(None) };
        Ok(Some(match &self.layers[*layer] {
            LayerTar::File(tar) => {
                let mut file = File::open(tar).with_context(|| format!("reading /{real} in {tar}"))?;
                file.seek(SeekFrom::Start(*offset)).with_context(|| format!("reading /{real} in {tar}"))?;
                Box::new(file.take(*size))
            }
            LayerTar::Memory(tar) => {
                let begin = usize::try_from(*offset).unwrap_or(usize::MAX).min(tar.len());
                Box::new((&tar[begin..]).take(*size))
            }
        }))
    }
}

/// The parts of a path, the last one first.
fn parts(path: &Utf8Path) -> Vec<String> {
    let part = |part: Utf8Component| match part {
        Utf8Component::Normal(name) => Some(name.to_owned()),
        Utf8Component::ParentDir => Some("..".to_owned()),
        _ => None,
    };
    path.components().rev().filter_map(part).collect()
}

/// A tar entry's path, relative, without `.` and `..`; `None` for the root itself.
fn normal(path: &str) -> Option<Utf8PathBuf> {
    let mut normal = Utf8PathBuf::new();
    for part in Utf8Path::new(path).components() {
        match part {
            Utf8Component::Normal(name) => normal.push(name),
            Utf8Component::ParentDir => drop(normal.pop()),
            _ => {}
        }
    }
    (!normal.as_str().is_empty()).then_some(normal)
}
