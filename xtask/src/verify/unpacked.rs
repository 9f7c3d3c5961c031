//! Starts the image's own command in its unpacked root file system: as root by chroot, else in a user namespace, both with util-linux's
//! `unshare`. No image has to be loaded for it, and no container made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::Output;

use anyhow::{Context, Result, anyhow};
use camino::Utf8Path;
use walkdir::WalkDir;

use crate::containers::engine::CHECK;
use crate::oci::entry::relative;
use crate::oci::rootfs::Tree;
use crate::plan::ImagePlan;
use crate::source::manifest::HostSpec;
use crate::support::command::{Invocation, tail};
use crate::support::files;
use crate::support::session::Session;

/// What became of it.
pub enum Outcome {
    /// How it was started, and what the host printed.
    Started { by: &'static str, said: String },
    /// It does not start.
    Failed(anyhow::Error),
    /// Nothing could be started here; why.
    NotTried(String),
}

/// `tree` is the image's root file system, `env` the base image's environment. `must`: nothing else could start it, so this does it with
/// the network too, if need be.
pub fn start(
    session: &Session,
    plan: &ImagePlan,
    (tree, env): (&Tree, &[String]),
    command: &[String],
    must: bool,
) -> Result<Outcome> {
    let Session { ui, paths, .. } = session;
    let dir = paths.root_fs();
    files::remove(&dir)?;
    let host = &plan.build.host;
    if let Err(error) = unpack(tree, &dir, host) {
        // The unpacked image must not fill the disk.
        let _ = files::remove(&dir);
        return Err(error);
    }
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let place = [format!("--root={dir}"), format!("--wd={}", host.working_dir)];
    let by = if root { "chroot" } else { "user namespace" };
    let as_user = match root {
        true => vec![format!("--setuid={}", host.user.uid), format!("--setgid={}", host.user.gid)],
        false => ["--user", "--map-root-user"].map(str::to_owned).to_vec(),
    };
    // Without network: a plugin that is loaded may try to use it, and the result must not depend on that.
    let start = |network: &[&str]| {
        let unshare = Invocation::new("unshare", network.iter().copied()).args(place.clone()).args(as_user.clone());
        let unshare = unshare.args(["--"]).args(command);
        unshare.only_with(env.iter().filter_map(|variable| variable.split_once('=')))
    };
    let mut unshare = start(&["--net"]);
    let mut answer = unshare.output_within(ui, CHECK);
    if root && must && answer.as_ref().is_ok_and(|output| output.as_ref().is_some_and(is_forbidden)) {
        ui.warning("verifying the image with network access: root cannot create a network namespace here");
        unshare = start(&[]);
        answer = unshare.output_within(ui, CHECK);
    }
    files::remove(&dir)?;
    Ok(outcome(by, &unshare, answer))
}

/// What the answer of `unshare` means.
fn outcome(by: &'static str, unshare: &Invocation, answer: Result<Option<Output>>) -> Outcome {
    let output = match answer {
        Ok(Some(output)) => output,
        Ok(None) => {
            let limit = CHECK.as_secs();
            return Outcome::Failed(anyhow!("the image does not start: `{unshare}` did not finish within {limit} s"));
        }
        Err(_) => return Outcome::NotTried("neither is `unshare` of util-linux".to_owned()),
    };
    if output.status.success() {
        return Outcome::Started { by, said: String::from_utf8_lossy(&output.stdout).trim().to_owned() };
    }
    let error = String::from_utf8_lossy(&output.stderr);
    match error.strip_prefix("unshare: ").filter(|reason| !reason.contains("failed to execute")) {
        Some(reason) => Outcome::NotTried(format!("creating a {by} failed: {}", reason.trim())),
        None => Outcome::Failed(anyhow!(
            "the image does not start: `{unshare}` ended with {}{}",
            output.status,
            tail(&output)
        )),
    }
}

/// Whether the namespace could not be made, so nothing was started.
fn is_forbidden(output: &Output) -> bool {
    !output.status.success() && output.stderr.starts_with(b"unshare: unshare failed")
}

/// The image's root file system.
fn unpack(tree: &Tree, dir: &Utf8Path, host: &HostSpec) -> Result<()> {
    tree.write_to(dir)?;
    // Dynamic linkers ask /proc where $ORIGIN is; a link is all they need, and it can be made without mounting anything.
    let process = dir.join(tree.resolve(Utf8Path::new("proc/self"))?);
    files::remove(&process)?;
    files::create_dir(&process)?;
    symlink(host.working_dir.join(&host.package), process.join("exe"))
        .with_context(|| format!("writing into {process}"))?;
    // The image's user must be able to read them, with any umask, and to write to what is its own.
    let state = dir.join(tree.resolve(&relative(&host.state_dir))?);
    for entry in WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        if entry.file_type().is_dir() {
            let mode = fs::Permissions::from_mode(if entry.path() == state { 0o777 } else { 0o755 });
            fs::set_permissions(entry.path(), mode).with_context(|| format!("writing {}", entry.path().display()))?;
        }
    }
    Ok(())
}
