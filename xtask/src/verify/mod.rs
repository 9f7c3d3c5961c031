//! Verifies a finished image: checks the files in its layers, then runs its own command with the host's check flag, in a
//! container or in the unpacked root file system.

pub mod contents;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::assemble::{Image, archive};
use crate::base::layers::BaseFiles;
use crate::containers::engine::run::FOREIGN;
use crate::containers::engine::{CHECK, Engine};
use crate::containers::labels::Labels;
use crate::oci::digest::Digest;
use crate::oci::rootfs::Tree;
use crate::plan::ImagePlan;
use crate::support::command::{Invocation, tail};
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::Ui;

/// The result of this stage.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Verified {
    pub manifest_digest: Digest,
    /// `docker`, `podman`, `chroot` or `user namespace`.
    pub by: String,
    /// What the host printed.
    pub said: String,
}

/// `Ok(None)` if nothing here can start the image; an error if it does not start. An image that was verified once is
/// not verified again. Whether the engine keeps it, the caller says.
pub fn verify(
    session: &Session,
    plan: &ImagePlan,
    image: &Image,
    base: &BaseFiles,
    engine: Option<&Engine>,
    keep: bool,
) -> Result<Option<Verified>> {
    let Session { ui, paths, .. } = session;
    if let Some(verified) = already(paths, image) {
        return Ok(Some(verified));
    }
    let tree = contents::tree(image, base)?;
    contents::check(&tree, plan)?;
    let mut command = plan.command.clone();
    command.push(plan.build.host.check_flag.clone());
    let (by, said) = match engine {
        Some(engine) => {
            let labels = Labels::new(session)?;
            let platform = &plan.platform;
            let native = format!("linux/{}", engine.architecture(ui)?);
            let (loaded, checked) = in_engine(ui, &labels, engine, image, &command)?;
            // What was not loaded here belongs to somebody else.
            if let Some(id) = loaded.filter(|_| checked.is_err() || !keep) {
                // An error of the removal would hide the real one.
                let _ = engine.remove(ui, &id);
            }
            match checked {
                Err(error) if *platform != native && format!("{error:#}").contains(FOREIGN) => {
                    ui.status(
                        "Not started",
                        format!(
                            "other architecture: {engine} runs {native} and has no emulator for {platform}; ABI records and \
                             libraries were checked by reading"
                        ),
                    );
                    return Ok(None);
                }
                checked => (engine.program().to_owned(), checked?),
            }
        }
        None => match unpacked(session, plan, (&tree, &base.env), &command)? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    ui.status("Verifying", format!("{} ({by}): {said}", command.join(" ")));
    let verified = Verified { manifest_digest: image.manifest_digest, by, said };
    let text = serde_json::to_vec(&verified)?;
    files::write_atomically(&paths.verified(), |out| Ok(out.write_all(&text)?))?;
    Ok(Some(verified))
}

fn already(paths: &Paths, image: &Image) -> Option<Verified> {
    let verified: Verified = serde_json::from_slice(&fs::read(paths.verified()).ok()?).ok()?;
    (verified.manifest_digest == image.manifest_digest).then_some(verified)
}

/// Loaded without a name: no name may point to an image that does not start. Returns its id if it was loaded for this, and what the host
/// printed.
fn in_engine(
    ui: &Ui,
    labels: &Labels,
    engine: &Engine,
    image: &Image,
    command: &[String],
) -> Result<(Option<String>, Result<String>)> {
    let known = held(ui, engine, image)?;
    let id = match &known {
        Some(id) => id.clone(),
        None => engine.load(ui, |out| archive::write(image, None, out))?,
    };
    labels.remove_leftovers(ui, engine)?;
    let checked = engine.check(ui, &labels.process_name("verify"), &labels.options(), &id, command);
    Ok((known.is_none().then_some(id), checked))
}

/// The container engine's id of this image: the digest of its configuration, or with a containerd image store of its
/// manifest.
pub fn held(ui: &Ui, engine: &Engine, image: &Image) -> Result<Option<String>> {
    for id in [&image.config_digest, &image.manifest_digest] {
        if let Some(info) = engine.inspect(ui, &id.to_string())? {
            return Ok(Some(info.id));
        }
    }
    Ok(None)
}

/// As root by chroot, else in a user namespace, both with util-linux's `unshare`. Returns how, and what the host printed.
fn unpacked(
    session: &Session,
    plan: &ImagePlan,
    (tree, env): (&Tree, &[String]),
    command: &[String],
) -> Result<Option<(String, String)>> {
    let Session { ui, paths, .. } = session;
    let dir = paths.root_fs();
    files::remove(&dir)?;
    let host = &plan.build.host;
    if let Err(error) = unpack(tree, &dir, &host.working_dir.join(&host.package)) {
        // The unpacked image must not fill the disk.
        let _ = files::remove(&dir);
        return Err(error);
    }
    let root = fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0);
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
    if root && answer.as_ref().is_ok_and(|output| output.as_ref().is_some_and(is_forbidden)) {
        ui.warning("verifying the image with network access: root cannot create a network namespace here");
        unshare = start(&[]);
        answer = unshare.output_within(ui, CHECK);
    }
    let output = match answer {
        Ok(Some(output)) => output,
        Ok(None) => bail!("the image does not start: `{unshare}` did not finish within {} s", CHECK.as_secs()),
        Err(_) => {
            ui.warning(
                "the image is not verified: docker and podman are not available, and neither is `unshare` of util-linux",
            );
            return Ok(None);
        }
    };
    files::remove(&dir)?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(Some((by.to_owned(), String::from_utf8_lossy(&output.stdout).trim().to_owned())));
    }
    if let Some(reason) = error.strip_prefix("unshare: ").filter(|reason| !reason.contains("failed to execute")) {
        ui.warning(format!(
            "the image is not verified: docker and podman are not available, and creating a {by} failed: {}",
            reason.trim()
        ));
        return Ok(None);
    }
    bail!("the image does not start: `{unshare}` ended with {}{}", output.status, tail(&output));
}

/// Whether the namespace could not be made, so nothing was started.
fn is_forbidden(output: &Output) -> bool {
    !output.status.success() && output.stderr.starts_with(b"unshare: unshare failed")
}

/// The image's root file system; `program` is what it starts.
fn unpack(tree: &Tree, dir: &Utf8Path, program: &Utf8Path) -> Result<()> {
    tree.write_to(dir)?;
    // Dynamic linkers ask /proc where $ORIGIN is; a link is all they need, and it can be made without mounting anything.
    let process = dir.join(tree.resolve(Utf8Path::new("proc/self"))?);
    files::remove(&process)?;
    files::create_dir(&process)?;
    std::os::unix::fs::symlink(program, process.join("exe")).with_context(|| format!("writing into {process}"))?;
    // The image's user must be able to read them, with any umask.
    for entry in WalkDir::new(dir) {
        let entry = entry.with_context(|| format!("reading the directory {dir}"))?;
        if entry.file_type().is_dir() {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(entry.path(), mode).with_context(|| format!("writing {}", entry.path().display()))?;
        }
    }
    Ok(())
}
