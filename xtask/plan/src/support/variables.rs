//! The list of environment variables that count, and of cargo settings that must not come from outside of the tree.
//! docs/environment.md shows it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

/// How a variable is handled.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// The programs that xtask starts see it.
    Kept,
    /// xtask itself reads it; they do not see it.
    Read,
    /// Removed: the value of this machine, and the one of a builder image.
    Cleared,
}

use Rule::{Cleared, Kept, Read};

use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;

/// By name; a `*` at the end matches any rest. The first match counts; a variable without a match is kept.
const VARIABLES: [(&str, Rule, &str); 32] = [
    ("CARGO_HOME", Kept, "crates, and the user's registries and credentials"),
    ("CARGO_HTTP_*", Kept, "access to registries"),
    ("CARGO_NET_*", Kept, "access to registries"),
    ("CARGO_REGISTRIES_*", Kept, "addresses of registries, and their tokens"),
    ("CARGO_REGISTRY_*", Kept, "the default registry, and its token"),
    ("CARGO_BUILD_JOBS", Read, "number of compilers that run at once"),
    ("CARGO_TARGET_DIR", Read, "the target directory"),
    ("CARGO_ENCODED_RUSTFLAGS", Read, "flags for rustc, added to the tree's own"),
    ("RUSTFLAGS", Read, "the same, separated by spaces"),
    ("SOURCE_DATE_EPOCH", Read, "the image's date, in seconds since 1970; empty counts as unset"),
    ("COSIGN_*", Kept, "cosign's settings, for `--sign`: key, password, services"),
    ("CI", Read, "`true`: a missing container engine is an error, and every image is compiled from scratch"),
    ("GITHUB_OUTPUT", Read, "the file that `cargo xtask matrix --format github` writes to"),
    ("CARGO", Cleared, "set by the cargo that started xtask"),
    ("CARGO_*", Cleared, "set by the cargo that started xtask; settings that change the build: target, profile, flags"),
    ("RUSTC", Cleared, "a compiler other than the pinned one"),
    ("RUSTC_BOOTSTRAP", Cleared, "it enables features of a nightly"),
    ("RUSTC_WORKSPACE_WRAPPER", Cleared, "a compiler other than the pinned one"),
    ("RUSTDOC*", Cleared, "no documentation is built"),
    ("RUSTUP_TOOLCHAIN", Cleared, "the tree pins the toolchain"),
    ("LD_*", Cleared, "the host would load the debug SDK, or another library"),
    ("LC_*", Cleared, "xtask reads messages in English and UTF-8"),
    ("LANG", Cleared, "as LC_*"),
    ("LANGUAGE", Cleared, "as LC_*"),
    ("DOCKER_DEFAULT_PLATFORM", Cleared, "images are for the engine's own platform"),
    ("GIT_DIR", Cleared, "another repository: git sets it in hooks"),
    ("GIT_WORK_TREE", Cleared, "as GIT_DIR"),
    ("GIT_INDEX_FILE", Cleared, "as GIT_DIR"),
    ("GIT_OBJECT_DIRECTORY", Cleared, "as GIT_DIR"),
    ("GIT_ALTERNATE_OBJECT_DIRECTORIES", Cleared, "as GIT_DIR"),
    ("GIT_NAMESPACE", Cleared, "as GIT_DIR"),
    ("GIT_CONFIG_PARAMETERS", Cleared, "options of a `git -c` that started xtask"),
];

/// Variables that are set for every program, unless it gets others.
pub const SET: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("LANGUAGE", "")];

/// Cargo's settings that change what is compiled, and must not come from outside of the tree.
const SETTINGS: [(&str, &str); 8] = [
    ("build.target", "built files would be in another directory"),
    ("build.rustc", "a compiler other than the pinned one"),
    ("build.rustc-workspace-wrapper", "a compiler other than the pinned one"),
    ("build.incremental", "the tree defines the profile"),
    ("profile.release", "the tree defines the profile"),
    ("env", "build scripts would see it"),
    ("patch", "crates would differ from Cargo.lock"),
    ("paths", "crates would differ from Cargo.lock"),
];

/// Whether the programs that xtask starts must not see the variable.
pub fn is_hidden(name: &str) -> bool {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    VARIABLES.iter().find(|(pattern, ..)| fits(pattern)).is_some_and(|(_, rule, _)| *rule != Kept)
}

/// The variables of this process that the programs it starts must not see.
pub fn hidden() -> Vec<String> {
    std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).filter(|name| is_hidden(name)).collect()
}

/// What changes from one shell to the next, and no build reads.
const OF_A_SHELL: [&str; 4] = ["_", "OLDPWD", "PWD", "SHLVL"];

/// The variables of this process that the programs it starts see, sorted.
pub fn seen() -> BTreeMap<OsString, OsString> {
    let is_seen = |name: &OsString| name.to_str().is_none_or(|name| !is_hidden(name) && !OF_A_SHELL.contains(&name));
    std::env::vars_os().filter(|(name, _)| is_seen(name)).collect()
}

/// The image's date, if the environment names one, in seconds since 1970.
///
/// # Errors
///
/// If it is no such number, or in a year after 9999, which RFC 3339 cannot express.
pub fn source_date_epoch() -> Result<Option<u64>> {
    /// The end of the year 9999.
    const LAST_SECOND: u64 = 253_402_300_799;
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|value| !value.is_empty()) else { return Ok(None) };
    let text = value.to_string_lossy();
    let seconds = text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is `{text}`, not seconds since 1970"))?;
    if seconds > LAST_SECOND {
        bail!("SOURCE_DATE_EPOCH is {seconds}, expected seconds since 1970 before the year 10000");
    }
    Ok(Some(seconds))
}

/// Beginning and end of the variables that name a registry's address.
const REGISTRIES: &str = "CARGO_REGISTRIES_";
const INDEX: &str = "_INDEX";

/// Addresses of the user's registries, without credentials: cargo in a container needs them, although it fetches nothing.
#[derive(Debug, Default)]
pub struct Registries {
    /// By the variables' names.
    pub variables: BTreeMap<String, String>,
    /// Tables of a configuration.
    pub config: String,
}

impl Registries {
    pub fn read(paths: &Paths, cargo_home: &Utf8Path) -> Result<Registries> {
        let is_index = |name: &str| name.starts_with(REGISTRIES) && name.ends_with(INDEX);
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let variables: BTreeMap<String, String> = variables.filter(|(name, _)| is_index(name)).collect();
        let mut tables = indexes(&configurations(paths, cargo_home)?);
        // The tree's own configuration is copied with it and overrides these; so does a variable. Command line options,
        // which this becomes, override both.
        let own = indexes(&tree(paths)?);
        let variable = |name: &str| format!("{REGISTRIES}{}{INDEX}", name.replace('-', "_").to_uppercase());
        tables.retain(|name, _| !own.contains_key(name) && !variables.contains_key(&variable(name)));
        let quoted = |text: String| toml::Value::String(text).to_string();
        let table =
            |(name, index): (String, String)| format!("[registries.{}]\nindex = {}\n", quoted(name), quoted(index));
        Ok(Registries { variables, config: tables.into_iter().map(table).collect() })
    }
}

/// Rejects cargo configuration outside of the tree that changes what is compiled.
pub fn check_settings(paths: &Paths, cargo_home: &Utf8Path) -> Result<()> {
    let mut errors = Errors::default();
    for (file, config) in configurations(paths, cargo_home)? {
        check_config(&config, file.as_str(), &mut errors);
    }
    errors.report("cargo's configuration")
}

/// Where registries are, by their names.
fn indexes(configurations: &[Configuration]) -> BTreeMap<String, String> {
    let registries =
        configurations.iter().filter_map(|(_, config)| config.get("registries").and_then(toml::Value::as_table));
    let index =
        |(name, registry): (&String, &toml::Value)| Some((name.clone(), registry.get("index")?.as_str()?.to_owned()));
    registries.flatten().filter_map(index).collect()
}

/// A file, and what is in it.
pub type Configuration = (Utf8PathBuf, toml::Table);

/// The tree's own configuration, and what it includes.
pub fn tree(paths: &Paths) -> Result<Vec<Configuration>> {
    let mut found = Vec::new();
    include(paths.root.join(".cargo/config.toml"), &mut Vec::new(), &mut found)?;
    Ok(found)
}

/// Cargo's configurations outside of the tree; a later one overrides an earlier one.
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#hierarchical-structure>.
pub fn configurations(paths: &Paths, cargo_home: &Utf8Path) -> Result<Vec<Configuration>> {
    // Cargo runs in the copy of the sources, which may be outside of the tree.
    let sources = paths.sources();
    let above = paths.root.ancestors().chain(sources.ancestors());
    let above = above.filter(|dir| *dir != paths.root && *dir != sources).map(|dir| dir.join(".cargo"));
    let mut dirs: Vec<Utf8PathBuf> = above.filter(|dir| dir != cargo_home).collect();
    dirs.sort();
    dirs.dedup();
    dirs.insert(0, cargo_home.to_owned());
    let (mut seen, mut found) = (Vec::new(), Vec::new());
    for file in dirs.iter().flat_map(|dir| ["config.toml", "config"].map(|name| dir.join(name))) {
        include(file, &mut seen, &mut found)?;
    }
    Ok(found)
}

/// Adds the files that a file includes, and then the file, which overrides them. Cargo reports a missing one.
/// Source: <https://doc.rust-lang.org/cargo/reference/config.html#including-extra-configuration-files>.
fn include(file: Utf8PathBuf, seen: &mut Vec<Utf8PathBuf>, found: &mut Vec<Configuration>) -> Result<()> {
    if seen.contains(&file) || !file.is_file() {
        return Ok(());
    }
    seen.push(file.clone());
    let config: toml::Table = toml::from_str(&files::read_text(&file)?).with_context(|| format!("reading {file}"))?;
    let included = match config.get("include") {
        Some(toml::Value::Array(included)) => included.iter().collect(),
        included => Vec::from_iter(included),
    };
    for path in included.into_iter().filter_map(|path| path.get("path").unwrap_or(path).as_str()) {
        include(file.parent().unwrap_or(&file).join(path), seen, found)?;
    }
    found.push((file, config));
    Ok(())
}

/// The same of one configuration, which lies at `place`.
pub fn check_config(config: &toml::Table, place: &str, errors: &mut Errors) {
    for (key, why) in SETTINGS {
        let (table, inner) = key.split_once('.').map_or((key, None), |(table, inner)| (table, Some(inner)));
        let value = config.get(table);
        if inner.map_or(value, |inner| value.and_then(|value| value.get(inner))).is_some() {
            errors.push(format!(
                "{place} sets `{key}`, which would change what is compiled ({why}); move it into the tree, or remove it there"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SETTINGS, VARIABLES, is_hidden};

    #[test]
    fn only_what_is_the_users_is_seen() {
        let kept =
            ["CARGO_HOME", "CARGO_HTTP_PROXY", "CARGO_REGISTRIES_MINE_TOKEN", "PATH", "RUSTUP_HOME", "CC", "GIT_SSH"];
        let gone =
            ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTFLAGS", "LC_TIME"];
        assert!(!kept.into_iter().any(is_hidden) && gone.into_iter().all(is_hidden));
    }

    #[test]
    fn the_documentation_has_this_list() {
        let mut expected = "| variable | is | why |\n| --- | --- | --- |\n".to_owned();
        for (name, rule, why) in VARIABLES {
            expected += &format!("| `{name}` | {} | {why} |\n", format!("{rule:?}").to_lowercase());
        }
        expected += "\n";
        let mut settings = "| setting | why not |\n| --- | --- |\n".to_owned();
        for (key, why) in SETTINGS {
            settings += &format!("| `{key}` | {why} |\n");
        }
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/environment.md"))
            .expect("the page");
        for table in [expected, settings] {
            assert!(text.contains(&table), "docs/environment.md needs this table:\n\n{table}");
        }
    }
}
