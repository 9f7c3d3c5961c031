//! Finds the note, the imported symbols and the needed libraries in an ELF file. Knows nothing of what the note says.

use crate::{ANCHOR, NOTE_TYPE, OWNER, ReadError, SECTION};
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym, SymbolTable};
use object::{LittleEndian, ReadRef, SectionIndex};

type Header = FileHeader64<LittleEndian>;

const ENDIAN: LittleEndian = LittleEndian;

/// The longest name of a symbol that is read. Rust's have some thousand bytes at most; without a limit a small file whose
/// symbols share one huge name would keep a reader busy for minutes.
const LONGEST_NAME: usize = 64 * 1024;

/// The largest note that is read, so that parsing it needs no more than a small, fixed amount of memory.
const LARGEST_NOTE: usize = 64 * 1024;

/// A shared object whose headers and tables are where its file says; everything borrows from its bytes.
pub(crate) struct Elf<'data> {
    bytes: &'data [u8],
    machine: elf::Machine,
    sections: SectionTable<'data, Header>,
}

/// Whose link anchor is looked for.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Anchor {
    /// Imported, as by plugins and by the host.
    Imported,
    /// Defined, as by the SDK.
    Defined,
}

impl<'data> Elf<'data> {
    /// The file, once it is sure that it is this machine's kind of shared object, and whole.
    pub fn parse(bytes: &'data [u8]) -> Result<Self, ReadError> {
        let header = header(bytes)?;
        let length = bytes.len() as u64;
        for segment in header.program_headers(ENDIAN, bytes).map_err(broken)? {
            // The dynamic linker maps segments unasked, and touching what the file lacks ends the process by SIGBUS.
            let (offset, size) = segment.file_range(ENDIAN);
            if segment.p_type(ENDIAN) == elf::PT_LOAD && offset.checked_add(size).is_none_or(|end| end > length) {
                return Err(broken("a segment reaches beyond the file's end"));
            }
        }
        let sections = header.sections(ENDIAN, bytes).map_err(broken)?;
        Ok(Self { bytes, machine: header.e_machine(ENDIAN), sections })
    }

    /// The header too says which machine it is for, and that is what the dynamic linker goes by.
    pub fn check_machine(&self, target: &str) -> Result<(), ReadError> {
        let expected = match target.split('-').next() {
            Some("x86_64") => elf::EM_X86_64,
            Some("aarch64") => elf::EM_AARCH64,
            Some(name) if name.starts_with("riscv64") => elf::EM_RISCV,
            // Of another target nothing is known; who compares records refuses it.
            _ => return Ok(()),
        };
        if self.machine == expected { Ok(()) } else { Err(ReadError::Machine(self.machine.0)) }
    }

    /// The text of the note.
    pub fn note(&self) -> Result<&'data [u8], ReadError> {
        let (_, section) = self.sections.section_by_name(ENDIAN, SECTION.as_bytes()).ok_or(ReadError::NoRecord)?;
        description(section.data(ENDIAN, self.bytes).map_err(broken)?)
    }

    /// The name of the one link anchor.
    pub fn anchor(&self, wanted: Anchor) -> Result<&'data str, ReadError> {
        let (mut imported, mut defined) = (None, None);
        for symbol in self.symbols()? {
            let (symbol, name) = symbol?;
            if !name.contains(ANCHOR) {
                continue;
            }
            let place = if symbol.is_undefined(ENDIAN) { &mut imported } else { &mut defined };
            if place.replace(name).is_some() {
                return Err(ReadError::TwoAnchors);
            }
        }
        match (wanted, imported, defined) {
            (Anchor::Imported, Some(name), None) | (Anchor::Defined, None, Some(name)) => Ok(name),
            (_, None, None) | (Anchor::Defined, Some(_), None) => Err(ReadError::NoAnchor),
            (Anchor::Imported, None, Some(_)) => Err(ReadError::OwnAnchor),
            (_, Some(_), Some(_)) => Err(ReadError::TwoAnchors),
        }
    }

    /// The names of the symbols that have to come from elsewhere. Weak ones may be missing, and are left out.
    pub fn imports(&self) -> Result<impl Iterator<Item = Result<&'data str, ReadError>>, ReadError> {
        Ok(self.symbols()?.filter_map(|symbol| match symbol {
            Ok((symbol, name)) => (symbol.is_undefined(ENDIAN) && !symbol.is_weak()).then_some(Ok(name)),
            Err(error) => Some(Err(error)),
        }))
    }

    /// Whether the dynamic linker finds the symbol in it.
    pub fn exports(&self, wanted: &str) -> Result<bool, ReadError> {
        for symbol in self.symbols()? {
            let (symbol, name) = symbol?;
            if name == wanted && !symbol.is_undefined(ENDIAN) && !symbol.is_local() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// `DT_NEEDED`, in the file's order.
    pub fn needed(&self) -> Result<impl Iterator<Item = Result<&'data str, ReadError>>, ReadError> {
        let dynamic = self.sections.dynamic(ENDIAN, self.bytes).map_err(broken)?;
        // Without any, the strings are of no section.
        let (entries, link) = dynamic.unwrap_or((&[], SectionIndex(0)));
        let strings = self.sections.strings(ENDIAN, self.bytes, link).map_err(broken)?;
        let needed = entries.iter().filter(|entry| entry.tag(ENDIAN) == elf::DT_NEEDED);
        Ok(needed.map(move |entry| text(entry.string(ENDIAN, strings).map_err(broken)?)))
    }

    /// The dynamic symbols but the first, which means none.
    fn symbols(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'data elf::Sym64<LittleEndian>, &'data str), ReadError>>, ReadError> {
        let table: SymbolTable<'data, Header> =
            self.sections.symbols(ENDIAN, self.bytes, elf::SHT_DYNSYM).map_err(broken)?;
        let strings = table.strings();
        Ok(table.symbols().iter().skip(1).map(move |symbol| {
            let name = text(symbol.name(ENDIAN, strings).map_err(broken)?)?;
            Ok((symbol, name))
        }))
    }
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
    match header.e_machine(ENDIAN) {
        elf::EM_X86_64 | elf::EM_AARCH64 | elf::EM_RISCV => {}
        other => return Err(ReadError::Machine(other.0)),
    }
    match header.e_type(ENDIAN) {
        elf::ET_DYN => Ok(header),
        other => Err(ReadError::NotShared(other.0)),
    }
}

fn text(name: &[u8]) -> Result<&str, ReadError> {
    if name.len() > LONGEST_NAME {
        return Err(broken("a name is longer than any symbol's"));
    }
    std::str::from_utf8(name).map_err(|_| broken("a name is not UTF-8"))
}

/// The descriptor of the section's one note.
///
/// Read by hand: `object` iterates over notes and skips what it cannot read, and here a byte too many is an error.
fn description(section: &[u8]) -> Result<&[u8], ReadError> {
    let error = |what: &str| ReadError::BrokenRecord(what.to_owned());
    if section.len() > LARGEST_NOTE {
        return Err(error("the section is larger than any record"));
    }
    let word = |at: usize| -> Option<u32> {
        section.get(at..at.checked_add(4)?).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
    };
    let (Some(name_size), Some(size), Some(kind)) = (word(0), word(4), word(8)) else {
        return Err(error("the section ends inside the note's header"));
    };
    let name_end = 12 + OWNER.len() + 1;
    if name_size as usize != OWNER.len() + 1
        || section.get(12..name_end - 1) != Some(OWNER.as_bytes())
        || section.get(name_end - 1) != Some(&0)
    {
        return Err(error("the note's owner is another"));
    }
    if kind != NOTE_TYPE {
        return Err(error("the note's type is another"));
    }
    let start = name_end.next_multiple_of(4);
    let end = start.checked_add(size as usize).ok_or_else(|| error("the note is larger than its section"))?;
    if section.len() > end.next_multiple_of(4) {
        return Err(error("there is more than one note"));
    }
    section.get(start..end).ok_or_else(|| error("the note is larger than its section"))
}

fn broken(what: impl ToString) -> ReadError {
    ReadError::BrokenElf(what.to_string())
}
