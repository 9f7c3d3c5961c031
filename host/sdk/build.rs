//! Writes down how the SDK is built, for the ABI record, and refuses flags with which plugins could not be linked.

#[path = "build/flags.rs"]
mod flags;

use sha2::{Digest, Sha256};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

/// What the hash covers; what else lies in the directory cannot change the SDK.
const SOURCES: [&str; 6] = ["Cargo.toml", "build", "build.rs", "macros/Cargo.toml", "macros/src", "src"];

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // `cargo::error` is shown without the noise of a failed build script's output.
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let encoded = variable("CARGO_ENCODED_RUSTFLAGS")?;
    if variable("CARGO_CFG_TARGET_OS")? == "linux" && !flags::prefers_dynamic(&encoded) {
        return Err("`-C prefer-dynamic` is missing, and without it host and plugins do not share one std: \
            RUSTFLAGS in the environment replaces .cargo/config.toml; use `cargo xtask`, or add `-C prefer-dynamic`"
            .into());
    }
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let (target, rustc) = (variable("TARGET")?, rustc_version()?);
    let (level, panic) = (variable("OPT_LEVEL")?, variable("CARGO_CFG_PANIC")?);
    let profile = |assertions| format!("opt-level {level}, debug-assertions {assertions}, panic {panic}");
    let flags = flags::recorded(&encoded, &env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default())?;
    // A build script is not told of debug-assertions; the crate itself is.
    let text = format!(
        "/// The hash over the SDK's own sources.\n\
        pub const SOURCE: &str = {:?};\n\
        /// What `rustc -vV` printed.\n\
        pub const RUSTC: &str = {rustc:?};\n\
        /// The target triple.\n\
        pub const TARGET: &str = {target:?};\n\
        /// What of the profile changes layout or behaviour.\n\
        pub const PROFILE: &str = if cfg!(debug_assertions) {{ {:?} }} else {{ {:?} }};\n\
        /// The flags of rustc that change layout, calling convention or code, a line each.\n\
        pub const FLAGS: &str = {flags:?};\n",
        source_hash(&root)?,
        profile("on"),
        profile("off"),
    );
    let output = PathBuf::from(variable("OUT_DIR")?).join("built.rs");
    fs::write(&output, text).map_err(|error| format!("writing {}: {error}", output.display()).into())
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|error| format!("cargo sets {name} for build scripts, but here: {error}"))
}

fn rustc_version() -> Result<String, String> {
    let rustc = variable("RUSTC")?;
    let output =
        Command::new(&rustc).arg("-vV").output().map_err(|error| format!("starting `{rustc} -vV`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{rustc} -vV` failed: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    String::from_utf8(output.stdout).map_err(|error| format!("reading what `{rustc} -vV` printed: {error}"))
}

/// A hash over names and contents of the sources, the same in every directory.
fn source_hash(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut files = Vec::new();
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        collect(root, source.to_owned(), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let path = root.join(&file);
        let contents = fs::read(&path).map_err(|error| format!("reading {}: {error}", path.display()))?;
        // Lengths in front, so that no content can pass for a name.
        for part in [file.as_bytes(), &contents] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Adds `name`, or all files below it, with `/` between the parts; hidden files belong to editors.
fn collect(root: &Path, name: String, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    let path = root.join(&name);
    if !path.is_dir() {
        files.push(name);
        return Ok(());
    }
    for entry in fs::read_dir(&path).map_err(|error| format!("listing {}: {error}", path.display()))? {
        let child = entry?.file_name();
        let child = child.to_str().ok_or_else(|| format!("{}: a file name is not UTF-8", path.display()))?;
        if !child.starts_with('.') {
            collect(root, format!("{name}/{child}"), files)?;
        }
    }
    Ok(())
}
