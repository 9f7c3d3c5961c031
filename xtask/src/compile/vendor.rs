//! The sources of every crate in the lock, for the compile step, which has no network. Cargo finds them in one directory.
//! Source: <https://doc.rust-lang.org/cargo/reference/source-replacement.html#directory-sources>.

use std::collections::BTreeMap;

use anyhow::{Context, Error, Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::cargo::lockfile::Lock;
use crate::cargo::toolchain::{self, cargo_home};
use crate::oci::digest::Digest;
use crate::support::files;
use crate::support::session::Session;
use crate::support::variables;

/// What cargo keeps beside each crate.
pub const CHECKSUMS: &str = ".cargo-checksum.json";

/// All of them.
pub struct Crates {
    /// Sorted by name.
    pub list: Vec<Crate>,
    /// Makes cargo take them from the directory [`Paths::vendor`](crate::support::paths::Paths::vendor).
    pub config: String,
}

pub struct Crate {
    /// Of its directory: `serde-1.0.0`.
    pub name: String,
    pub checksums: Vec<u8>,
    pub content: Content,
}

/// Where the files of a crate are.
pub enum Content {
    /// In the archive of crates.io with this digest, which [`archives`] finds.
    Archive(Digest),
    Dir(Utf8PathBuf),
}

/// Finds them: in archives, as the lock names them, or in what `cargo vendor` writes. That takes seconds, but knows every kind of source.
pub fn crates(session: &Session) -> Result<Crates> {
    let text = files::read_text(&session.paths.sources().join("Cargo.lock"))?;
    let lock = Lock::parse(&text)?;
    let is_replaced = is_replaced(session)?;
    if is_replaced || !lock.is_of_crates_io() {
        vendored(session, &Digest::sha256(text), is_replaced)
    } else {
        locked(session, &lock)
    }
}

/// Whether a configuration says where crates come from: another directory's may differ from their archives.
fn is_replaced(session: &Session) -> Result<bool> {
    let paths = &session.paths;
    let all = [variables::tree(paths)?, variables::configurations(paths, &cargo_home()?)?].concat();
    Ok(all.iter().any(|(_, config)| config.contains_key("source")))
}

fn locked(session: &Session, lock: &Lock) -> Result<Crates> {
    let mut list = Vec::new();
    for (name, checksum) in lock.archives() {
        let digest = format!("sha256:{checksum}").parse().map_err(Error::msg)?;
        list.push(Crate { name, checksums: checksums_of(checksum), content: Content::Archive(digest) });
    }
    list.sort_by(|one, other| one.name.cmp(&other.name));
    let vendor = session.paths.vendor();
    let config = format!(
        "[source.crates-io]\nreplace-with = \"vendored-sources\"\n\n[source.vendored-sources]\ndirectory = \"{vendor}\"\n"
    );
    Ok(Crates { list, config })
}

/// The checksums of a crate of a registry. Where they name no files, cargo trusts those that are there.
fn checksums_of(archive: &str) -> Vec<u8> {
    serde_json::json!({ "files": {}, "package": archive }).to_string().into_bytes()
}

/// By a crate's name: several registries may have one of the same name.
pub type Archives = BTreeMap<String, Vec<Utf8PathBuf>>;

/// The archives of these crates in cargo's home, by the crate's name; those that are missing are fetched. What an archive has to be is checked
/// when it is read.
/// Source: <https://doc.rust-lang.org/cargo/guide/cargo-home.html#directories>.
pub fn archives(session: &Session, of: &[&Crate]) -> Result<Archives> {
    let names: Vec<&str> = of
        .iter()
        .filter(|found| matches!(found.content, Content::Archive(_)))
        .map(|found| found.name.as_str())
        .collect();
    let cache = cargo_home()?.join("registry/cache");
    let found = kept(&cache);
    if names.iter().all(|name| found.contains_key(*name)) {
        return Ok(found);
    }
    // Also those for platforms that nothing is built for: cargo reads their manifests.
    session.ui.status("Fetching", "the crates of all platforms");
    let command = toolchain::cargo(&session.paths.root, ["fetch", "--quiet", "--locked"])?.dir(session.paths.sources());
    command.read(&session.ui).context("fetching crates failed")?;
    let found = kept(&cache);
    for name in names {
        ensure!(found.contains_key(name), "cargo has fetched {name}, but {cache} has no {name}.crate");
    }
    Ok(found)
}

/// What a cache has, in a directory for each registry and for each mirror.
fn kept(cache: &Utf8Path) -> Archives {
    let entries = |dir: &Utf8Path| dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut found = Archives::new();
    for archive in entries(cache).flat_map(|registry| entries(registry.path())) {
        let name = archive.file_name().strip_suffix(".crate");
        // An empty one is a download that was cut off, which cargo repeats.
        if let Some(name) = name.filter(|_| archive.metadata().is_ok_and(|metadata| metadata.len() > 0)) {
            found.entry(name.to_owned()).or_default().push(archive.path().to_owned());
        }
    }
    found
}

/// Vendors unless it was done for this lock file.
fn vendored(session: &Session, lock: &Digest, is_replaced: bool) -> Result<Crates> {
    let Session { ui, paths, .. } = session;
    let dir = paths.vendor();
    let (config, stamp) = (dir.join("vendor.toml"), dir.join("lock"));
    if !std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == lock.to_string()) {
        files::remove(&stamp)?;
        ui.status("Vendoring", "the crates in Cargo.lock");
        let args = ["vendor", "--locked", "--versioned-dirs", "--respect-source-config", dir.as_str()];
        let answer =
            toolchain::cargo(&paths.root, args)?.dir(paths.sources()).read(ui).context("vendoring crates failed")?;
        files::create_dir(&dir)?;
        files::write_atomically(&config, |out| Ok(out.write_all(answer.as_bytes())?))?;
        files::write_atomically(&stamp, |out| Ok(out.write_all(lock.to_string().as_bytes())?))?;
    }
    Ok(Crates { list: in_dir(&dir, is_replaced)?, config: files::read_text(&config)? })
}

/// A crate of a registry has the same checksums as without `cargo vendor`: it does not travel again when a crate of a repository comes or goes.
fn in_dir(vendored: &Utf8Path, is_replaced: bool) -> Result<Vec<Crate>> {
    let reading = || format!("reading the directory {vendored}");
    let mut list = Vec::new();
    for entry in vendored.read_dir_utf8().with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let path = entry.path().join(CHECKSUMS);
        if path.is_file() {
            let checksums = files::read(&path)?;
            let parsed: Value = serde_json::from_slice(&checksums).with_context(|| format!("reading {path}"))?;
            let registry = parsed["package"].as_str().filter(|_| !is_replaced).map(checksums_of);
            let (name, content) = (entry.file_name().to_owned(), Content::Dir(entry.path().to_owned()));
            list.push(Crate { name, checksums: registry.unwrap_or(checksums), content });
        }
    }
    list.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(list)
}
