//! The one cargo invocation that compiles everything: which flags, which packages, which files came of it.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Artifact, Message};
use cargo_platform::{Cfg, Platform};
use serde::Deserialize;

use crate::cargo::toolchain::{self, Toolchain};
use crate::compile::failure;
use crate::compile::machine::{Folders, Machine};
use crate::plan::BuildPlan;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::ui::Ui;

/// The tree's own rustflags stand in it.
const FLAGS_FILE: &str = ".cargo/config.toml";

/// The table that has them: it spares macOS, and merges with others.
const FLAGS_KEY: &str = "cfg(target_os = \"linux\")";

/// What stands in built files for the crates' folder, cargo's target folder and the sources.
pub const REMAPPED: [&str; 3] = ["/cargo", "/target", "/source"];

/// Cargo's variable for flags, which it separates by this.
pub const ENCODED_FLAGS: &str = "CARGO_ENCODED_RUSTFLAGS";
pub const SEPARATOR: &str = "\u{1f}";

#[derive(Deserialize)]
struct Config {
    target: std::collections::BTreeMap<String, TargetConfig>,
}

#[derive(Default, Deserialize)]
struct TargetConfig {
    #[serde(default)]
    rustflags: Flags,
}

/// Cargo takes both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flags {
    List(Vec<String>),
    Words(String),
}

impl Default for Flags {
    fn default() -> Flags {
        Flags::List(Vec::new())
    }
}

impl Flags {
    fn words(self) -> Vec<String> {
        match self {
            Flags::List(flags) => flags,
            Flags::Words(text) => text.split_whitespace().map(str::to_owned).collect(),
        }
    }
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
    // Else the user's configuration may put what is between into another folder, whose path would not be mapped away.
    let folder = toml::Value::String(folders.target.to_string());
    args.extend(["--config".to_owned(), format!("build.build-dir={folder}")]);
    let mut environment = vec![(ENCODED_FLAGS, flags(plan, folders).join(SEPARATOR))];
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

/// The flags of the build, the machine's paths mapped away.
fn flags(plan: &BuildPlan, folders: &Folders) -> Vec<String> {
    let mut flags = plan.rustflags.clone();
    // The last mapping that fits is the one that rustc takes.
    for (from, to) in [&folders.crates, &folders.target, &folders.sources].into_iter().zip(REMAPPED) {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    flags
}

/// The tree's flags for the target, what musl needs, and the user's RUSTFLAGS, which would replace the tree's. Cargo is asked with
/// these too: a cfg decides which crates are linked.
pub fn rustflags(ui: &Ui, paths: &Paths, toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut flags = tree_flags(ui, paths, &toolchain.target)?;
    if toolchain.is_musl() {
        // Else nothing could be loaded: musl targets link libc statically unless told.
        flags.extend(["-C", "target-feature=-crt-static"].map(str::to_owned));
    }
    flags.extend(users_flags());
    Ok(flags)
}

/// What the tree itself says of flags: of all tables for this target, as cargo joins them.
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#buildrustflags>.
fn tree_flags(ui: &Ui, paths: &Paths, target: &str) -> Result<Vec<String>> {
    let path = paths.root.join(FLAGS_FILE);
    let mut config: Config = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
    let Some(always) = config.target.remove(FLAGS_KEY) else {
        bail!("{path} has no `[target.'{FLAGS_KEY}']` with the flags that host and plugins need");
    };
    let own = config.target.remove(target).unwrap_or_default();
    let mut flags = own.rustflags.words();
    flags.extend(always.rustflags.words());
    let mut known = None;
    for (key, table) in config.target.into_iter().filter(|(key, _)| key.starts_with("cfg(")) {
        let platform: Platform = key.parse().with_context(|| format!("reading [target.'{key}'] in {path}"))?;
        if known.is_none() {
            known = Some(cfgs(ui, paths, target)?);
        }
        if platform.matches(target, known.as_deref().unwrap_or_default()) {
            flags.extend(table.rustflags.words());
        }
    }
    Ok(flags)
}

/// What rustc has set for a target.
fn cfgs(ui: &Ui, paths: &Paths, target: &str) -> Result<Vec<Cfg>> {
    let text = toolchain::rustc(&paths.root, ["--print", "cfg", "--target", target])?.read(ui)?;
    text.lines().map(|line| line.parse().with_context(|| format!("rustc names the cfg `{line}`"))).collect()
}

fn users_flags() -> Vec<String> {
    let split = |text: String, separator: &str| -> Vec<String> {
        text.split(separator).map(str::trim).filter(|flag| !flag.is_empty()).map(str::to_owned).collect()
    };
    match std::env::var("CARGO_ENCODED_RUSTFLAGS") {
        Ok(flags) => split(flags, SEPARATOR),
        Err(_) => std::env::var("RUSTFLAGS").map(|flags| split(flags, " ")).unwrap_or_default(),
    }
}
