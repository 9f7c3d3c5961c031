//! The pinned toolchain, and whether it is here.

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::process::Invocation;
use crate::ui::Ui;

/// The file that pins it.
pub const FILE: &str = "rust-toolchain.toml";

#[derive(Clone, Debug, Serialize)]
pub struct Toolchain {
    /// What `rust-toolchain.toml` says: `1.95.0`.
    pub channel: String,
    /// The whole answer of `rustc -vV`.
    pub verbose_version: String,
    /// The target that is built for: the compiler's own.
    pub target: String,
}

#[derive(Deserialize)]
struct File {
    toolchain: Pin,
}

#[derive(Deserialize)]
struct Pin {
    channel: String,
}

impl Toolchain {
    /// Asks this machine's compiler, which must be the one that the tree pins.
    pub fn find(ui: &Ui, root: &Utf8Path) -> Result<Toolchain> {
        let path = root.join(FILE);
        let file: File = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
        let channel = file.toolchain.channel;
        let rustc = invocation(&channel, "rustc", ["-vV"]);
        let Ok(output) = rustc.output(ui) else {
            bail!("no `rustc` is on PATH; install Rust {channel} (see https://rustup.rs)");
        };
        let verbose_version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let line = |key: &str| verbose_version.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        match (output.status.success(), line("release:"), line("host:")) {
            (true, Some(release), Some(target)) if release == channel => {
                Ok(Toolchain { target: target.to_owned(), channel, verbose_version })
            }
            (true, Some(release), _) => bail!(
                "{FILE} pins Rust {channel}, the `rustc` on PATH is {release}; install Rust {channel}, or rustup, which \
                 chooses it by itself"
            ),
            _ => bail!(
                "the toolchain that {FILE} pins, {channel}, is not installed; run `rustup toolchain install {channel} \
                 --profile minimal`{}",
                crate::process::tail(&output)
            ),
        }
    }

    /// `program` of this toolchain.
    pub fn run<S: Into<String>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Invocation {
        invocation(&self.channel, program, args)
    }

    /// As OCI names the platform: `amd64`.
    pub fn architecture(&self) -> Result<&'static str> {
        let mut parts = self.target.split('-');
        match (parts.next(), parts.any(|part| part == "linux")) {
            (Some("x86_64"), true) => Ok("amd64"),
            (Some("aarch64"), true) => Ok("arm64"),
            _ => bail!("{} is no target that images are made for; these are: x86_64 and aarch64 Linux", self.target),
        }
    }
}

/// rustup's proxies choose by this variable; without rustup it changes nothing.
fn invocation<S: Into<String>>(channel: &str, program: &str, args: impl IntoIterator<Item = S>) -> Invocation {
    Invocation::new(program, args).env("RUSTUP_TOOLCHAIN", channel)
}
