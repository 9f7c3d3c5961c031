//! The sources of every crate in the lock, as a folder: fetched on this side, since the compile step has no network.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::cargo::toolchain;
use crate::compile::container::VENDOR_CONFIG;
use crate::oci::digest::Digest;
use crate::support::files;
use crate::support::session::Session;

/// Vendors unless this lock already was. With the crates lies the configuration that makes cargo take them.
pub fn vendor(session: &Session) -> Result<Utf8PathBuf> {
    let Session { ui, paths, .. } = session;
    let folder = paths.vendor();
    let lock = Digest::sha256(&files::read(&paths.sources().join("Cargo.lock"))?);
    let (config, stamp) = (folder.join(VENDOR_CONFIG), folder.join("lock"));
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == lock.to_string()) {
        return Ok(folder);
    }
    files::remove(&stamp)?;
    ui.status("Vendoring", "the crates in Cargo.lock");
    let args = ["vendor", "--locked", "--versioned-dirs", "--respect-source-config", folder.as_str()];
    let answer =
        toolchain::cargo(&paths.root, args)?.folder(paths.sources()).read(ui).context("vendoring crates failed")?;
    files::create_folder(&folder)?;
    files::write_atomically(&config, |out| Ok(out.write_all(answer.as_bytes())?))?;
    files::write_atomically(&stamp, |out| Ok(out.write_all(lock.to_string().as_bytes())?))?;
    Ok(folder)
}
