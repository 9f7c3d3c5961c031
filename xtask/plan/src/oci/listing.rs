//! Lists the content of a layer, for comparisons with a root file system or another image.

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;
use crate::oci::entry::{Content, User};
use crate::oci::layer::Laid;

/// A file or a directory in the image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    /// Relative to the image's root.
    pub path: Utf8PathBuf,
    /// In octal.
    pub mode: String,
    pub owner: String,
    /// Of a file; directories have none.
    #[serde(flatten)]
    pub content: Option<FileContent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct FileContent {
    pub size: u64,
    pub sha256: String,
}

pub fn list(laid: &Laid) -> Vec<Listed> {
    laid.iter().map(|(path, (owner, content))| Listed::new(path, *owner, content)).collect()
}

impl Listed {
    fn new(path: &Utf8Path, owner: User, content: &Content) -> Listed {
        let file = match content {
            Content::Dir => None,
            Content::File { bytes, .. } => {
                let sha256 = Digest::sha256(bytes).hex();
                Some(FileContent { size: bytes.len() as u64, sha256 })
            }
        };
        let (mode, owner) = (format!("{:04o}", content.mode()), format!("{}:{}", owner.uid, owner.gid));
        Listed { path: path.to_owned(), mode, owner, content: file }
    }
}
