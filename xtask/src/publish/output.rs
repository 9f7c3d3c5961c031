//! Further outputs of an image: another archive, or an OCI layout.

pub mod layout;

use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use crate::assemble::{Image, archive};
use crate::attest::Document;
use crate::base::layout::Layout;

#[derive(Clone, Debug)]
pub enum Output {
    Archive(Utf8PathBuf),
    /// An OCI layout, as a directory.
    Layout(Utf8PathBuf),
}

/// File extensions of formats that we do not write.
const COMPRESSED: [&str; 6] = [".gz", ".tgz", ".xz", ".zst", ".bz2", ".zip"];

/// Prefixes of skopeo and BuildKit: here they would become part of a file's name.
const TRANSPORTS: [&str; 8] = [
    "docker-archive:",
    "oci-archive:",
    "docker:",
    "docker-daemon:",
    "containers-storage:",
    "dir:",
    "tarball:",
    "type=",
];

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Output, String> {
        if let Some(transport) = TRANSPORTS.iter().find(|transport| text.starts_with(**transport)) {
            return Err(format!(
                "`{transport}` is a prefix of other tools; write the name of a file, which docker and OCI tools can read, or \
                 oci:DIR"
            ));
        }
        match text.strip_prefix("oci:") {
            Some("") => Err("write a directory, as in oci:DIR".to_owned()),
            Some(dir) => match Utf8Path::new(dir).file_name().and_then(|name| name.split_once(':')) {
                Some((_, name)) => {
                    Err(format!("write the directory alone; set the name of the image with --tag {name}"))
                }
                None => Ok(Output::Layout(dir.into())),
            },
            None if text.is_empty() || text == "-" => Err("name a file".to_owned()),
            None => Ok(Output::Archive(text.into())),
        }
    }
}

/// Checks that an index can be written to all of them: an archive holds one image.
pub fn check_layouts(outputs: &[Output]) -> Result<()> {
    for output in outputs {
        let path = output.path();
        ensure!(matches!(output, Output::Layout(_)), "--output {path}: an index is written to a layout: oci:{path}");
        output.check()?;
    }
    Ok(())
}

impl Output {
    pub fn path(&self) -> &Utf8Path {
        match self {
            Output::Archive(path) | Output::Layout(path) => path,
        }
    }

    /// Checks it before anything is built.
    pub fn check(&self) -> Result<()> {
        match self {
            Output::Archive(path) if path.is_dir() || path.file_name().is_none() => {
                bail!(
                    "--output {path} is a directory; write the name of a file for the archive, or oci:{path} for an OCI layout"
                )
            }
            Output::Archive(path) if COMPRESSED.iter().any(|ending| path.as_str().ends_with(ending)) => {
                bail!(
                    "--output {path} would be a plain tar, whose layers are compressed already; let the name end in .tar"
                )
            }
            Output::Layout(path) if path.file_name().is_none() => {
                bail!(
                    "--output oci:{path} has no name of its own, but the documents are written beside it; choose a directory \
                     below"
                )
            }
            Output::Layout(path) if path.exists() && !Layout::is_layout(path) && !is_empty_dir(path) => {
                bail!("--output oci:{path} exists and is not an OCI layout; choose another directory, or remove it")
            }
            Output::Layout(path) => layout::listed(path).map(drop),
            Output::Archive(_) => Ok(()),
        }
    }

    /// With the documents beside it, in a layout as the image's referrers too: skopeo refuses an archive that has any.
    /// Returns whether anything had to be written.
    pub fn write(&self, image: &Image, name: &str, documents: &[Document]) -> Result<bool> {
        let mut written = match self {
            Output::Archive(path) => archive::write_file(image, name, path)?,
            Output::Layout(dir) => {
                layout::write(image, name, &documents.iter().map(Document::artifact).collect::<Vec<_>>(), dir)?
            }
        };
        for document in documents {
            written |= document.write_beside(self.path())?;
        }
        Ok(written)
    }
}

fn is_empty_dir(path: &Utf8Path) -> bool {
    path.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_none())
}
