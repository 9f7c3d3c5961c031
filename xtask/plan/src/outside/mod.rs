//! Brings plugins from outside of the tree: each into a directory of its own in the target directory, in the form in which the copy of
//! the sources gets it.

mod adopt;
mod archive;
mod git;
mod registry;
mod script;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::oci::digest::Digest;
use crate::outside::adopt::{Adopted, Places};
use crate::source::checkout::Checkout;
use crate::source::copy::{self, is_source};
use crate::source::manifest::{self, Workspace};
use crate::source::outside::{Outside, OutsideSource, PluginOrigin, without_credentials};
use crate::source::plugins;
use crate::source::selection::Selection;
use crate::source::sync::{self, Source};
use crate::support::files;
use crate::support::session::Session;

/// Files of an author's repository, or of a registry, that have no effect in the tree.
const OWN_ONLY: [&str; 7] = [
    ".cargo",
    ".cargo-ok",
    ".cargo_vcs_info.json",
    "Cargo.lock",
    "Cargo.toml.orig",
    "rust-toolchain",
    "rust-toolchain.toml",
];
/// Reads the manifests of the tree, and of what is selected from outside.
pub fn checkout(session: &Session, selection: &Selection, with_test_plugins: bool) -> Result<Checkout> {
    let workspace = manifest::read(&session.paths.root)?;
    let outside = selection.with.iter().map(|source| bring(session, &workspace, source, Wanted::Exactly));
    let outside = outside.collect::<Result<_>>()?;
    Checkout::read(&session.paths, workspace, selection, outside, with_test_plugins)
}

/// Which version of a crate is wanted.
#[derive(Clone, Copy, PartialEq)]
pub enum Wanted {
    Exactly,
    /// The newest that is compatible.
    Newest,
}

/// Brings a plugin here, and says what of it has no effect.
pub fn bring(session: &Session, tree: &Workspace, source: &OutsideSource, wanted: Wanted) -> Result<Outside> {
    let dir = session.paths.outside();
    let mut origin =
        PluginOrigin { source: source.to_string(), commit: None, checksum: None, content: Digest::sha256([]) };
    let plugin = match source {
        OutsideSource::Dir(path) => canonical(path)?,
        OutsideSource::Script(path) => script::wrap(path, &dir, tree.image())?,
        OutsideSource::Archive(path) => {
            let (unpacked, digest) = archive::unpack(path, &dir)?;
            origin.checksum = Some(digest);
            unpacked
        }
        OutsideSource::Git { url, revision } => {
            let (checkout, commit) = git::checkout(&session.ui, &dir, url, revision)?;
            origin.source = format!("{}@{revision}", without_credentials(url));
            origin.commit = Some(commit);
            checkout
        }
        OutsideSource::Crate { name, version } => {
            let exact = if wanted == Wanted::Exactly { "=" } else { "^" };
            let fetched = registry::fetch(session, &dir, name, &format!("{exact}{version}"))?;
            origin.source = format!("{name}@{}", fetched.version);
            origin.checksum = Some(fetched.checksum);
            fetched.dir
        }
    };
    let (name, root, content) = stage(session, tree, &plugin)?;
    Ok(Outside { name, root, origin: PluginOrigin { content, ..origin } })
}

fn canonical(path: &Utf8Path) -> Result<Utf8PathBuf> {
    path.canonicalize_utf8().with_context(|| format!("finding {path}"))
}

/// Makes `outside/NAME/plugins/NAME` hold the plugin; returns its name, the root there, and a digest of the files.
fn stage(session: &Session, tree: &Workspace, plugin: &Utf8Path) -> Result<(String, Utf8PathBuf, Digest)> {
    let paths = &session.paths;
    let root = canonical(&paths.root)?;
    ensure!(plugin != root && !plugin.starts_with(root.join(plugins::DIR)), "{plugin} belongs to this tree already");
    let Adopted { manifest, ignored } = adopt::adopt(&Places { plugin, root: &root, tree })?;
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
    let dir = staged.join(plugins::dir_of(&name));
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
