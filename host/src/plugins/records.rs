//! Decides whether a file may be loaded, by its record and its imports. Reads files and loads none.

use crate::ground::ffi::{self, Process};
use crate::plugins::refusals::{Refusal, TOGETHER};
use clap::ValueEnum;
use provost_record::seal::digest;
use provost_record::{
    Comparison, Difference, ReadError, Record, Report, Seal, compare, exports, inspect, missing, read, seal,
    table_of_files,
};
use provost_sdk::abi;
use provost_sdk::plugin::SYMBOL;
use std::fs;
use std::path::Path;

/// How a report is written.
#[derive(Clone, Copy, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

/// The extension of a plugin's file.
pub const EXTENSION: &str = "prov";

/// The largest file that is read, in bytes. A wrong name may be that of a disk image.
const LARGEST: u64 = 1 << 30;

/// What this host demands of every plugin.
pub struct Demand {
    record: Record,
    process: Process,
    /// Whether this host was sealed when it was built: then it loads nothing else.
    sealed: bool,
}

/// This program's own file.
const OWN: &str = "/proc/self/exe";

/// What fixes a file that was changed.
const RESTORE: &str = "restore the file as it was built, or build everything again: `cargo xtask image`";

impl Demand {
    /// # Errors
    ///
    /// When the SDK that is loaded is not the one that this host was built with.
    pub fn of_this_host() -> Result<Self, String> {
        let process = Process::this()?;
        let record = record_of(&abi::BUILT, ffi::anchor()?);
        let loaded = record_of(abi::provost_link_anchor(), record.anchor.clone());
        let differences = compare(&loaded, &record);
        if !differences.is_empty() {
            let table = table_of_files(&[("the SDK beside this host".to_owned(), differences)]);
            return Err(format!("the SDK is refused, and no plugin is loaded\n{table}fix: {TOGETHER}"));
        }
        let sealed = check_own_files()?;
        Ok(Self { record, process, sealed })
    }

    /// The record of a file that may be loaded.
    ///
    /// # Errors
    ///
    /// Why it may not, and the fix.
    pub fn check(&self, path: &Path) -> Result<Record, Refusal> {
        let bytes = bytes(path).map_err(not_a_plugin)?;
        if bytes.is_empty() {
            return Err(not_a_plugin("an empty file".to_owned()));
        }
        let unreadable = |error: ReadError| Refusal::built_apart(vec![error.difference(&self.record)]);
        let have = read(&bytes).map_err(unreadable)?;
        let differences = compare(&have, &self.record);
        let other_seal = self.seal(seal(&bytes).map_err(unreadable)?);
        match (differences.is_empty(), other_seal) {
            (true, None) => {}
            (true, Some(Difference { have, .. })) if have == BROKEN => {
                return Err(Refusal::new("seal", have, SEALED, RESTORE.to_owned()));
            }
            (_, other_seal) => return Err(Refusal::built_apart(differences.into_iter().chain(other_seal).collect())),
        }
        if have.plugin == self.record.plugin {
            return Err(not_a_plugin("the host itself".to_owned()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let own = format!("{}.{EXTENSION}", have.plugin);
        if name != own {
            // Cargo's packages have no other names, and a record may say anything.
            let is_of_a_package = |letter: char| letter.is_alphanumeric() || "-_".contains(letter);
            let is_a_package = !have.plugin.is_empty() && have.plugin.chars().all(is_of_a_package);
            let rename = || format!("rename {} to {own}", path.display());
            let fix = if is_a_package { rename() } else { TOGETHER.to_owned() };
            return Err(Refusal::new("name", name.into_owned(), own, fix));
        }
        if !exports(&bytes, SYMBOL).map_err(unreadable)? {
            let fix = "export its provider by `provost_sdk::export!`".to_owned();
            return Err(Refusal::new("export", "none".to_owned(), SYMBOL, fix));
        }
        match missing(&bytes, &self.process).map_err(unreadable)? {
            None => Ok(have),
            Some(missing) => Err(Refusal::built_apart(vec![missing.difference()])),
        }
    }
}

impl Demand {
    /// What is wrong with a seal. A host that nobody has sealed loads what nobody has sealed, too.
    fn seal(&self, have: Seal) -> Option<Difference> {
        let have = match have {
            Seal::Sealed => return None,
            Seal::Broken => BROKEN,
            Seal::Unsealed if self.sealed => "unsealed: built by cargo alone",
            Seal::Unsealed => return None,
        };
        Some(Difference { field: "seal", have: have.to_owned(), want: SEALED.to_owned() })
    }
}

/// What is said of a seal.
const BROKEN: &str = "broken: changed after it was built";
const SEALED: &str = "sealed";

/// Whether this host is sealed; then so are the SDK and std, as the files that they were loaded from have them.
///
/// # Errors
///
/// When one of the files was changed. What the dynamic linker itself makes of a changed one comes before this.
fn check_own_files() -> Result<bool, String> {
    let read = |path: &Path| bytes(path).map_err(|what| format!("reading {}, for its seal: {what}", path.display()));
    let host = read(Path::new(OWN))?;
    let failed = |error: ReadError| format!("{OWN}: {error}");
    let mut broken = Vec::new();
    match seal(&host).map_err(failed)? {
        Seal::Unsealed => return Ok(false),
        Seal::Sealed => {}
        Seal::Broken => broken.push(("this host", BROKEN)),
    }
    let [sdk, std] = ffi::libraries()?;
    match seal(&read(&sdk)?) {
        Ok(Seal::Sealed) => {}
        Ok(Seal::Unsealed) => broken.push(("the SDK beside this host", "unsealed: built by cargo alone")),
        Ok(Seal::Broken) | Err(_) => broken.push(("the SDK beside this host", BROKEN)),
    }
    let wanted = provost_record::seal::std_digest(&host).map_err(failed)?;
    if wanted.is_some_and(|wanted| read(&std).map(|bytes| digest(&bytes)) != Ok(wanted)) {
        broken.push(("std beside this host", BROKEN));
    }
    if broken.is_empty() {
        return Ok(true);
    }
    let row = |(file, have): (&str, &str)| {
        (file.to_owned(), vec![Difference { field: "seal", have: have.to_owned(), want: SEALED.to_owned() }])
    };
    let table = table_of_files(&broken.into_iter().map(row).collect::<Vec<_>>());
    Err(format!("the host's own files are not what was built, and no plugin is loaded\n{table}fix: {RESTORE}"))
}

/// What a file says of itself, and in what it does not fit this host, which is no error here.
///
/// # Errors
///
/// When the file has no readable record, or there is nothing to compare it with, since the SDK beside this host is another.
pub fn show(path: &Path, format: Format) -> Result<String, String> {
    let failed = |error| format!("{}: {error}", path.display());
    let bytes = bytes(path).map_err(|what| format!("reading {}: {what}", path.display()))?;
    let inspection = inspect(&bytes).map_err(failed)?;
    let demand = Demand::of_this_host()?;
    let comparison = Comparison {
        with: "this host".to_owned(),
        differences: compare(&inspection.record, &demand.record),
        missing: missing(&bytes, &demand.process).map_err(failed)?,
    };
    let report = Report { file: path.display().to_string(), inspection, comparison: Some(comparison) };
    match format {
        Format::Human => Ok(report.to_string()),
        Format::Json => Ok(serde_json::to_string_pretty(&report).map_err(|error| error.to_string())? + "\n"),
    }
}

/// What a plugin says that was built with this SDK, under the host's name.
fn record_of(sdk: &abi::Built, anchor: String) -> Record {
    Record {
        format: abi::FORMAT,
        plugin: env!("CARGO_PKG_NAME").to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sdk: sdk.version.to_owned(),
        source: sdk.source.to_owned(),
        rustc: sdk.rustc.to_owned(),
        target: sdk.target.to_owned(),
        profile: sdk.profile.to_owned(),
        flags: sdk.flags.to_owned(),
        anchor,
    }
}

/// What is in the file, or what is there instead.
fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    // A pipe or a device would be read for ever.
    if !metadata.is_file() {
        return Err(if metadata.is_dir() { "a directory" } else { "neither file nor directory" }.to_owned());
    }
    if metadata.len() > LARGEST {
        return Err(format!("more than {LARGEST} bytes"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// What is there cannot be read as a file, or is none that could be a plugin.
fn not_a_plugin(have: String) -> Refusal {
    let fix = format!("use readable .{EXTENSION} files, as `cargo xtask image` builds them");
    Refusal::new("file", have, "a plugin", fix)
}
