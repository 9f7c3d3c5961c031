//! Downloads the sources of every crate in the lock into a directory, because the compile step has no network.

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use crate::cargo::toolchain;
use crate::compile::container::VENDOR_CONFIG;
use crate::oci::digest::Digest;
use crate::support::files;
use crate::support::session::Session;

/// Vendors unless it was done for this lock file. Beside the crates is the configuration that makes cargo use them.
pub fn vendor(session: &Session) -> Result<Utf8PathBuf> {
    let Session { ui, paths, .. } = session;
    let dir = paths.vendor();
    let lock = Digest::sha256(&files::read(&paths.sources().join("Cargo.lock"))?);
    let (config, stamp) = (dir.join(VENDOR_CONFIG), dir.join("lock"));
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == lock.to_string()) {
        return Ok(dir);
    }
    files::remove(&stamp)?;
    ui.status("Vendoring", "the crates in Cargo.lock");
    let args = ["vendor", "--locked", "--versioned-dirs", "--respect-source-config", dir.as_str()];
    let answer =
        toolchain::cargo(&paths.root, args)?.dir(paths.sources()).read(ui).context("vendoring crates failed")?;
    files::create_dir(&dir)?;
    files::write_atomically(&config, |out| Ok(out.write_all(answer.as_bytes())?))?;
    files::write_atomically(&stamp, |out| Ok(out.write_all(lock.to_string().as_bytes())?))?;
    Ok(dir)
}
