//! The ABI record: what a plugin carries about how it was built, read from its file before anything is loaded.
//!
//! The record stands in an ELF note section as JSON, and two independent ties stand in the dynamic symbol table: the name
//! of the SDK function that the export macro refers to, and every other symbol that the file imports. Host, build system
//! and fuzzer read all of it through this crate. It must not know the SDK: it has to be able to explain a plugin that was
//! built against another one.

mod compare;
mod elf;
mod error;
mod imports;
mod inspect;
pub mod seal;
#[cfg(test)]
mod tests;

pub use compare::{Difference, compare, printable, table, table_of_files};
pub use error::ReadError;
pub use imports::{Exports, Missing, missing};
pub use inspect::{Comparison, Inspection, Report, inspect};
pub use seal::{Seal, seal};

use elf::{Anchor, Elf};
use serde::{Deserialize, Serialize};

/// The newest format of the record that this crate reads.
pub const FORMAT: u32 = 2;

/// The ELF section that holds the record.
pub const SECTION: &str = ".note.provost";

/// The owner of the note, without the terminating zero byte.
pub const OWNER: &str = "Provost";

/// The type field of the note.
pub const NOTE_TYPE: u32 = 1;

/// What the mangled name of every SDK's link anchor contains.
pub const ANCHOR: &str = "provost_link_anchor";

/// How a plugin was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format of the record, [`FORMAT`] at most.
    pub format: u32,
    /// The plugin's name, which is the name of its package.
    pub plugin: String,
    /// The version of the plugin's package.
    pub version: String,
    /// The version of the SDK.
    pub sdk: String,
    /// A hash over the SDK's own sources, 64 hexadecimal digits.
    pub source: String,
    /// What `rustc -vV` printed, whole.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// What of the profile changes layout or behaviour.
    pub profile: String,
    /// The flags of rustc that change layout, calling convention or code, a line each.
    pub flags: String,
    /// The mangled name of the SDK's link anchor. It is not part of the JSON text, it comes from the symbol table.
    #[serde(default)]
    pub anchor: String,
}

/// Reads the ABI record out of the bytes of a plugin, or of the host.
///
/// Allocates no more than the record's own texts, and never panics, whatever the bytes are.
///
/// # Errors
///
/// A [`ReadError`], whose text fits after `PATH: `.
pub fn read(bytes: &[u8]) -> Result<Record, ReadError> {
    record(&Elf::parse(bytes)?, Anchor::Imported)
}

/// Reads the ABI record of the SDK itself, which defines the link anchor that all others import.
///
/// # Errors
///
/// As [`read`].
pub fn read_sdk(bytes: &[u8]) -> Result<Record, ReadError> {
    record(&Elf::parse(bytes)?, Anchor::Defined)
}

/// Whether the file exports the symbol, which nobody else may do for it.
///
/// # Errors
///
/// As [`read`].
pub fn exports(bytes: &[u8], symbol: &str) -> Result<bool, ReadError> {
    Elf::parse(bytes)?.exports(symbol)
}

fn record(elf: &Elf, anchor: Anchor) -> Result<Record, ReadError> {
    let text = elf.note()?;
    // The format first, alone: a later one may have other fields, and "later" is the better answer then.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(text).map_err(ReadError::json)?;
    if format != FORMAT {
        return Err(ReadError::Format { have: format });
    }
    let mut record: Record = serde_json::from_slice(text).map_err(ReadError::json)?;
    elf.check_machine(&record.target)?;
    // Last: a missing note or a later format explains more than a missing anchor.
    record.anchor = elf.anchor(anchor)?.to_owned();
    Ok(record)
}
