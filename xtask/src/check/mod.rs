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
use crate::compile::{self, Dist, failure};
use crate::environment::options::BuildEnvironment;
use crate::pipeline::prepare;
use crate::plan::{BuildPlan, Plugin};
use crate::source::checkout::Checkout;
use crate::source::manifest;
use crate::source::plugins;
use crate::source::selection::Selection;
use crate::support::command::{self, Invocation};
use crate::support::errors::{Errors, Finding};
use crate::support::files;
use crate::support::session::Session;

/// Errors of plugins that cargo cannot read, or would not build as they are.
const NOT_COMPILED: [&str; 7] = ["assets", "crate-type", "manifest", "name", "path-dependency", "sdk", "workspace"];

/// What was found.
#[derive(Serialize)]
pub struct CheckReport {
    pub plugins: Vec<Checked>,
    /// In the order in which they were found.
    pub errors: Vec<Finding>,
    /// What costs something, and is no error.
    pub notes: Vec<Finding>,
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
pub fn check(session: &Session, names: &[String], config: Option<&Utf8Path>) -> Result<CheckReport> {
    let paths = &session.paths;
    let workspace = manifest::read(&paths.root)?;
    let mut selection = Selection { only: names.to_vec(), ..Selection::default() };
    let (found, mut errors) = plugins::examine(paths, &workspace, &selection, Vec::new(), &[])?;
    let unknown = errors.findings().iter().filter(|finding| finding.code.is_empty());
    let unknown: Vec<String> = unknown.map(|finding| finding.message.replacen("--only ", "", 1)).collect();
    anyhow::ensure!(unknown.is_empty(), "{}", unknown.join("; "));
    let dirs = plugins::dirs(&paths.root)?.into_iter().filter(|dir| !found.not_selected.contains(dir));
    let dirs: Vec<Utf8PathBuf> = dirs.collect();
    let readable: Vec<_> = dirs.iter().filter(|dir| !has(&errors, dir, &["manifest"])).collect();
    for dir in readable {
        sources::check(&paths.root, dir, &workspace.image().sdk, &mut errors)?;
    }
    let sound = dirs.iter().filter(|dir| !has(&errors, dir, &NOT_COMPILED)).filter_map(|dir| dir.file_name());
    selection.only = sound.map(str::to_owned).collect();
    let mut checking = Checking { session, config, errors, notes: Errors::default(), checked: Vec::new() };
    if !selection.only.is_empty() {
        checking.compiled(&selection)?;
    }
    let Checking { errors, notes, checked, .. } = checking;
    Ok(CheckReport { plugins: checked, errors: errors.findings().to_vec(), notes: notes.findings().to_vec() })
}

fn has(errors: &Errors, dir: &Utf8Path, codes: &[&str]) -> bool {
    errors.findings().iter().any(|finding| codes.contains(&finding.code) && finding.plugin == dir.as_str())
}

struct Checking<'a> {
    session: &'a Session,
    config: Option<&'a Utf8Path>,
    errors: Errors,
    notes: Errors,
    checked: Vec<Checked>,
}

impl Checking<'_> {
    /// What only cargo, the compiler and the host can tell.
    fn compiled(&mut self, selection: &Selection) -> Result<()> {
        let Some(plan) = self.plan(selection)? else { return Ok(()) };
        let place = workplace(self.session, &plan.toolchain)?;
        for plugin in &plan.plugins {
            self.session.ui.status("Checking", &plugin.path);
            dependencies::check(self.session, &plan, plugin, &mut self.errors, &mut self.notes)?;
            by_cargo(self.session, &plan, plugin, &place, &mut self.errors)?;
        }
        self.build(&plan)
    }

    /// Builds the plugins together; those that fail are errors, and the others are built without them.
    fn build(&mut self, plan: &BuildPlan) -> Result<()> {
        let Err(error) = self.built(plan) else { return Ok(()) };
        let not_compiled = failure::not_compiled(&error);
        // What fails after compiling does not name a plugin: each is then tried on its own.
        let (failed, rest): (Vec<&Plugin>, Vec<&Plugin>) =
            plan.plugins.iter().partition(|plugin| plan.plugins.len() == 1 || not_compiled.contains(&plugin.name));
        for plugin in &failed {
            let error = match failed.as_slice() {
                [_] => format!("{error:#}"),
                _ => {
                    format!("compiling the plugin {} ({}) failed; see cargo's messages above", plugin.name, plugin.path)
                }
            };
            self.errors.push_as("build", &plugin.path, error);
        }
        let names = |plugins: &[&Plugin]| plugins.iter().map(|plugin| plugin.name.clone()).collect::<Vec<_>>();
        let sets =
            if failed.is_empty() { rest.iter().map(|plugin| names(&[plugin])).collect() } else { vec![names(&rest)] };
        for only in sets.into_iter().filter(|only| !only.is_empty()) {
            if let Some(plan) = self.plan(&Selection { only, ..Selection::default() })? {
                self.build(&plan)?;
            }
        }
        Ok(())
    }

    fn plan(&mut self, selection: &Selection) -> Result<Option<BuildPlan>> {
        let paths = &self.session.paths;
        let checkout = Checkout::read(paths, manifest::read(&paths.root)?, selection, Vec::new(), false)?;
        let toolchain = Toolchain::find(&self.session.ui, &paths.root, None)?;
        match prepare::build(self.session, &checkout, false, BuildEnvironment::Local, toolchain) {
            Ok(plan) => Ok(Some(plan.for_runs())),
            Err(error) => {
                self.errors.push_as("resolve", "", format!("{error:#}"));
                Ok(None)
            }
        }
    }

    /// Builds the plugins, and tries each in the host. An error is that of the build.
    fn built(&mut self, plan: &BuildPlan) -> Result<()> {
        let dist = compile::build(self.session, plan)?;
        for (plugin, file) in plan.plugins.iter().zip(&dist.plugins) {
            self.session.ui.status("Probing", &plugin.path);
            let record = provost_record::read(&files::read(&file.file.path)?)?;
            if loads(self.session, plan, &dist, plugin, &mut self.errors)? {
                probe::probe(self.session, plan, &dist, plugin, self.config, &mut self.errors)?;
            }
            let (name, version, path) = (plugin.name.clone(), plugin.version.clone(), plugin.path.clone());
            self.checked.push(Checked { name, version, path, record });
        }
        Ok(())
    }
}

/// Where cargo runs for one plugin: in the tree with its own target directory, which has much compiled already; or in the copy of the
/// sources, if a broken plugin in the tree keeps cargo from all others.
fn workplace(session: &Session, toolchain: &Toolchain) -> Result<(Utf8PathBuf, Utf8PathBuf)> {
    let paths = &session.paths;
    let metadata = toolchain.run("cargo", ["metadata", "--no-deps", "--format-version", "1"]).dir(&paths.root);
    let works = metadata.output(&session.ui)?.status.success();
    Ok(if works { (paths.root.clone(), paths.target()) } else { (paths.sources(), paths.checked()) })
}

/// Formatting, lints and tests.
fn by_cargo(
    session: &Session,
    plan: &BuildPlan,
    plugin: &Plugin,
    (dir, target): &(Utf8PathBuf, Utf8PathBuf),
    errors: &mut Errors,
) -> Result<()> {
    let name = plugin.name.as_str();
    let steps: [(&'static str, &[&str]); 3] = [
        ("format", &["fmt", "--check", "--package", name]),
        ("clippy", &["clippy", "--quiet", "--package", name, "--all-targets", "--", "-D", "warnings"]),
        ("tests", &["test", "--quiet", "--package", name]),
    ];
    for (code, args) in steps {
        let cargo = plan.toolchain.run("cargo", args.iter().copied()).dir(dir);
        let output = cargo.env("CARGO_TARGET_DIR", target.as_str()).output(&session.ui)?;
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
