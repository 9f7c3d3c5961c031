//! Finds the note and the link anchor in an ELF file. Knows nothing of what the note says.

use crate::{ANCHOR, NOTE_TYPE, OWNER, ReadError, SECTION};
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader, Sym};
use object::{LittleEndian, ReadRef};

type Header = FileHeader64<LittleEndian>;

/// The two places where a plugin says what it was built against; both borrow from the file.
pub(crate) struct Found<'data> {
    /// The whole note section.
    pub note: &'data [u8],
    /// Kept as a result: a missing note or a later format explains more than a missing anchor.
    pub anchor: Result<&'data str, ReadError>,
}

/// Finds note and anchor.
pub(crate) fn find(bytes: &[u8]) -> Result<Found<'_>, ReadError> {
    let header = header(bytes)?;
    let endian = LittleEndian;
    let sections = header.sections(endian, bytes).map_err(broken)?;
    let (_, note) = sections.section_by_name(endian, SECTION.as_bytes()).ok_or(ReadError::NoRecord)?;
    let note = note.data(endian, bytes).map_err(broken)?;
    let anchor = sections.symbols(endian, bytes, elf::SHT_DYNSYM).map_err(broken).and_then(|symbols| {
        let undefined = symbols.iter().filter(|symbol| symbol.is_undefined(endian));
        anchor(undefined.filter_map(|symbol| symbol.name(endian, symbols.strings()).ok()))
    });
    Ok(Found { note, anchor })
}

/// The header, once it is sure that this machine's kind of shared object begins with it.
fn header(bytes: &[u8]) -> Result<&Header, ReadError> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(ReadError::NotElf);
    }
    let ident: &[u8] = bytes.read_bytes_at(0, 16).map_err(|()| broken("the file ends inside its header"))?;
    if ident[4] != elf::ELFCLASS64.0 || ident[5] != elf::ELFDATA2LSB.0 {
        return Err(ReadError::NotElf64);
    }
    let header = Header::parse(bytes).map_err(broken)?;
    match header.e_machine(LittleEndian) {
        elf::EM_X86_64 | elf::EM_AARCH64 | elf::EM_RISCV => {}
        other => return Err(ReadError::Machine(other.0)),
    }
    match header.e_type(LittleEndian) {
        elf::ET_DYN => Ok(header),
        other => Err(ReadError::NotShared(other.0)),
    }
}

/// The one link anchor among the names of imported symbols.
fn anchor<'data>(undefined: impl Iterator<Item = &'data [u8]>) -> Result<&'data str, ReadError> {
    let mut anchors = undefined.filter(|name| contains(name, ANCHOR.as_bytes()));
    let name = anchors.next().ok_or(ReadError::NoAnchor)?;
    if anchors.next().is_some() {
        return Err(ReadError::TwoAnchors);
    }
    std::str::from_utf8(name).map_err(|_| ReadError::NoAnchor)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The descriptor of the section's one note.
///
/// Read by hand: `object` iterates over notes and skips what it cannot read, and here a byte too many is a fault.
pub(crate) fn description(section: &[u8]) -> Result<&[u8], ReadError> {
    let fault = |what: &str| ReadError::BrokenRecord(what.to_owned());
    let word = |at: usize| -> Option<u32> {
        section.get(at..at.checked_add(4)?).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    };
    let (Some(name_size), Some(size), Some(kind)) = (word(0), word(4), word(8)) else {
        return Err(fault("the section ends inside the note's header"));
    };
    let name_end = 12 + OWNER.len() + 1;
    if name_size as usize != OWNER.len() + 1
        || section.get(12..name_end - 1) != Some(OWNER.as_bytes())
        || section.get(name_end - 1) != Some(&0)
    {
        return Err(fault("the note's owner is another"));
    }
    if kind != NOTE_TYPE {
        return Err(fault("the note's type is another"));
    }
    let start = name_end.next_multiple_of(4);
    let end = start.checked_add(size as usize).ok_or_else(|| fault("the note is larger than its section"))?;
    if section.len() > end.next_multiple_of(4) {
        return Err(fault("there is more than one note"));
    }
    section.get(start..end).ok_or_else(|| fault("the note is larger than its section"))
}

fn broken(what: impl ToString) -> ReadError {
    ReadError::BrokenElf(what.to_string())
}
