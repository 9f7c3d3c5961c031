//! The one cargo invocation that compiles everything: which flags, which packages, which files came of it.

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use cargo_metadata::{Artifact, Message};
use serde::Deserialize;

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

/// Compiles; cargo's own messages go to stderr.
pub fn build(ui: &Ui, paths: &Paths, plan: &BuildPlan) -> Result<Vec<Artifact>> {
    let mut command = plan
        .toolchain
        .run("cargo", ["build", "--release", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--target-dir", paths.cargo_target().as_str()])
        .args(["-p", &plan.host.package, "-p", &plan.host.sdk])
        .folder(paths.sources())
        .env("CARGO_ENCODED_RUSTFLAGS", flags(paths)?.join(SEPARATOR));
    if !ui.terminal && !ui.verbose() {
        command = command.arg("--quiet");
    }
    for plugin in &plan.plugins {
        // With the version: a dependency may have the same name.
        command = command.args(["-p".to_owned(), format!("{}@{}", plugin.name, plugin.version)]);
    }
    let output = command.expression(ui).stdout_capture().unchecked().run();
    let output = output.with_context(|| format!("starting `{command}`"))?;
    if !output.status.success() {
        bail!("compiling the host and its plugins failed ({}); cargo's messages stand above", output.status);
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

/// The tree's flags, the paths of this machine mapped away, and the user's RUSTFLAGS, which would replace the tree's.
fn flags(paths: &Paths) -> Result<Vec<String>> {
    let path = paths.root.join(FLAGS_FILE);
    let config: Config = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
    let Some(target) = config.target.get(FLAGS_KEY) else {
        bail!("{path} has no `[target.'{FLAGS_KEY}']` with the flags that host and plugins need");
    };
    let mut flags = target.rustflags.clone();
    // The last mapping that fits is the one that rustc takes.
    for (from, to) in [(cargo_home()?, "/cargo"), (paths.cargo_target(), "/target"), (paths.sources(), "/source")] {
        flags.push(format!("--remap-path-prefix={from}={to}"));
    }
    flags.extend(users_flags());
    Ok(flags)
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

fn cargo_home() -> Result<Utf8PathBuf> {
    if let Ok(home) = std::env::var("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::var("HOME").context("finding cargo's home: neither CARGO_HOME nor HOME is set")?;
    Ok(Utf8PathBuf::from(home).join(".cargo"))
}
