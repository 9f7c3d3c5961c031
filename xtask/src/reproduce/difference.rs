//! Finds the first difference of two images.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::assemble::Image;
use crate::elf::sections::{self, first_byte};
use crate::oci::layer::NamedLayer;
use crate::oci::unpack::uncompressed;
use crate::reproduce::json;

/// An image as it is compared.
#[derive(Clone)]
pub struct Bytes {
    pub manifest: Vec<u8>,
    pub config: Vec<u8>,
    /// Gzipped, from the bottom up, each with its name.
    pub layers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, PartialEq)]
pub enum Difference {
    /// The layers have different names.
    Layers([String; 2]),
    File {
        layer: String,
        /// Absolute in the image.
        path: Utf8PathBuf,
        what: String,
    },
    /// The layer has the same files, packed differently.
    Packing { layer: String },
    Json {
        document: &'static str,
        /// Of both.
        what: String,
    },
}

impl Bytes {
    pub fn read(image: &Image) -> Result<Bytes> {
        let layer = |named: &NamedLayer| Ok((named.name.clone(), image.store.read(&named.layer.digest)?));
        let layers = image.layers().map(layer).collect::<Result<_>>()?;
        Ok(Bytes { manifest: image.manifest.clone(), config: image.config.clone(), layers })
    }

    fn names(&self) -> String {
        self.layers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Layers come first: the configuration contains their digests, and the manifest contains the configuration's.
pub fn first(one: &Bytes, two: &Bytes) -> Result<Option<Difference>> {
    let names = [one.names(), two.names()];
    if names[0] != names[1] {
        return Ok(Some(Difference::Layers(names)));
    }
    for ((name, one), (_, two)) in one.layers.iter().zip(&two.layers) {
        if one != two {
            let difference = in_layer(name, one, two).with_context(|| format!("comparing the layer {name}"))?;
            return Ok(Some(difference));
        }
    }
    for (document, one, two) in
        [("configuration", &one.config, &two.config), ("manifest", &one.manifest, &two.manifest)]
    {
        if one != two {
            let what = json::difference(one, two).with_context(|| format!("comparing the {document}"))?;
            return Ok(Some(Difference::Json { document, what }));
        }
    }
    Ok(None)
}

/// One entry of a tar.
struct Entry {
    /// The text to show: a name, a value.
    attributes: [(&'static str, String); 5],
    content: Vec<u8>,
}

fn in_layer(layer: &str, one: &[u8], two: &[u8]) -> Result<Difference> {
    let (one, two) = (entries(one)?, entries(two)?);
    let paths: BTreeSet<&Utf8PathBuf> = one.keys().chain(two.keys()).collect();
    let of = |path: &Utf8PathBuf, what| Difference::File { layer: layer.to_owned(), path: path.clone(), what };
    for path in paths {
        let (Some(one), Some(two)) = (one.get(path), two.get(path)) else {
            return Ok(of(path, "is in only one of them".to_owned()));
        };
        let other = one.attributes.iter().zip(&two.attributes).find(|(one, two)| one != two);
        if let Some(((name, one), (_, two))) = other {
            return Ok(of(path, format!("has the {name} {one} and {two}")));
        }
        if one.content != two.content {
            return Ok(of(path, in_content(&one.content, &two.content)));
        }
    }
    Ok(Difference::Packing { layer: layer.to_owned() })
}

fn entries(blob: &[u8]) -> Result<BTreeMap<Utf8PathBuf, Entry>> {
    let tar = uncompressed(blob)?;
    let mut entries = BTreeMap::new();
    for entry in tar::Archive::new(tar.as_slice()).entries()? {
        let mut entry = entry?;
        let path = format!("/{}", String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/'));
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let header = entry.header();
        let link = entry.link_name_bytes().unwrap_or_default();
        let attributes = [
            ("type", format!("{:?}", header.entry_type())),
            ("mode", format!("{:o}", header.mode()?)),
            ("owner", format!("{}:{}", header.uid()?, header.gid()?)),
            ("modification time", header.mtime()?.to_string()),
            ("target", String::from_utf8_lossy(&link).into_owned()),
        ];
        entries.insert(path.into(), Entry { attributes, content });
    }
    Ok(entries)
}

fn in_content(one: &[u8], two: &[u8]) -> String {
    let sizes = match (one.len(), two.len()) {
        (one, two) if one == two => String::new(),
        (one, two) => format!("has {one} and {two} bytes, and "),
    };
    match sections::first_difference(one, two) {
        Some((section, at)) => {
            let shown = shown(&section.one, &section.two, at);
            format!("{sizes}differs in the section {} at offset {at:#x}: {shown}", section.name)
        }
        None => {
            let at = first_byte(one, two);
            format!("{sizes}differs at offset {at:#x}: {}", shown(one, two, at))
        }
    }
}

/// The words around an offset, or the bytes there.
fn shown(one: &[u8], two: &[u8], at: usize) -> String {
    const MOST: usize = 40;
    let before = one[..at].iter().rev().take(MOST).take_while(|byte| byte.is_ascii_graphic()).count();
    let [one, two] = [one, two].map(|bytes| {
        let words = bytes[at..].iter().take(MOST).take_while(|byte| byte.is_ascii_graphic()).count();
        match words {
            0 => format!("{:02x?}", &bytes[at..bytes.len().min(at + 8)]),
            words => format!("`{}`", String::from_utf8_lossy(&bytes[at - before..at + words])),
        }
    });
    format!("{one} and {two}")
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Difference::Layers([one, two]) => write!(out, "they have the layers {one} and {two}"),
            Difference::File { layer, path, what } => write!(out, "{path} in the layer {layer} {what}"),
            Difference::Packing { layer } => {
                write!(out, "the layer {layer} holds the same files, compressed differently")
            }
            Difference::Json { document, what } => write!(out, "the {document} has {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::{Bytes, first};
    use crate::oci::entry::{Entry, User};
    use crate::oci::layer::{gzip, lay, tar};
    use crate::oci::rootfs::Tree;

    const USER: User = User { uid: 1, gid: 2 };

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = gzip(Vec::new());
        std::io::Write::write_all(&mut encoder, bytes).expect("gzip");
        encoder.finish().expect("gzip")
    }

    fn file(path: &str, content: &str) -> Entry {
        Entry::file(Utf8Path::new(path), content.into(), false)
    }

    fn layer(entries: &[Entry]) -> Vec<u8> {
        tar(&lay(entries, &Tree::default()).expect("paths")).expect("a tar")
    }

    fn image() -> Bytes {
        let entries = [file("/srv/a", "a time: 12:34:56 h"), file("/srv/b", "b"), Entry::dir("/var".into(), USER)];
        Bytes {
            manifest: br#"{"layers":[],"schemaVersion":2}"#.to_vec(),
            config: br#"{"config":{"Labels":{"a.b":"1"}}}"#.to_vec(),
            layers: vec![("host".to_owned(), layer(&entries)), ("plugin".to_owned(), layer(&[]))],
        }
    }

    /// Applies `edit` to one of two equal images.
    fn check(edit: impl FnOnce(&mut Bytes), expected: &str) {
        let (one, mut two) = (image(), image());
        edit(&mut two);
        let found = first(&one, &two).expect("two images");
        assert_eq!(found.map(|difference| difference.to_string()).unwrap_or_default(), expected);
    }

    #[test]
    fn equal_images_differ_in_nothing() {
        check(|_| {}, "");
    }

    #[test]
    fn the_first_difference_is_named_down_to_the_byte() {
        let of = |a: Entry, b: Entry, dir: Entry| move |image: &mut Bytes| image.layers[0].1 = layer(&[a, b, dir]);
        let (a, b, dir) =
            (|| file("/srv/a", "a time: 12:34:56 h"), || file("/srv/b", "b"), || Entry::dir("/var".into(), USER));
        check(
            of(file("/srv/a", "a time: 12:35:01 h"), file("/srv/b", "c"), dir()),
            "/srv/a in the layer host differs at offset 0xc: `12:34:56` and `12:35:01`",
        );
        check(
            of(a(), file("/srv/b", "b, and more"), dir()),
            "/srv/b in the layer host has 1 and 11 bytes, and differs at offset 0x1: [] and `b,`",
        );
        check(of(a(), file("/srv/c", "b"), dir()), "/srv/b in the layer host is in only one of them");
        let program = Entry::file("/srv/b".into(), b"b".to_vec(), true);
        check(of(a(), program, dir()), "/srv/b in the layer host has the mode 644 and 755");
        let others = Entry::dir("/var".into(), User { gid: 3, ..USER });
        check(of(a(), b(), others), "/var in the layer host has the owner 1:2 and 1:3");
        let no_dir = file("/var", "");
        check(of(a(), b(), no_dir), "/var in the layer host has the type Directory and Regular");
    }

    #[test]
    fn what_lies_round_the_files_is_compared_too() {
        check(|image| image.layers[1].0 = "other".to_owned(), "they have the layers host, plugin and host, other");
        check(|image| drop(image.layers.pop()), "they have the layers host, plugin and host");
        check(
            |image| image.layers[1].1 = packed(&image.layers[1].1),
            "the layer plugin holds the same files, compressed differently",
        );
        let config = br#"{"config":{"Labels":{"a.b":"2"}}}"#;
        check(|image| image.config = config.to_vec(), r#"the configuration has config.Labels."a.b": "1" and "2""#);
        let manifest = br#"{"layers":[],"schemaVersion":3}"#;
        check(|image| image.manifest = manifest.to_vec(), "the manifest has schemaVersion: 2 and 3");
    }
}
