//! Where plugins from outside of the tree come from.

use std::fmt;
use std::str::FromStr;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::oci::digest::Digest;

/// How the names of archives end.
const ARCHIVES: [&str; 4] = [".tar", ".tar.gz", ".tgz", ".crate"];

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum OutsideSource {
    Dir(Utf8PathBuf),
    /// A file of Rust that has its manifest in front.
    Script(Utf8PathBuf),
    /// A tar, gzipped or not.
    Archive(Utf8PathBuf),
    Git {
        url: String,
        revision: String,
    },
    /// A crate of crates.io.
    Crate {
        name: String,
        version: String,
    },
}

impl fmt::Display for OutsideSource {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            OutsideSource::Dir(path) | OutsideSource::Script(path) | OutsideSource::Archive(path) => {
                write!(out, "{path}")
            }
            OutsideSource::Git { url: what, revision: which } | OutsideSource::Crate { name: what, version: which } => {
                write!(out, "{what}@{which}")
            }
        }
    }
}

impl OutsideSource {
    /// A source as it is recorded: a path is relative to `root`.
    pub fn parse_in(root: &Utf8Path, text: &str) -> Result<OutsideSource, String> {
        let path = root.join(text);
        if path.exists() { path.as_str().parse() } else { text.parse() }
    }
}

impl FromStr for OutsideSource {
    type Err = String;

    fn from_str(text: &str) -> Result<OutsideSource, String> {
        let path = Utf8PathBuf::from(text);
        if path.is_dir() {
            return Ok(OutsideSource::Dir(path));
        }
        if path.is_file() {
            return match text {
                _ if text.ends_with(".rs") => Ok(OutsideSource::Script(path)),
                _ if ARCHIVES.iter().any(|end| text.ends_with(end)) => Ok(OutsideSource::Archive(path)),
                _ => Err(format!(
                    "this file is no plugin: use a file of Rust (.rs) or an archive ({})",
                    ARCHIVES.join(", ")
                )),
            };
        }
        match text.rsplit_once('@') {
            Some((name, version)) if is_crate(name) && version.starts_with(|digit: char| digit.is_ascii_digit()) => {
                Ok(OutsideSource::Crate { name: name.to_owned(), version: version.to_owned() })
            }
            Some((url, revision)) if !url.is_empty() && !revision.is_empty() && !revision.contains(':') => {
                Ok(OutsideSource::Git { url: url.to_owned(), revision: revision.to_owned() })
            }
            _ => Err("there is no such file or directory, and it is neither a git repository with a revision (URL@REVISION) \
                      nor a crate with a version (NAME@VERSION)"
                .to_owned()),
        }
    }
}

fn is_crate(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
}

/// Where a plugin came from: in `plugins/sources.toml`, in a plan, and in an image's documents.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PluginOrigin {
    /// A path of this machine, git's URL without credentials and its revision (`URL@v1`), or a crate (`NAME@1.2.3`).
    pub source: String,
    /// Of a git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Of an archive, or of a crate of a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Digest>,
    /// Of its files, as they are compiled.
    pub content: Digest,
}

impl PluginOrigin {
    /// Without a path of this machine: `URL@COMMIT`.
    pub fn public(&self) -> Option<String> {
        if Utf8Path::new(&self.source).exists() {
            return None;
        }
        let Some(commit) = &self.commit else { return Some(self.source.clone()) };
        let url = self.source.rsplit_once('@').map_or(self.source.as_str(), |(url, _)| url);
        (!Utf8Path::new(url).exists()).then(|| format!("{url}@{commit}"))
    }
}

/// A plugin from outside, as it goes into the copy.
#[derive(Debug)]
pub struct Outside {
    pub name: String,
    /// Holds its directory as the tree would.
    pub root: Utf8PathBuf,
    pub origin: PluginOrigin,
}

/// `https://user:token@host/...` without the part that nobody else should see.
pub fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_directory_or_a_revision() {
        let git = |url: &str, revision: &str| OutsideSource::Git { url: url.into(), revision: revision.into() };
        for (text, expected) in [
            ("/", Some(OutsideSource::Dir("/".into()))),
            ("https://example.org/a.git@v1", Some(git("https://example.org/a.git", "v1"))),
            ("git@example.org:a/b.git@feature/x", Some(git("git@example.org:a/b.git", "feature/x"))),
            ("git@example.org:a/b.git", None),
            ("/no/such/directory", None),
            ("@v1", None),
            ("https://example.org/a.git@", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        for (url, shown) in [
            ("https://me:t0ken@example.org/a.git", "https://example.org/a.git"),
            ("https://example.org/a@b.git", "https://example.org/a@b.git"),
            ("git@example.org:a.git", "git@example.org:a.git"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }
}
