//! Plugins from git repositories.

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::oci::digest::Digest;
use crate::outside::canonical;
use crate::source::outside::without_credentials;
use crate::support::command::Invocation;
use crate::support::files;
use crate::support::ui::Ui;

/// A clean checkout of a revision, and its commit.
pub fn checkout(ui: &Ui, dir: &Utf8Path, url: &str, revision: &str) -> Result<(Utf8PathBuf, String)> {
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
