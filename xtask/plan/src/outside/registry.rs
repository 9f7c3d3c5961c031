//! Plugins from crates.io, or from what replaces it in cargo's configuration.

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::MetadataCommand;

use crate::cargo::lockfile::Lock;
use crate::cargo::toolchain;
use crate::oci::digest::Digest;
use crate::source::copy::CONFIG;
use crate::support::files;
use crate::support::session::Session;

/// A crate that was downloaded.
pub struct Fetched {
    pub dir: Utf8PathBuf,
    pub version: String,
    /// Cargo has verified it.
    pub checksum: Digest,
}

/// Downloads a crate. `version` is a requirement of cargo's:
/// `=1.2.3` is exact.
///
/// Cargo downloads only dependencies, so this makes a package that depends on the crate. The tree's configuration of cargo applies.
pub fn fetch(session: &Session, dir: &Utf8Path, name: &str, version: &str) -> Result<Fetched> {
    let dir = dir.join("registry").join(name);
    let manifest = format!(
        "[package]\nname = \"fetches-{name}\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[lib]\npath = \"empty.rs\"\n\n\
         [dependencies.{name}]\nversion = \"{version}\"\n\n[workspace]\n"
    );
    files::write_changed(&dir.join("empty.rs"), b"")?;
    files::write_changed(&dir.join("Cargo.toml"), manifest.as_bytes())?;
    files::remove(&dir.join("Cargo.lock"))?;
    session.ui.status("Fetching", format!("{name} {version}"));
    let mut command = toolchain::cargo(&session.paths.root, ["metadata", "--format-version", "1"])?.dir(&dir);
    let config = session.paths.root.join(CONFIG);
    if !dir.starts_with(&session.paths.root) && config.is_file() {
        command = command.args(["--config", config.as_str()]);
    }
    let text = command.read(&session.ui).with_context(|| format!("fetching the crate {name} {version}"))?;
    let metadata = MetadataCommand::parse(text).context("reading what `cargo metadata` wrote")?;
    let found = metadata.packages.iter().find(|package| package.name == name && package.source.is_some());
    let found = found.with_context(|| format!("cargo did not fetch the crate {name}"))?;
    let lock = Lock::parse(&files::read_text(&dir.join("Cargo.lock"))?)?;
    let checksum = lock.checksum(name, &found.version.to_string());
    let checksum = checksum.with_context(|| format!("the registry has no checksum of {name} {}", found.version))?;
    let parent = found.manifest_path.parent().context("a manifest is in a directory")?;
    let checksum = format!("sha256:{checksum}").parse().map_err(Error::msg)?;
    Ok(Fetched { dir: parent.to_owned(), version: found.version.to_string(), checksum })
}
