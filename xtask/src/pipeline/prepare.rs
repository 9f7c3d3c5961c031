//! Turns a request into a plan: chooses where to compile, copies the sources, asks git and cargo about the copy. It compiles
//! nothing and writes only to the target directory.

use std::thread;

use anyhow::{Result, bail};

use crate::base::layers::BaseFiles;
use crate::cargo::crypto;
use crate::cargo::flags;
use crate::cargo::lockfile::{self, Lock};
use crate::cargo::query;
use crate::cargo::resolution::Reach;
use crate::cargo::toolchain::{self, Toolchain};
use crate::containers::engine::Engine;
use crate::containers::images::BUILDER_FILE;
use crate::environment::options::BuildEnvironment;
use crate::oci::digest::Digest;
use crate::outside;
use crate::pipeline::request::PlanRequest;
use crate::plan::forecast::Forecast;
use crate::plan::inputs::Inputs;
use crate::plan::last_image::LastImage;
use crate::plan::{BuildPlan, ImagePlan};
use crate::source::checkout::Checkout;
use crate::source::{copy, left_out, revision};
use crate::support::errors::Errors;
use crate::support::session::Session;
use crate::support::ui::count;
use crate::support::{files, variables};

/// A plan, and what was resolved for it.
pub struct Prepared {
    pub checkout: Checkout,
    pub plan: ImagePlan,
    pub base: BaseFiles,
    /// What verifies and receives the image, if one answers.
    pub engine: Option<Engine>,
}

/// What `image` would make, and from what.
pub fn image(session: &Session, request: &PlanRequest) -> Result<Prepared> {
    // It takes a moment, and is asked for below.
    thread::spawn(Digest::own_program);
    let checkout = outside::checkout(session, &request.selection, request.test_plugins)?;
    let resolved = request.environment.resolve(session, request.strict)?;
    let mut build = build(session, &checkout, request.locked, resolved.environment, resolved.toolchain)?;
    build = build.on(&resolved.base, resolved.files.layers.len())?;
    build.isolated = request.isolated;
    build.host.entrypoint |= request.entrypoint;
    let forecast = forecast(session, &build, &resolved.files)?;
    let plan = ImagePlan::new(build, resolved.base, request.image.clone(), forecast)?;
    Ok(Prepared { checkout, plan, base: resolved.files, engine: resolved.engine })
}

/// Plans the build from the current copy of the sources.
pub fn build(
    session: &Session,
    checkout: &Checkout,
    locked: bool,
    environment: BuildEnvironment,
    toolchain: Toolchain,
) -> Result<BuildPlan> {
    let paths = &session.paths;
    if matches!(environment, BuildEnvironment::Local) {
        variables::check_settings(paths, &toolchain::cargo_home()?)?;
    }
    let left_out = copy::sync(paths, &checkout.workspace, &checkout.discovered)?;
    left_out::announce(&session.ui, &left_out);
    let mut origin = revision::query(session, &left_out)?;
    if !checkout.selection.with.is_empty() {
        origin.is_not_committed();
    }
    let metadata = query::members(session)?;
    let plan = BuildPlan::new(checkout, &metadata, environment, toolchain)?;
    let Toolchain { target, emulator, .. } = &plan.toolchain;
    if plan.toolchain.is_cross() && emulator.is_none() && plan.host.schema_flag.is_some() {
        bail!(
            "the builder cannot start the host, which is for {target} and has to say the schemas of the plugins; install the \
             package qemu-user in {BUILDER_FILE}"
        );
    }
    let rustflags = flags::rustflags(session, &plan.toolchain)?;
    let mut plan = BuildPlan { rustflags, left_out, origin, ..plan };
    resolve(session, &mut plan, locked)?;
    plan.resolution = plan.query().crates(session, Reach::Linked)?;
    if let BuildEnvironment::Container(_) = plan.environment {
        check_sources(session, &plan)?;
    }
    Ok(plan)
}

/// Predicts the status of each layer from the inputs of the last image.
pub fn forecast(session: &Session, plan: &BuildPlan, base: &BaseFiles) -> Result<Forecast> {
    let query = plan.query();
    let crates = query.crates(session, Reach::Compiled)?;
    let inputs = Inputs::gather(&session.paths, plan, base, crates)?;
    let features = |of: &_| query.features(session, of);
    Forecast::make(&session.paths, plan, LastImage::read(&session.paths), inputs, features)
}

/// Resolves in the copy, where cargo may change the lock file. It is compared with the tree's.
fn resolve(session: &Session, plan: &mut BuildPlan, locked: bool) -> Result<()> {
    let Session { ui, paths, .. } = session;
    let stamp = paths.resolved();
    let key = copy::manifests_digest(&paths.sources())?;
    if std::fs::read_to_string(&stamp).is_ok_and(|stamped| stamped == key.to_string()) {
        return Ok(());
    }
    ui.status("Resolving", format!("dependencies of the host and {}", count(plan.plugins.len(), "plugin")));
    query::fetch(session, &plan.toolchain.target)?;
    let before = std::fs::read_to_string(paths.root.join("Cargo.lock")).unwrap_or_default();
    let after = files::read_text(&paths.sources().join("Cargo.lock"))?;
    if before == after {
        let key = copy::manifests_digest(&paths.sources())?;
        return files::write_atomically(&stamp, |out| Ok(out.write_all(key.to_string().as_bytes())?));
    }
    let plugins: Vec<&str> = plan.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    plan.lock_changes = lockfile::changes(&Lock::parse(&before)?, &Lock::parse(&after)?, &plugins);
    if plan.is_partial() {
        // Cargo drops what only the other plugins need.
        plan.lock_changes.retain(|change| !change.is_removal());
        if plan.lock_changes.is_empty() {
            return Ok(());
        }
    }
    if locked {
        let changes: Vec<String> = plan.lock_changes.iter().map(|change| format!("\n  - {change}")).collect();
        bail!(
            "Cargo.lock needs an update, which --locked forbids; run the command once without --locked and commit \
             Cargo.lock{}",
            changes.concat()
        );
    }
    plan.lock = Some(after);
    plan.origin.is_not_committed();
    Ok(())
}

/// A container gets all crates in one directory, where a name and version can be there once. This includes crates that
/// only tests or other targets need.
fn check_sources(session: &Session, plan: &BuildPlan) -> Result<()> {
    let lock = Lock::parse(&files::read_text(&session.paths.sources().join("Cargo.lock"))?)?;
    let members = [&plan.host.package, &plan.host.sdk].into_iter();
    let members: Vec<&str> =
        members.chain(plan.plugins.iter().map(|plugin| &plugin.name)).map(String::as_str).collect();
    let mut errors = Errors::default();
    for twice in lock.twice(&members) {
        errors.push(format!(
            "{twice}; use one source for all, usually with `[patch]` in Cargo.toml; only --engine local can compile both"
        ));
    }
    errors.report("what goes to a container")
}

/// Says what changes in `Cargo.lock`.
pub fn announce_lock(session: &Session, plan: &BuildPlan) {
    let Session { ui, paths, .. } = session;
    if plan.lock.is_some() && !paths.root.join("Cargo.lock").exists() {
        ui.status("Creating", format!("Cargo.lock with {}", count(plan.lock_changes.len(), "package")));
        return;
    }
    for change in &plan.lock_changes {
        ui.status("Locking", change);
    }
}

/// Warns of what a plugin makes everybody pay for.
pub fn announce_crypto(session: &Session, plan: &BuildPlan) -> Result<()> {
    let plugins: Vec<&str> = plan.plugins.iter().map(|plugin| plugin.name.as_str()).collect();
    for other in crypto::others(session, &plan.query(), &plan.resolution, &plan.host.sdk, &plugins)? {
        session.ui.warning(format!("{other}; `--without {}` builds the others", other.plugin));
    }
    Ok(())
}

/// Updates the tree's `Cargo.lock` after a successful build. That of a part of the tree is written beside the image.
pub fn update_lock(session: &Session, plan: &BuildPlan) -> Result<()> {
    let Session { ui, paths, .. } = session;
    let Some(lock) = &plan.lock else { return Ok(()) };
    let path = if plan.is_partial() { paths.lock_of(&plan.host.name) } else { paths.root.join("Cargo.lock") };
    if plan.is_partial() {
        ui.status("Keeping", format!("Cargo.lock as it is; this build's is {}", paths.relative(&path)));
    }
    files::write_atomically(&path, |out| Ok(out.write_all(lock.as_bytes())?))
}
