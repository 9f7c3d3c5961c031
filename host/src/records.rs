//! Whether a file may be loaded: what its record must say, and what must be there for its imports. Reads files, loads none.

use crate::args::Format;
use crate::loader::{self, Process};
use provost_record::{Comparison, Record, Report, compare, inspect, missing, read, table};
use provost_sdk::abi;
use std::fs;
use std::path::Path;

/// The extension of a plugin's file.
pub const EXTENSION: &str = "prov";

/// What mends every difference.
pub const REMEDY: &str = "host and plugins must be built together: `cargo xtask image`";

/// What this host demands of every plugin.
pub struct Demand {
    record: Record,
    process: Process,
}

impl Demand {
    /// # Errors
    ///
    /// When the SDK that is loaded is not the one that this host was built with.
    pub fn of_this_host() -> Result<Self, String> {
        let process = Process::this()?;
        let record = record_of(&abi::BUILT, loader::anchor()?);
        let loaded = record_of(abi::provost_link_anchor(), record.anchor.clone());
        let differences = compare(&loaded, &record);
        if !differences.is_empty() {
            let table = table(&differences);
            return Err(format!(
                "the SDK that is loaded is not the one that this host was built with; {REMEDY}\n{table}"
            ));
        }
        Ok(Self { record, process })
    }

    /// The record of a file that may be loaded.
    ///
    /// # Errors
    ///
    /// Why it may not, with the path and the remedy.
    pub fn judge(&self, path: &Path) -> Result<Record, String> {
        let shown = path.display();
        let bytes = bytes(path)?;
        let have = read(&bytes).map_err(|error| format!("{shown}: {error}"))?;
        let differences = compare(&have, &self.record);
        if !differences.is_empty() {
            return Err(format!("{shown}: it was not built with this host; {REMEDY}\n{}", table(&differences)));
        }
        if have.plugin == self.record.plugin {
            return Err(format!("{shown}: it is the host itself: name a .{EXTENSION} file"));
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name != format!("{}.{EXTENSION}", have.plugin) {
            return Err(format!("{shown}: it is the plugin `{0}`: rename the file to {0}.{EXTENSION}", have.plugin));
        }
        match missing(&bytes, &self.process).map_err(|error| format!("{shown}: {error}"))? {
            None => Ok(have),
            Some(missing) => Err(format!("{shown}: {missing}; {REMEDY}")),
        }
    }
}

/// Prints what a file says of itself, and in what it does not fit this host, which is no error here.
///
/// # Errors
///
/// When the file has no readable record.
pub fn show(path: &Path, format: Format) -> Result<(), String> {
    let failed = |error| format!("{}: {error}", path.display());
    let bytes = bytes(path)?;
    let inspection = inspect(&bytes).map_err(failed)?;
    let demand = Demand::of_this_host()?;
    let comparison = Comparison {
        with: "this host".to_owned(),
        differences: compare(&inspection.record, &demand.record),
        missing: missing(&bytes, &demand.process).map_err(failed)?,
    };
    let report = Report { file: path.display().to_string(), inspection, comparison: Some(comparison) };
    match format {
        Format::Human => print!("{report}"),
        Format::Json => println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?),
    }
    Ok(())
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
        anchor,
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let metadata = fs::metadata(path).map_err(|error| format!("reading the plugin {shown}: {error}"))?;
    // A pipe or a device would be read for ever.
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "no file" };
        return Err(format!("reading the plugin {shown}: it is {what}: name a .{EXTENSION} file"));
    }
    fs::read(path).map_err(|error| format!("reading the plugin {shown}: {error}"))
}
