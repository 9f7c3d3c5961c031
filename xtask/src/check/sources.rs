//! What can be seen in a plugin's files before anything is compiled.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};
use walkdir::WalkDir;

use crate::source::copy::is_source;
use crate::source::name::library;
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::normal;

/// Words by which a build script downloads something.
const DOWNLOADS: [&str; 8] =
    ["\"curl\"", "\"wget\"", "\"git\"", "TcpStream", "reqwest::", "ureq::", "attohttpc::", "minreq::"];
/// Crates that are there for downloading.
const CLIENTS: [&str; 6] = ["attohttpc", "curl", "git2", "minreq", "reqwest", "ureq"];
const INCLUDES: [&str; 3] = ["include!(", "include_bytes!(", "include_str!("];
const ENDS: [&str; 3] = ["process::exit(", "process::abort(", "libc::_exit("];

/// Checks the plugin in `dir`, relative to `root`.
pub fn check(root: &Utf8Path, dir: &Utf8Path, sdk: &str, errors: &mut Errors) -> Result<()> {
    check_manifest(root, dir, errors);
    let export = format!("{}::export!", library(sdk));
    let mut exports = 0;
    for path in rust_files(&root.join(dir))? {
        let text = files::read_text(&path)?;
        let shown = path.strip_prefix(root).unwrap_or(&path);
        let is_script = path == root.join(dir).join("build.rs");
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            let place = format!("{shown}:{}", number + 1);
            exports += line.matches(&export).count();
            if line.contains("#[global_allocator]") {
                errors.push_as(
                    "allocator",
                    dir,
                    format!("{place}: `#[global_allocator]`: host and plugins share one; remove it"),
                );
            }
            if let Some(end) = ENDS.iter().find(|end| !is_script && line.contains(**end)) {
                errors.push_as("exit", dir, format!("{place}: `{end}...)` ends the host; return an error instead"));
            }
            if let Some(words) = DOWNLOADS.iter().find(|words| is_script && line.contains(**words)) {
                let error =
                    format!("{place}: {words} in a build script: the build has no network; ship what it downloads");
                errors.push_as("build-network", dir, error);
            }
            for included in included(line) {
                let file = normal(&path.with_file_name("").join(&included));
                if !file.starts_with(root.join(dir)) {
                    let error = format!("{place}: `{included}` is outside of {dir}: move the file into it");
                    errors.push_as("include", dir, error);
                }
            }
        }
    }
    if exports != 1 {
        let found = if exports == 0 { "there is no".to_owned() } else { format!("there are {exports}") };
        let error = format!("{dir}: {found} `{export}`: a plugin has one, for the type that implements its provider");
        errors.push_as("export", dir, error);
    }
    Ok(())
}

/// What cargo ignores in a member of a workspace, and build dependencies that download.
fn check_manifest(root: &Utf8Path, dir: &Utf8Path, errors: &mut Errors) {
    let path = root.join(dir).join("Cargo.toml");
    let Some(manifest) = files::read_text(&path).ok().and_then(|text| text.parse::<Table>().ok()) else { return };
    for (table, code) in [("profile", "profile"), ("patch", "patch"), ("replace", "patch")] {
        if manifest.contains_key(table) {
            let error = format!(
                "{dir}/Cargo.toml: cargo ignores `[{table}]` here: move it to the Cargo.toml of the tree, or remove it"
            );
            errors.push_as(code, dir, error);
        }
    }
    let tables = ["build-dependencies", "build_dependencies"];
    let needed = tables.into_iter().filter_map(|table| manifest.get(table)?.as_table()).flat_map(Table::iter);
    for (name, value) in needed {
        let package = value.get("package").and_then(Value::as_str).unwrap_or(name);
        if CLIENTS.contains(&package) {
            let error =
                format!("{dir}/Cargo.toml: the build dependency `{package}` downloads: the build has no network");
            errors.push_as("build-network", dir, error);
        }
    }
}

fn rust_files(plugin: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let mut paths = Vec::new();
    for entry in WalkDir::new(plugin).sort_by_file_name().into_iter().filter_entry(is_source) {
        let entry = entry.with_context(|| format!("reading the directory {plugin}"))?;
        let path = Utf8Path::from_path(entry.path()).filter(|path| path.extension() == Some("rs"));
        paths.extend(path.filter(|_| entry.file_type().is_file()).map(Utf8Path::to_owned));
    }
    Ok(paths)
}

/// The files that a line includes by a literal path.
fn included(line: &str) -> impl Iterator<Item = String> {
    let literal = |rest: &str| Some(rest.trim_start().strip_prefix('"')?.split_once('"')?.0.to_owned());
    INCLUDES.iter().flat_map(move |call| line.split(call).skip(1).filter_map(literal).collect::<Vec<_>>())
}
