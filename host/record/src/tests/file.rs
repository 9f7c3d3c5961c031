//! Makes small shared objects with a note, symbols and needed libraries, and nothing to run.

use crate::{NOTE_TYPE, OWNER, SECTION};
use Symbol::{Defined, Imported, Weak};

pub const RECORD: &[u8] = br#"{"format":2,"plugin":"file","version":"0.1.0","sdk":"0.1.0","source":"00ff","rustc":"rustc 1.95.0\nhost: \"x\"","target":"x86_64-unknown-linux-gnu","profile":"opt-level 3","flags":"--cfg wide","std":"0000000000000000000000000000000000000000000000000000000000000000","seal":"0000000000000000000000000000000000000000000000000000000000000000"}"#;
pub const SYMBOL: &str = "_ZN11provost_sdk3abi19provost_link_anchor17h0123456789abcdefE";

/// What goes into a file.
pub struct File<'a> {
    pub section: &'a str,
    pub note: Vec<u8>,
    pub symbols: &'a [(&'a str, Symbol)],
    pub needed: &'a [&'a str],
}

#[derive(Clone, Copy, PartialEq)]
pub enum Symbol {
    Imported,
    Weak,
    Defined,
}

impl Default for File<'_> {
    fn default() -> Self {
        Self {
            section: SECTION,
            note: note(RECORD),
            symbols: &[("memcpy", Imported), (SYMBOL, Imported), ("__gmon_start__", Weak), ("mine", Defined)],
            needed: &["libprovost_sdk.so", "libc.so.6"],
        }
    }
}

pub fn note(text: &[u8]) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [OWNER.len() as u32 + 1, text.len() as u32, NOTE_TYPE] {
        note.extend(word.to_le_bytes());
    }
    note.extend(OWNER.as_bytes());
    note.push(0);
    note.extend(text);
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// A shared object for x86-64 with a note, a dynamic symbol table, and nothing to run.
pub fn elf(file: &File) -> Vec<u8> {
    let (names, offsets) = strings(&["", file.section, ".dynsym", ".dynstr", ".shstrtab", ".dynamic"]);
    let symbol_names = file.symbols.iter().map(|(name, _)| *name);
    let linked: Vec<&str> = [""].into_iter().chain(symbol_names).chain(file.needed.iter().copied()).collect();
    let (linked_strings, linked_offsets) = strings(&linked);
    let (symbol_offsets, needed_offsets) = linked_offsets[1..].split_at(file.symbols.len());
    let mut symbols = vec![0; 24];
    for ((_, kind), offset) in file.symbols.iter().zip(symbol_offsets) {
        symbols.extend(offset.to_le_bytes());
        symbols.extend([if *kind == Weak { 0x22 } else { 0x12 }, 0]);
        symbols.extend(u16::from(*kind == Defined).to_le_bytes());
        symbols.extend([0; 16]);
    }
    let mut dynamic = Vec::new();
    for offset in needed_offsets {
        dynamic.extend(1u64.to_le_bytes()); // DT_NEEDED
        dynamic.extend(u64::from(*offset).to_le_bytes());
    }
    dynamic.extend([0; 16]);
    // Type, link, entry size and content of each section.
    let sections: [(u32, u32, u64, &[u8]); 6] = [
        (0, 0, 0, &[]),
        (7, 0, 0, &file.note),
        (11, 3, 24, &symbols),
        (3, 0, 0, &linked_strings),
        (3, 0, 0, &names),
        (6, 3, 16, &dynamic),
    ];
    let mut bytes = vec![0; 64];
    let mut headers = Vec::new();
    for ((kind, link, entry, content), name) in sections.into_iter().zip(offsets) {
        let offset = if kind == 0 { 0 } else { bytes.len() as u64 };
        headers.extend(name.to_le_bytes());
        headers.extend(kind.to_le_bytes());
        headers.extend([0; 16]);
        headers.extend(offset.to_le_bytes());
        headers.extend((content.len() as u64).to_le_bytes());
        headers.extend(link.to_le_bytes());
        headers.extend(0u32.to_le_bytes());
        headers.extend(4u64.to_le_bytes());
        headers.extend(entry.to_le_bytes());
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    let table = bytes.len() as u64;
    bytes.extend(headers);
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 3; // a shared object
    bytes[18] = 62; // x86-64
    bytes[20] = 1;
    bytes[40..48].copy_from_slice(&table.to_le_bytes());
    bytes[52] = 64;
    bytes[58] = 64;
    bytes[60] = 6;
    bytes[62] = 4;
    bytes
}

/// A string table, and where in it each string begins.
fn strings(texts: &[&str]) -> (Vec<u8>, Vec<u32>) {
    let (mut table, mut offsets) = (Vec::new(), Vec::new());
    for text in texts {
        offsets.push(table.len() as u32);
        table.extend(text.as_bytes());
        table.push(0);
    }
    (table, offsets)
}
