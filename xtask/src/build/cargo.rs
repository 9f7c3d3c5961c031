//! The one cargo invocation that compiles everything: which flags, which packages, which files came of it.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};
use serde::Deserialize;

use crate::build::failure;
use crate::build::machine::{Folders, Machine};
use crate::files;
use crate::paths::Paths;
use crate::plan::BuildPlan;
use crate::ui::Ui;

/// The tree's own rustflags; the key is the one that spares macOS and merges with a user's target flags.
const FLAGS_FILE: &str = ".cargo/config.toml";
const FLAGS_KEY: &str = "cfg(target_os = \"linux\")";

/// Cargo separates encoded flags by this.
const SEPARATOR: &str = "\u{1f}";

#[derive(Deserialize)]
struct Config {
    target: std::collections::BTreeMap<String, TargetConfig>,
}

#[derive(Deserialize)]
struct TargetConfig {
    rustflags: Vec<String>,
}

/// What cargo built, by paths of the machine.
pub fn build(ui: &Ui, paths: &Paths, plan: &BuildPlan, machine: &dyn Machine) -> Result<Vec<Artifact>> {
    let folders = machine.folders();
    let mut args: Vec<String> =
        ["build", "--release", "--locked", "--message-format=json-render-diagnostics"].map(str::to_owned).to_vec();
    args.extend(["--target-dir".to_owned(), folders.target.to_string()]);
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
    args.extend(packages.flat_map(|id| ["-p".to_owned(), folders.package(paths, id)]));
    // Not the programs that a plugin has for itself.
    args.extend(["--lib", "--bin", &plan.host.package].map(str::to_owned));
    let flags = flags(paths, plan, folders)?.join(SEPARATOR);
    let mut environment = vec![("CARGO_ENCODED_RUSTFLAGS", flags)];
    if ui.terminal {
        // Its messages come through a pipe, so it sees no terminal.
        let shown = [
            ("CARGO_TERM_COLOR", "always"),
            ("CARGO_TERM_PROGRESS_WHEN", "always"),
            ("CARGO_TERM_PROGRESS_WIDTH", "80"),
        ];
        environment.extend(shown.map(|(name, value)| (name, value.to_owned())));
    }
    let output = machine.cargo(&args, &environment)?;
    if !output.status.success() {
        return Err(failure::explain(plan, machine, &output));
    }
    let messages = Message::parse_stream(output.stdout.as_slice());
    let mut artifacts = Vec::new();
    for message in messages {
        if let Message::CompilerArtifact(artifact) = message.context("reading what cargo wrote")? {
            artifacts.push(artifact);
        }
    }
    Ok(artifacts)
}

/// The tree's flags, the machine's paths mapped away, and the user's RUSTFLAGS, which would replace the tree's.
fn flags(paths: &Paths, plan: &BuildPlan, folders: &Folders) -> Result<Vec<String>> {
    let mut flags = tree_flags(paths)?;
    if plan.toolchain.is_musl() {
        // Else nothing could be loaded: musl targets link libc statically unless told.
        flags.extend(["-C", "target-feature=-crt-static"].map(str::to_owned));
    }
    // The last mapping that fits is the one that rustc takes.
    for (from, to) in [(&folders.crates, "/cargo"), (&folders.target, "/target"), (&folders.sources, "/source")] {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    flags.extend(users_flags());
    Ok(flags)
}

/// What the tree itself says of flags.
pub fn tree_flags(paths: &Paths) -> Result<Vec<String>> {
    let path = paths.root.join(FLAGS_FILE);
    let mut config: Config = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
    let Some(target) = config.target.remove(FLAGS_KEY) else {
        bail!("{path} has no `[target.'{FLAGS_KEY}']` with the flags that host and plugins need");
    };
    Ok(target.rustflags)
}

pub fn users_flags() -> Vec<String> {
    let split = |text: String, separator: &str| -> Vec<String> {
        text.split(separator).map(str::trim).filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
    };
    match std::env::var("CARGO_ENCODED_RUSTFLAGS") {
        Ok(flags) => split(flags, SEPARATOR),
        Err(_) => std::env::var("RUSTFLAGS").map(|flags| split(flags, " ")).unwrap_or_default(),
    }
}
