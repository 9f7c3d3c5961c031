//! What an image's layer holds, as a list: one entry, one path.

use camino::{Utf8Path, Utf8PathBuf};

use crate::source::manifest::User;

pub const ROOT: User = User { uid: 0, gid: 0 };

#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Relative to the image's root.
    pub path: Utf8PathBuf,
    pub owner: User,
    pub content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    Folder,
    File { bytes: Vec<u8>, executable: bool },
}

impl Entry {
    /// `path` is absolute in the image.
    pub fn file(path: &Utf8Path, bytes: Vec<u8>, executable: bool) -> Entry {
        Entry { path: relative(path), owner: ROOT, content: Content::File { bytes, executable } }
    }

    /// `path` is absolute in the image.
    pub fn folder(path: &Utf8Path, owner: User) -> Entry {
        Entry { path: relative(path), owner, content: Content::Folder }
    }
}

impl Content {
    /// Whatever it is where it comes from.
    pub fn mode(&self) -> u32 {
        match self {
            Content::Folder | Content::File { executable: true, .. } => 0o755,
            Content::File { executable: false, .. } => 0o644,
        }
    }
}

/// A path as layers write it, from one that is absolute in the image.
pub fn relative(path: &Utf8Path) -> Utf8PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}
