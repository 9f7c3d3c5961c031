//! The pinned toolchain, and whether it is installed.

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::support::command::Invocation;
use crate::support::files;
use crate::support::ui::Ui;

/// The file that pins it.
pub const FILE: &str = "rust-toolchain.toml";

#[derive(Clone, Debug, Default, Serialize)]
pub struct Toolchain {
    /// The expected release: `1.95.0`.
    pub channel: String,
    /// The whole answer of `rustc -vV`.
    pub verbose_version: String,
    /// The platform of the compiler itself.
    pub host: String,
    /// The target of the build.
    pub target: String,
    /// The program that links for the target.
    #[serde(skip)]
    pub linker: String,
    /// The program that starts files for the target where the compiler runs, if that is another architecture.
    #[serde(skip)]
    pub emulator: Option<String>,
    /// Where std for the target is, if it was asked already.
    #[serde(skip)]
    pub std_dir: Option<Utf8PathBuf>,
}

#[derive(Deserialize)]
struct File {
    toolchain: Pin,
}

#[derive(Deserialize)]
struct Pin {
    channel: String,
}

/// What `rust-toolchain.toml` pins.
pub fn pinned(root: &Utf8Path) -> Result<String> {
    let path = root.join(FILE);
    let file: File = toml::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
    Ok(file.toolchain.channel)
}

impl Toolchain {
    /// Asks this machine's compiler. It must have the pinned release, or the one that is named instead.
    pub fn find(ui: &Ui, root: &Utf8Path, named: Option<&str>) -> Result<Toolchain> {
        let channel = named.map_or_else(|| pinned(root), |channel| Ok(channel.to_owned()))?;
        let rustc = invocation(&channel, "rustc", ["-vV"]);
        let Ok(output) = rustc.output(ui) else {
            bail!("no `rustc` is on PATH; install Rust {channel} (see https://rustup.rs)");
        };
        let verbose_version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let line = |key: &str| verbose_version.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        match (output.status.success(), line("release:"), line("host:")) {
            (true, Some(release), Some(target)) if release == channel => {
                let (host, target) = (target.to_owned(), target.to_owned());
                // Now, since the container engine is asked meanwhile.
                let std_dir = invocation(&channel, "rustc", ["--print", "target-libdir"]).read(ui)?;
                Ok(Toolchain {
                    channel,
                    verbose_version,
                    host,
                    target,
                    linker: "cc".to_owned(),
                    emulator: None,
                    std_dir: Some(std_dir.trim().into()),
                })
            }
            (true, Some(release), _) => bail!(
                "expected Rust {channel} ({FILE}), found {release}; install Rust {channel}, or rustup, which selects it"
            ),
            _ => bail!(
                "the toolchain {channel} that {FILE} pins is not installed; run `rustup toolchain install {channel} \
                 --profile minimal`{}",
                crate::support::command::tail(&output)
            ),
        }
    }

    /// `program` of this toolchain.
    pub fn run<S: Into<String>>(&self, program: &str, args: impl IntoIterator<Item = S>) -> Invocation {
        invocation(&self.channel, program, args)
    }

    pub fn architecture(&self) -> Result<&'static str> {
        architecture(&self.target)
    }

    /// Whether the target is another architecture than the compiler's.
    pub fn is_cross(&self) -> bool {
        processor(&self.host) != processor(&self.target)
    }

    pub fn is_musl(&self) -> bool {
        self.target.ends_with("-musl")
    }
}

/// `x86_64` of `x86_64-unknown-linux-gnu`.
pub fn processor(target: &str) -> &str {
    target.split('-').next().unwrap_or_default()
}

/// The processor of an architecture: the other way round.
pub fn processor_of(architecture: &str) -> Option<&'static str> {
    match architecture {
        "amd64" => Some("x86_64"),
        "arm64" => Some("aarch64"),
        _ => None,
    }
}

/// As OCI names the platform: `amd64`.
pub fn architecture(target: &str) -> Result<&'static str> {
    let mut parts = target.split('-');
    match (parts.next(), parts.any(|part| part == "linux")) {
        (Some("x86_64"), true) => Ok("amd64"),
        (Some("aarch64"), true) => Ok("arm64"),
        _ => bail!("{target} is not a supported target; supported are x86_64 and aarch64 Linux"),
    }
}

/// This machine's cargo of the pinned release. It reads manifests and fetches crates, also for builds in a container. It is
/// chosen by a variable: with the file, rustup would download the components that the file lists.
pub fn cargo<S: Into<String>>(root: &Utf8Path, args: impl IntoIterator<Item = S>) -> Result<Invocation> {
    Ok(invocation(&pinned(root)?, "cargo", args))
}

/// This machine's rustc of the pinned release, for the same.
pub fn rustc<S: Into<String>>(root: &Utf8Path, args: impl IntoIterator<Item = S>) -> Result<Invocation> {
    Ok(invocation(&pinned(root)?, "rustc", args))
}

/// rustup's proxies read this variable; without rustup it has no effect.
fn invocation<S: Into<String>>(channel: &str, program: &str, args: impl IntoIterator<Item = S>) -> Invocation {
    Invocation::new(program, args).env("RUSTUP_TOOLCHAIN", channel)
}

/// Where cargo keeps crates and the user's configuration.
///
/// # Errors
///
/// If no variable names it.
pub fn cargo_home() -> Result<Utf8PathBuf> {
    // Cargo also ignores an empty variable.
    if let Some(home) = std::env::var("CARGO_HOME").ok().filter(|home| !home.is_empty()) {
        return Ok(home.into());
    }
    let home = std::env::var("HOME").context("finding cargo's home: neither CARGO_HOME nor HOME is set")?;
    Ok(Utf8PathBuf::from(home).join(".cargo"))
}
