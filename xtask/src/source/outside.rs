//! Plugins from outside of the tree, for one build: `--with`. Each is brought into a directory of its own in the target directory, in
//! the form in which the copy of the sources gets it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use walkdir::WalkDir;

use crate::oci::digest::Digest;
use crate::source::adopt::{self, Adopted, Places};
use crate::source::copy::{self, is_source};
use crate::source::manifest::HostSpec;
use crate::source::sync::{self, Source};
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// Files of an author's repository that have no effect in the tree.
const OWN_ONLY: [&str; 4] = [".cargo", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml"];

/// Where a plugin comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum OutsideSource {
    Dir(Utf8PathBuf),
    Git { url: String, revision: String },
}

impl FromStr for OutsideSource {
    type Err = String;

    fn from_str(text: &str) -> Result<OutsideSource, String> {
        if Utf8Path::new(text).is_dir() {
            return Ok(OutsideSource::Dir(text.into()));
        }
        match text.rsplit_once('@') {
            Some((url, revision)) if !url.is_empty() && !revision.is_empty() && !revision.contains(':') => {
                Ok(OutsideSource::Git { url: url.to_owned(), revision: revision.to_owned() })
            }
            _ => Err("it is neither a directory nor a git repository with a revision (URL@REVISION)".to_owned()),
        }
    }
}

/// Where a plugin came from, in a plan and in an image's documents.
#[derive(Clone, Debug, Serialize)]
pub struct PluginOrigin {
    /// A directory of this machine, or git's URL without credentials.
    #[serde(rename = "from")]
    pub source: String,
    /// Of a git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Of its files, as they are compiled.
    pub content: Digest,
}

impl PluginOrigin {
    /// Without a path of this machine: `URL@COMMIT`.
    pub fn public(&self) -> Option<String> {
        let commit = self.commit.as_ref().filter(|_| !Utf8Path::new(&self.source).exists())?;
        Some(format!("{}@{commit}", self.source))
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

/// Brings the plugins here, and says what of them has no effect.
pub fn bring(session: &Session, host: &HostSpec, sources: &[OutsideSource]) -> Result<Vec<Outside>> {
    let dir = session.paths.outside();
    let brought = sources.iter().map(|source| {
        let (plugin, source, commit) = match source {
            OutsideSource::Dir(path) => (canonical(path)?, path.to_string(), None),
            OutsideSource::Git { url, revision } => {
                let (checkout, commit) = checkout(&session.ui, &dir, url, revision)?;
                (checkout, without_credentials(url), Some(commit))
            }
        };
        stage(session, host, &plugin).map(|(name, root, content)| Outside {
            name,
            root,
            origin: PluginOrigin { source, commit, content },
        })
    });
    brought.collect()
}

fn canonical(path: &Utf8Path) -> Result<Utf8PathBuf> {
    path.canonicalize_utf8().with_context(|| format!("finding {path}"))
}

/// A clean checkout of a revision, and its commit.
fn checkout(ui: &Ui, dir: &Utf8Path, url: &str, revision: &str) -> Result<(Utf8PathBuf, String)> {
    let clone = dir.join("git").join(Digest::sha256(url.as_bytes()).hex());
    let git = |args: &[&str]| Invocation::new("git", args.iter().copied()).without("GIT_");
    let inside = |args: &[&str]| git(&[&["-C", clone.as_str()], args].concat());
    let find = |name: &str| -> Result<Option<String>> {
        let id = inside(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]);
        let output = id.output(ui)?;
        Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    };
    let is_id = revision.len() >= 40 && revision.chars().all(|digit| digit.is_ascii_hexdigit());
    // A branch or a tag may have moved, a commit cannot.
    if !(is_id && clone.join("HEAD").exists() | clone.join(".git").exists() && find(revision)?.is_some()) {
        files::remove(&clone)?;
        files::create_dir(clone.parent().unwrap_or(dir))?;
        ui.status("Fetching", format!("{} at {revision}", without_credentials(url)));
        let fetch = git(&["clone", "--quiet", "--no-checkout", "--", url, clone.as_str()]);
        fetch.read(ui).with_context(|| format!("fetching {}", without_credentials(url)))?;
    }
    let found = match find(&format!("origin/{revision}"))? {
        Some(branch) => Some(branch),
        None => find(revision)?,
    };
    let Some(commit) = found else {
        bail!("{} has no revision `{revision}`: name a branch, a tag or a commit", without_credentials(url));
    };
    inside(&["checkout", "--quiet", "--force", "--detach", &commit]).read(ui)?;
    inside(&["clean", "--quiet", "-ffdx"]).read(ui)?;
    Ok((canonical(&clone)?, commit))
}

/// `https://user:token@host/...` without the part that nobody else should see.
fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Makes `outside/NAME/plugins/NAME` hold the plugin; returns its name, the root there, and a digest of the files.
fn stage(session: &Session, host: &HostSpec, plugin: &Utf8Path) -> Result<(String, Utf8PathBuf, Digest)> {
    let paths = &session.paths;
    let root = canonical(&paths.root)?;
    ensure!(
        plugin != root && !plugin.starts_with(root.join(crate::source::plugins::DIR)),
        "{plugin} belongs to this tree: leave out --with"
    );
    let Adopted { manifest, ignored } = adopt::adopt(&Places { plugin, root: &root, host })?;
    let name = adopt::name(&manifest, &plugin.join("Cargo.toml"))?;
    if !ignored.is_empty() {
        session.ui.warning(format!(
            "the plugin {name}: {} of its own workspace has no effect here; the tree's Cargo.toml decides",
            ignored.join(", ")
        ));
    }
    let staged = paths.outside().join("staged").join(&name);
    let adopted = staged.join("Cargo.toml");
    files::write_changed(&adopted, manifest.to_string().as_bytes())?;
    let mut wanted = listed(plugin)?;
    wanted.insert("Cargo.toml".into(), Source::file(adopted)?);
    let dir = staged.join(adopt::dir_of(&name));
    sync::sync(&wanted, &BTreeSet::new(), &dir)?;
    Ok((name, staged, copy::digest(&dir)?))
}

/// The files of a plugin's directory, by path in it.
fn listed(plugin: &Utf8Path) -> Result<BTreeMap<Utf8PathBuf, Source>> {
    let mut files = BTreeMap::new();
    let is_own =
        |entry: &walkdir::DirEntry| entry.depth() == 1 && OWN_ONLY.iter().any(|name| entry.file_name() == *name);
    let walk = WalkDir::new(plugin).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| is_source(entry) && !is_own(entry)) {
        let entry = entry.with_context(|| format!("reading the directory {plugin}"))?;
        if entry.file_type().is_file() {
            let Some(path) = Utf8Path::from_path(entry.path()) else {
                bail!("the path {} is not UTF-8: rename it", entry.path().display());
            };
            files.insert(path.strip_prefix(plugin)?.to_owned(), Source::file(path.to_owned())?);
        }
    }
    Ok(files)
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
