//! The one cargo run that compiles everything: its flags, its packages, and the files that it makes.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message};

use crate::cargo::flags::{ENCODED_FLAGS, SEPARATOR};
use crate::compile::failure;
use crate::compile::machine::{Dirs, Machine};
use crate::plan::BuildPlan;
use crate::support::session::Session;

/// What stands in built files for the crates' directory, cargo's target directory and the sources.
pub const REMAPPED: [&str; 3] = ["/cargo", "/target", "/source"];

/// What cargo built, by paths of the machine.
pub struct Built {
    pub artifacts: Vec<Artifact>,
    /// Where build scripts said that libraries are, of those directories that belong to the build, sorted.
    pub library_dirs: Vec<Utf8PathBuf>,
    /// The files with what build scripts said, of those that have run in this or an earlier build.
    pub script_outputs: Vec<Utf8PathBuf>,
}

/// Runs cargo once, for the host, the SDK and every plugin.
pub fn build(session: &Session, plan: &BuildPlan, machine: &dyn Machine) -> Result<Built> {
    let Session { ui, paths, .. } = session;
    let dirs = machine.dirs();
    let mut args: Vec<String> =
        ["build", "--profile", &plan.profile, "--locked", "--keep-going", "--message-format=json-render-diagnostics"]
            .map(str::to_owned)
            .to_vec();
    args.extend(["--target-dir".to_owned(), dirs.target.to_string()]);
    if plan.toolchain.target != plan.toolchain.host || plan.toolchain.is_musl() {
        // Build scripts and proc macros keep the machine's own settings.
        args.extend(["--target".to_owned(), plan.toolchain.target.clone()]);
    }
    if !ui.terminal && !ui.verbose() {
        args.push("--quiet".to_owned());
    }
    if let Ok(jobs) = std::env::var("CARGO_BUILD_JOBS") {
        args.extend(["--jobs".to_owned(), jobs]);
    }
    // By their ids: a dependency may have the same name and version.
    let packages = [&plan.host_id, &plan.sdk_id].into_iter().chain(plan.plugins.iter().map(|plugin| &plugin.id));
    args.extend(packages.flat_map(|id| ["-p".to_owned(), dirs.package(paths, id)]));
    // Not the programs that a plugin has for itself.
    args.extend(["--lib", "--bin", &plan.host.package].map(str::to_owned));
    // Else the user's configuration may put what is between into another directory, whose path would not be mapped away.
    let dir = toml::Value::String(dirs.target.to_string());
    args.extend(["--config".to_owned(), format!("build.build-dir={dir}")]);
    let mut environment = vec![(ENCODED_FLAGS.to_owned(), flags(plan, dirs).join(SEPARATOR))];
    // What C code takes for the time of its compilation (__DATE__, __TIME__) would differ each time.
    // Source: <https://reproducible-builds.org/specs/source-date-epoch/>.
    environment.push(("SOURCE_DATE_EPOCH".to_owned(), "0".to_owned()));
    if plan.toolchain.is_cross() {
        let target = plan.toolchain.target.to_uppercase().replace('-', "_");
        environment.push((format!("CARGO_TARGET_{target}_LINKER"), plan.toolchain.linker.clone()));
    }
    if ui.terminal {
        // Its messages come through a pipe, so it sees no terminal.
        let shown = [
            ("CARGO_TERM_COLOR", "always"),
            ("CARGO_TERM_PROGRESS_WHEN", "always"),
            ("CARGO_TERM_PROGRESS_WIDTH", "80"),
        ];
        environment.extend(shown.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    let environment: Vec<(&str, String)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let output = machine.cargo(&args, &environment)?;
    if !output.status.success() {
        return Err(failure::explain(plan, machine, &output));
    }
    let messages = Message::parse_stream(output.stdout.as_slice());
    let (mut artifacts, mut library_dirs, mut script_outputs) = (Vec::new(), BTreeSet::new(), Vec::new());
    for message in messages {
        match message.context("reading what cargo wrote")? {
            Message::CompilerArtifact(artifact) => artifacts.push(artifact),
            Message::BuildScriptExecuted(script) => {
                // `native=/directory`, or without a kind. The system's own directories the linker knows.
                let plain = |path: &Utf8PathBuf| path.as_str().rsplit('=').next().unwrap_or_default().into();
                let is_ours = |path: &Utf8PathBuf| path.starts_with(&dirs.sources) || path.starts_with(&dirs.target);
                script_outputs.extend(script.out_dir.parent().map(|dir| dir.join("output")));
                library_dirs.extend(script.linked_paths.iter().map(plain).filter(is_ours));
            }
            _ => {}
        }
    }
    Ok(Built { artifacts, library_dirs: library_dirs.into_iter().collect(), script_outputs })
}

/// The flags of the build, the machine's paths mapped away.
fn flags(plan: &BuildPlan, dirs: &Dirs) -> Vec<String> {
    let mut flags = plan.rustflags.clone();
    // The last mapping that fits is the one that rustc takes.
    for (from, to) in [&dirs.crates, &dirs.target, &dirs.sources].into_iter().zip(REMAPPED) {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    flags
}
