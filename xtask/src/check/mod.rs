//! What can be wrong with a plugin, all of it at once: its manifest, its files, its crates, its tests, its build, and what it does in the
//! real host.

pub mod codes;
mod dependencies;
mod probe;
mod sources;

use std::process::Output;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use provost_record::Record;
use serde::Serialize;

use crate::cargo::toolchain::Toolchain;
use crate::compile::{self, Dist};
use crate::environment::options::BuildEnvironment;
use crate::pipeline::prepare;
use crate::plan::{BuildPlan, Plugin};
use crate::source::checkout::Checkout;
use crate::source::manifest;
use crate::source::plugins;
use crate::source::selection::Selection;
use crate::support::command::{self, Invocation};
use crate::support::errors::{Errors, Fault};
use crate::support::files;
use crate::support::session::Session;

/// What was found.
#[derive(Serialize)]
pub struct Findings {
    pub plugins: Vec<Checked>,
    /// In the order in which they were found.
    pub faults: Vec<Fault>,
    /// What costs something, and is no fault.
    pub notes: Vec<Fault>,
}

/// A plugin that was built.
#[derive(Serialize)]
pub struct Checked {
    pub name: String,
    pub version: String,
    pub path: Utf8PathBuf,
    /// Of its file.
    pub record: Record,
}

/// Checks the plugins with these names, or all. `config` takes the place of their default configurations.
///
/// # Errors
///
/// When something else keeps it from checking.
pub fn check(session: &Session, names: &[String], config: Option<&Utf8Path>) -> Result<Findings> {
    let paths = &session.paths;
    let workspace = manifest::read(&paths.root)?;
    let mut selection = Selection { only: names.to_vec(), ..Selection::default() };
    let (found, mut errors) = plugins::examine(paths, &workspace, &selection, Vec::new(), &[])?;
    let unknown = errors.faults().iter().filter(|fault| fault.code.is_empty());
    let unknown: Vec<String> = unknown.map(|fault| fault.message.replacen("--only ", "", 1)).collect();
    anyhow::ensure!(unknown.is_empty(), "{}", unknown.join("; "));
    let dirs = plugins::dirs(&paths.root)?.into_iter().filter(|dir| !found.not_selected.contains(dir));
    let dirs: Vec<Utf8PathBuf> = dirs.collect();
    for dir in dirs.iter().filter(|dir| paths.root.join(dir).join("Cargo.toml").is_file()) {
        sources::check(&paths.root, dir, &workspace.image().sdk, &mut errors)?;
    }
    // Those that cargo cannot read, or that would not be built as they are, are not compiled.
    let broken = ["assets", "crate-type", "manifest", "name", "path-dependency", "sdk", "workspace"];
    let faulty =
        |dir: &Utf8PathBuf| errors.faults().iter().any(|fault| broken.contains(&fault.code) && fault.plugin == *dir);
    selection.only =
        dirs.iter().filter(|dir| !faulty(dir)).filter_map(|dir| dir.file_name()).map(str::to_owned).collect();
    let mut notes = Errors::default();
    let mut checked = Vec::new();
    if !selection.only.is_empty() {
        let checkout = Checkout::read(paths, workspace, &selection, Vec::new(), false)?;
        checked = built(session, &checkout, config, &mut errors, &mut notes)?;
    }
    Ok(Findings { plugins: checked, faults: errors.faults().to_vec(), notes: notes.faults().to_vec() })
}

/// What only cargo, the compiler and the host can tell.
fn built(
    session: &Session,
    checkout: &Checkout,
    config: Option<&Utf8Path>,
    errors: &mut Errors,
    notes: &mut Errors,
) -> Result<Vec<Checked>> {
    let toolchain = Toolchain::find(&session.ui, &session.paths.root, None)?;
    let plan = match prepare::build(session, checkout, false, BuildEnvironment::Local, toolchain) {
        Ok(plan) => plan,
        Err(error) => {
            errors.push_as("resolve", "", format!("{error:#}"));
            return Ok(Vec::new());
        }
    };
    for plugin in &plan.plugins {
        session.ui.status("Checking", &plugin.path);
        dependencies::check(session, &plan, plugin, errors, notes)?;
        by_cargo(session, &plan, plugin, errors)?;
    }
    let dist = match compile::build(session, &plan) {
        Ok(dist) => dist,
        Err(error) => {
            errors.push_as("build", "", format!("{error:#}"));
            return Ok(Vec::new());
        }
    };
    let mut checked = Vec::new();
    for (plugin, file) in plan.plugins.iter().zip(&dist.plugins) {
        session.ui.status("Probing", &plugin.path);
        let record = provost_record::read(&files::read(&file.file.path)?)?;
        if loads(session, &plan, &dist, plugin, errors)? {
            probe::probe(session, &plan, &dist, plugin, config, errors)?;
        }
        let (name, version, path) = (plugin.name.clone(), plugin.version.clone(), plugin.path.clone());
        checked.push(Checked { name, version, path, record });
    }
    Ok(checked)
}

/// Formatting, lints and tests, in the copy of the sources: in the tree a broken plugin would keep cargo from all others.
fn by_cargo(session: &Session, plan: &BuildPlan, plugin: &Plugin, errors: &mut Errors) -> Result<()> {
    let name = plugin.name.as_str();
    let steps: [(&'static str, &[&str]); 3] = [
        ("format", &["fmt", "--check", "--package", name]),
        ("clippy", &["clippy", "--quiet", "--package", name, "--all-targets", "--", "-D", "warnings"]),
        ("tests", &["test", "--quiet", "--package", name]),
    ];
    for (code, args) in steps {
        let cargo = plan.toolchain.run("cargo", args.iter().copied()).dir(session.paths.sources());
        let output = cargo.env("CARGO_TARGET_DIR", session.paths.checked().as_str()).output(&session.ui)?;
        if !output.status.success() {
            let said = said(session, &output);
            errors.push_as(
                code,
                &plugin.path,
                format!("{}: `cargo {}` failed:{said}", plugin.path, args[..3].join(" ")),
            );
        }
    }
    Ok(())
}

/// The last lines, where they name the copy with the tree's path.
fn said(session: &Session, output: &Output) -> String {
    let paths = &session.paths;
    command::tail(output).replace(paths.sources().as_str(), paths.root.as_str())
}

/// Whether the host loads the plugin, on its own.
fn loads(session: &Session, plan: &BuildPlan, dist: &Dist, plugin: &Plugin, errors: &mut Errors) -> Result<bool> {
    let config = session.paths.checked().join("empty.toml");
    files::write_changed(&config, b"")?;
    let host = &plan.host;
    let args =
        [host.check_flag.as_str(), &host.config_flag, config.as_str(), &host.plugin_flag, &plan.file_name(plugin)];
    let program = Invocation::new(dist.host.path.as_str(), args).dir(session.paths.dist());
    let output = program.output(&session.ui)?;
    if !output.status.success() {
        errors.push_as(
            "load",
            &plugin.path,
            format!("{}: the host does not load it:{}", plugin.path, said(session, &output)),
        );
    }
    Ok(output.status.success())
}
