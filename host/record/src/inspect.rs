//! All that a file says of itself, for people and programs that ask. Judges nothing.

use crate::elf::{Anchor, Elf};
use crate::{Difference, Missing, ReadError, Record, Seal, printable, record, seal, table};
use serde::Serialize;
use std::fmt;

/// One file, as the commands that inspect show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report<'data> {
    /// Its path.
    pub file: String,
    /// What it says.
    #[serde(flatten)]
    pub inspection: Inspection<'data>,
    /// Absent if there is nothing to compare it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// In what a file and another one, or the host, do not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// The other file, or `this host`.
    pub with: String,
    /// In what their records differ.
    pub differences: Vec<Difference>,
    /// What the file would not find.
    pub missing: Option<Missing>,
}

/// The record of a plugin, of the host or of the SDK, and what the file needs besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection<'data> {
    /// Of the SDK, the anchor is the one that it defines.
    #[serde(flatten)]
    pub record: Record,
    /// The libraries that it needs, in the file's order.
    pub needed: Vec<&'data str>,
    /// How many symbols it imports.
    pub imports: usize,
    /// Whether it is the file that was built.
    pub seal: Seal,
}

/// Reads all that the file says of itself.
///
/// # Errors
///
/// A [`ReadError`], whose text fits after `PATH: `.
pub fn inspect(bytes: &[u8]) -> Result<Inspection<'_>, ReadError> {
    let elf = Elf::parse(bytes)?;
    let record = match record(&elf, Anchor::Imported) {
        Err(ReadError::OwnAnchor) => record(&elf, Anchor::Defined)?,
        read => read?,
    };
    // Counted first: a vector that grows would need more memory than the file's own entries.
    let mut needed = Vec::with_capacity(elf.needed()?.count());
    for library in elf.needed()? {
        needed.push(library?);
    }
    let imports = elf.imports()?.try_fold(0, |count, symbol| symbol.map(|_| count + 1))?;
    let seal = seal::of_elf(&elf, bytes)?;
    Ok(Inspection { record, needed, imports, seal })
}

/// One field a line, and each line ends with a line feed.
impl fmt::Display for Inspection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { format, plugin, version, sdk, source, rustc, target, profile, flags, anchor } = &self.record;
        for (field, value) in [
            ("format", &format.to_string()),
            ("plugin", plugin),
            ("version", version),
            ("sdk", sdk),
            ("source", source),
            ("rustc", rustc),
            ("target", target),
            ("profile", profile),
            ("flags", flags),
            ("anchor", anchor),
            ("needed", &self.needed.join(", ")),
            ("imports", &self.imports.to_string()),
            ("seal", &self.seal.to_string()),
        ] {
            let shown = if value.is_empty() { "-" } else { value.trim_end() };
            let lines: Vec<String> = shown.split('\n').map(printable).collect();
            writeln!(f, "{field:<8} {}", lines.join("\n         "))?;
        }
        Ok(())
    }
}

/// Each line ends with a line feed.
impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {}\n{}", "file", self.file, self.inspection)?;
        let Some(Comparison { with, differences, missing }) = &self.comparison else { return Ok(()) };
        match differences.as_slice() {
            [] => writeln!(f, "{:<8} {with}", "matches")?,
            differences => write!(f, "{:<8} {with}\n{}", "differs", table(differences))?,
        }
        missing.as_ref().map_or(Ok(()), |missing| writeln!(f, "{:<8} {missing}", "missing"))
    }
}
