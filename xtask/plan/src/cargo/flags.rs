//! The flags of rustc: the tree's, those that the target needs, and the user's.

use anyhow::{Context, Result, bail};
use cargo_platform::{Cfg, Platform};
use serde::Deserialize;

use crate::cargo::toolchain::{self, Toolchain};
use crate::support::files;
use crate::support::session::Session;

/// Contains the tree's own rustflags.
const FLAGS_FILE: &str = ".cargo/config.toml";

/// The table with the flags: it does not apply to macOS, and cargo merges it with others.
const FLAGS_KEY: &str = "cfg(target_os = \"linux\")";

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

/// Cargo accepts both.
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

/// The tree's flags for the target, musl's, and the user's RUSTFLAGS, which would replace the tree's. Cargo's queries use
/// them too: a cfg decides which crates are linked.
pub fn rustflags(session: &Session, toolchain: &Toolchain) -> Result<Vec<String>> {
    let mut flags = tree_flags(session, &toolchain.target)?;
    if toolchain.is_musl() {
        // By default musl targets link libc statically, and then nothing can be loaded.
        flags.extend(["-C", "target-feature=-crt-static"].map(str::to_owned));
    }
    flags.extend(users_flags());
    Ok(flags)
}

/// The tree's own flags: from all tables for this target, joined as cargo does.
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#buildrustflags>.
fn tree_flags(session: &Session, target: &str) -> Result<Vec<String>> {
    let Session { paths, .. } = session;
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
            known = Some(cfgs(session, target)?);
        }
        if platform.matches(target, known.as_deref().unwrap_or_default()) {
            flags.extend(table.rustflags.words());
        }
    }
    Ok(flags)
}

/// What rustc has set for a target.
fn cfgs(session: &Session, target: &str) -> Result<Vec<Cfg>> {
    let Session { ui, paths, .. } = session;
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
