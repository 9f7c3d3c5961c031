//! The content of a layer as a list: one entry for each path.

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

/// `uid:gid`, numbers since an image need not have `/etc/passwd`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "String")]
pub struct User {
    pub uid: u32,
    pub gid: u32,
}

impl TryFrom<String> for User {
    type Error = String;

    fn try_from(text: String) -> Result<User, String> {
        let parsed = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
        match parsed {
            Some((0, _)) => Err(format!("`{text}` is root; choose another user")),
            Some((uid, gid)) => Ok(User { uid, gid }),
            None => Err(format!("`{text}` is not `uid:gid` in numbers")),
        }
    }
}

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
    Dir,
    File { bytes: Vec<u8>, executable: bool },
}

impl Entry {
    /// `path` is absolute in the image.
    pub fn file(path: &Utf8Path, bytes: Vec<u8>, executable: bool) -> Entry {
        Entry { path: relative(path), owner: ROOT, content: Content::File { bytes, executable } }
    }

    /// `path` is absolute in the image.
    pub fn dir(path: &Utf8Path, owner: User) -> Entry {
        Entry { path: relative(path), owner, content: Content::Dir }
    }
}

impl Content {
    /// Ignores the mode of the source file.
    pub fn mode(&self) -> u32 {
        match self {
            Content::Dir | Content::File { executable: true, .. } => 0o755,
            Content::File { executable: false, .. } => 0o644,
        }
    }
}

/// Converts a path that is absolute in the image to the form in layers.
pub fn relative(path: &Utf8Path) -> Utf8PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use super::User;

    #[test]
    fn a_user_is_two_numbers_and_not_root() {
        assert_eq!(User::try_from("65532:65531".to_owned()), Ok(User { uid: 65532, gid: 65531 }));
        assert_eq!(User::try_from("0:0".to_owned()), Err("`0:0` is root; choose another user".to_owned()));
        assert_eq!(User::try_from("nobody".to_owned()), Err("`nobody` is not `uid:gid` in numbers".to_owned()));
    }
}
