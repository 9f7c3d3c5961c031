//! Why a file has no readable record. Knows no path: the caller puts it in front.

use crate::{ANCHOR, Difference, FORMAT, Record, SECTION};
use std::fmt;

/// Why the record of a file could not be read. The text fits after `PATH: `.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes do not begin as an ELF file does.
    NotElf,
    /// An ELF file, but not a 64-bit little-endian one.
    NotElf64,
    /// An ELF file for a machine that no host of ours runs on, or not for its record's; the number is `e_machine`.
    Machine(u16),
    /// An ELF file, but an object file, a core or the like; the number is `e_type`.
    NotShared(u16),
    /// The ELF headers or tables contradict each other.
    BrokenElf(String),
    /// There is no section with a record.
    NoRecord,
    /// There is a record, of a format that this program does not know.
    Format {
        /// The format that the record says it has.
        have: u32,
    },
    /// The section is there, but what it holds is no record.
    BrokenRecord(String),
    /// The record is fine, but no imported symbol is the SDK's link anchor.
    NoAnchor,
    /// The record is fine, but the file defines a link anchor where it should import the host's.
    OwnAnchor,
    /// More than one symbol looks like the SDK's link anchor.
    TwoAnchors,
}

impl ReadError {
    /// The same, as one field in which a file differs from what `want` describes.
    pub fn difference(&self, want: &Record) -> Difference {
        let object = || format!("a shared object for {}", want.target);
        let format = || format!("format {}", want.format);
        let (field, have, want) = match self {
            Self::NotElf => ("file", "not an ELF file".to_owned(), object()),
            Self::NotElf64 => ("file", "not a 64-bit little-endian ELF file".to_owned(), object()),
            Self::Machine(machine) => ("file", format!("an ELF file of e_machine {machine}"), object()),
            Self::NotShared(kind) => ("file", format!("an ELF file of e_type {kind}"), object()),
            Self::BrokenElf(what) => ("file", format!("a broken ELF file: {what}"), object()),
            Self::NoRecord => ("record", "none: not exported with `provost_sdk::export!`".to_owned(), format()),
            Self::Format { have } => ("format", have.to_string(), want.format.to_string()),
            Self::BrokenRecord(what) => ("record", format!("broken: {what}"), format()),
            Self::NoAnchor => ("anchor", "none".to_owned(), want.anchor.clone()),
            Self::OwnAnchor => ("anchor", "one of its own".to_owned(), want.anchor.clone()),
            Self::TwoAnchors => ("anchor", "more than one".to_owned(), want.anchor.clone()),
        };
        Difference { field, have, want }
    }

    pub(crate) fn json(error: serde_json::Error) -> Self {
        Self::BrokenRecord(error.to_string())
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => f.write_str("it is not an ELF file"),
            Self::NotElf64 => f.write_str("it is not a 64-bit little-endian ELF file"),
            Self::Machine(machine) => write!(f, "it is an ELF file for another machine (e_machine {machine})"),
            Self::NotShared(kind) => write!(f, "it is an ELF file but not a shared object (e_type {kind})"),
            Self::BrokenElf(what) => write!(f, "it is a broken ELF file: {what}"),
            Self::NoRecord => f.write_str("it carries no ABI record: it was not exported with `provost_sdk::export!`"),
            Self::Format { have } if *have > FORMAT => write!(
                f,
                "its ABI record has format {have}, and this program reads format {FORMAT}: it was built for a later host"
            ),
            Self::Format { have } => {
                write!(f, "its ABI record has format {have}, and this program reads format {FORMAT}")
            }
            Self::BrokenRecord(what) => write!(f, "its ABI record in {SECTION} is broken: {what}"),
            Self::NoAnchor => write!(
                f,
                "it imports no link anchor (a symbol with `{ANCHOR}` in its name): it does not share the host's SDK"
            ),
            Self::OwnAnchor => write!(
                f,
                "it defines a link anchor (a symbol with `{ANCHOR}` in its name) and imports none: it is an SDK, or \
                has one of its own inside"
            ),
            Self::TwoAnchors => write!(
                f,
                "it has more than one link anchor (symbols with `{ANCHOR}` in their names): it was linked with two SDKs"
            ),
        }
    }
}

impl std::error::Error for ReadError {}
