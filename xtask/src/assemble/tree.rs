//! The base's files, as a container would see them: its layers laid over each other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::files;

/// Following more links than this is a loop; Linux's own limit.
const MOST_LINKS: usize = 40;

#[derive(Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<Utf8PathBuf, Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Folder,
    /// Which layer's tar holds it, and where in that.
    File {
        layer: Utf8PathBuf,
        offset: u64,
        size: u64,
        executable: bool,
    },
    Link(Utf8PathBuf),
    /// A device, a fifo.
    Other,
}

impl Tree {
    /// Lays an uncompressed layer over what is there.
    /// Source: OCI image specification, layer.md, "Whiteouts".
    pub fn add_layer(&mut self, layer: &Utf8Path) -> Result<()> {
        let reading = || format!("reading the layer {layer}");
        let mut archive = tar::Archive::new(File::open(layer).with_context(reading)?);
        let mut added = BTreeMap::new();
        for entry in archive.entries_with_seek().with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let Some(path) = normal(&String::from_utf8_lossy(&entry.path_bytes())) else { continue };
            if let Some(hidden) = path.file_name().and_then(|name| name.strip_prefix(".wh.")) {
                let folder = path.parent().unwrap_or(Utf8Path::new(""));
                let target = if hidden == ".wh..opq" { folder.join("*") } else { folder.join(hidden) };
                self.hide(&target);
                continue;
            }
            let link = || entry.link_name_bytes().map(|name| String::from_utf8_lossy(&name).into_owned());
            let node = match entry.header().entry_type() {
                tar::EntryType::Directory => Node::Folder,
                tar::EntryType::Symlink => Node::Link(link().unwrap_or_default().into()),
                tar::EntryType::Link => {
                    let target = normal(&link().unwrap_or_default()).unwrap_or_default();
                    added.get(&target).or_else(|| self.nodes.get(&target)).cloned().unwrap_or(Node::Other)
                }
                kind if kind.is_file() => {
                    let executable = entry.header().mode().unwrap_or(0) & 0o111 != 0;
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    Node::File { layer: layer.to_owned(), offset, size, executable }
                }
                _ => Node::Other,
            };
            added.insert(path, node);
        }
        for (path, node) in added {
            if node != Node::Folder || self.nodes.get(&path).is_some_and(|old| *old != Node::Folder) {
                self.hide(&path);
            }
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    /// Forgets a path and all below it; `folder/*` only what is below.
    fn hide(&mut self, path: &Utf8Path) {
        match path.as_str().strip_suffix("*").map(|folder| folder.trim_end_matches('/')) {
            Some(folder) => self.nodes.retain(|other, _| other == folder || !other.starts_with(folder)),
            None => self.nodes.retain(|other, _| !other.starts_with(path)),
        }
    }

    /// Where `path` really is: the base's symlinks are followed, the last part's too. Parts that the base does not have
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
            let Some(Node::Link(target)) = self.nodes.get(&next) else {
                real = next;
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                bail!("the base's symlinks at /{next} go round in a circle");
            }
            if target.is_absolute() {
                real = Utf8PathBuf::new();
            }
            todo.extend(parts(target));
        }
        Ok(real)
    }

    pub fn has_folder(&self, path: &Utf8Path) -> bool {
        path.as_str().is_empty() || self.nodes.get(path) == Some(&Node::Folder)
    }

    pub fn has(&self, path: &Utf8Path) -> bool {
        self.nodes.contains_key(path)
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Writes everything below `folder`, which is empty; devices are left out. Each path is where the tree's own symlinks
    /// lead, and symlinks are made last: no layer can reach outside of `folder`.
    pub fn write_to(&self, folder: &Utf8Path) -> Result<()> {
        let place = |path: &Utf8Path| -> Result<Utf8PathBuf> {
            let parent = self.resolve(path.parent().unwrap_or(Utf8Path::new("")))?;
            files::create_folder(&folder.join(&parent))?;
            Ok(folder.join(parent).join(path.file_name().unwrap_or_default()))
        };
        for (path, node) in &self.nodes {
            match node {
                Node::Folder => files::create_folder(&place(path)?)?,
                Node::File { executable, .. } => {
                    let target = place(path)?;
                    let content = self.read(path)?.unwrap_or_default();
                    fs::write(&target, content).with_context(|| format!("writing {target}"))?;
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&target, PermissionsExt::from_mode(mode))
                        .with_context(|| format!("writing {target}"))?;
                }
                Node::Link(_) | Node::Other => {}
            }
        }
        for (path, node) in &self.nodes {
            if let Node::Link(target) = node {
                let place = place(path)?;
                symlink(target, &place).with_context(|| format!("making the symlink {place}"))?;
            }
        }
        Ok(())
    }

    /// A file's content, links followed; `None` if there is no such file.
    pub fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        use std::io::{Seek, SeekFrom};
        let real = self.resolve(path)?;
        let Some(Node::File { layer, offset, size, .. }) = self.nodes.get(&real) else { return Ok(None) };
        let reading = || format!("reading /{real} in {layer}");
        let mut file = File::open(layer).with_context(reading)?;
        file.seek(SeekFrom::Start(*offset)).with_context(reading)?;
        let mut content = Vec::new();
        file.take(*size).read_to_end(&mut content).with_context(reading)?;
        Ok(Some(content))
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

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::Tree;
    use crate::test_folder::TestFolder;
    use std::fs;

    /// `path/` is a folder, `path -> target` a link, anything else a file that holds its own path.
    fn layer(test: &TestFolder, name: &str, entries: &[&str]) -> camino::Utf8PathBuf {
        let mut tar = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            if let Some((path, target)) = entry.split_once(" -> ") {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, path, target).expect("a link");
                continue;
            }
            let content = if entry.ends_with('/') { "" } else { entry };
            header.set_entry_type(if entry.ends_with('/') {
                tar::EntryType::Directory
            } else {
                tar::EntryType::Regular
            });
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, entry, content.as_bytes()).expect("an entry");
        }
        test.write(name, tar.into_inner().expect("a tar"));
        test.path().join(name)
    }

    #[test]
    fn layers_lie_over_each_other() {
        let test = TestFolder::new("tree");
        let mut tree = Tree::default();
        let base = [
            "./",
            "./usr/",
            "./usr/lib/",
            "./usr/lib/libc.so.6",
            "./lib -> usr/lib",
            "etc/",
            "etc/gone",
            "loop -> loop",
        ];
        tree.add_layer(&layer(&test, "one", &base)).expect("a layer");
        tree.add_layer(&layer(&test, "two", &["etc/.wh.gone", "opt/", "opt/old"])).expect("a layer");
        tree.add_layer(&layer(&test, "three", &["opt/.wh..wh..opq", "opt/new"])).expect("a layer");

        let read = |path: &str| tree.read(Utf8Path::new(path)).expect("no error").map(|bytes| bytes.len());
        assert_eq!(tree.resolve("lib/x86/libm.so".into()).expect("a path"), "usr/lib/x86/libm.so");
        assert_eq!(read("/lib/libc.so.6"), Some("./usr/lib/libc.so.6".len()));
        assert_eq!((read("etc/gone"), read("opt/old"), read("opt/new")), (None, None, Some(7)));
        assert!(tree.has_folder("etc".into()) && tree.has_folder("opt".into()) && !tree.has_folder("lib".into()));
        let root = test.path().join("root");
        tree.write_to(&root).expect("a root file system");
        assert_eq!(fs::read_link(root.join("lib")).expect("a link").to_str(), Some("usr/lib"));
        assert!(root.join("opt/new").is_file() && !root.join("opt/old").exists());
        let error = tree.resolve("loop/file".into()).expect_err("a loop");
        assert_eq!(error.to_string(), "the base's symlinks at /loop go round in a circle");
    }

    #[test]
    fn no_layer_reaches_outside() {
        let test = TestFolder::new("tree-outside");
        let out = test.path().join("out");
        for kept in ["absolute", "link", "parent"] {
            test.write(&format!("out/{kept}"), "kept");
        }
        let evil = [
            format!("{out}/.wh.absolute"),
            format!("way -> {out}"),
            "way/.wh.link".to_owned(),
            "way/new".to_owned(),
            "../../out/.wh.parent".to_owned(),
            "/.wh..wh..opq".to_owned(),
        ];
        let mut tree = Tree::default();
        // The tar crate refuses to write such paths, so the headers are filled by hand.
        let mut tar = tar::Builder::new(Vec::new());
        for entry in &evil {
            let (path, target) = entry.split_once(" -> ").unwrap_or((entry, ""));
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            let kind = if target.is_empty() { tar::EntryType::Regular } else { tar::EntryType::Symlink };
            header.set_entry_type(kind);
            let fields = header.as_gnu_mut().expect("a GNU header");
            fields.name[..path.len()].copy_from_slice(path.as_bytes());
            fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
            header.set_cksum();
            tar.append(&header, std::io::empty()).expect("an entry");
        }
        test.write("evil.tar", tar.into_inner().expect("a tar"));
        tree.add_layer(&test.path().join("evil.tar")).expect("a layer");
        tree.write_to(&test.path().join("root/of/it")).expect("a root file system");
        let entries = fs::read_dir(&out).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut left: Vec<_> = entries.collect();
        left.sort();
        assert_eq!(left, ["absolute", "link", "parent"]);
    }
}
