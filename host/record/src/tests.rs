//! The reader on small files made here: whole, changed, and cut at every byte.

use crate::{NOTE_TYPE, OWNER, ReadError, Record, SECTION, read};

const RECORD: &str = r#"{"format":1,"plugin":"file","version":"0.1.0","sdk":"0.1.0","source":"00ff","rustc":"rustc 1.95.0\nhost: \"x\"","target":"x86_64-unknown-linux-gnu","profile":"opt-level 3"}"#;
const SYMBOL: &str = "_ZN11provost_sdk3abi19provost_link_anchor17h0123456789abcdefE";

/// What goes into a file.
struct File<'a> {
    section: &'a str,
    note: Vec<u8>,
    /// Names, and whether the symbol is defined in the file.
    symbols: &'a [(&'a str, bool)],
}

impl Default for File<'_> {
    fn default() -> Self {
        Self { section: SECTION, note: note(RECORD), symbols: &[("memcpy", false), (SYMBOL, false), ("mine", true)] }
    }
}

fn note(text: &str) -> Vec<u8> {
    let mut note = Vec::new();
    for word in [OWNER.len() as u32 + 1, text.len() as u32, NOTE_TYPE] {
        note.extend(word.to_le_bytes());
    }
    note.extend(OWNER.as_bytes());
    note.push(0);
    note.extend(text.as_bytes());
    note.resize(note.len().next_multiple_of(4), 0);
    note
}

/// A shared object for x86-64 with a note, a dynamic symbol table, and nothing to run.
fn elf(file: &File) -> Vec<u8> {
    let (names, offsets) = strings(&["", file.section, ".dynsym", ".dynstr", ".shstrtab"]);
    let symbol_names: Vec<&str> = [""].into_iter().chain(file.symbols.iter().map(|(name, _)| *name)).collect();
    let (symbol_strings, symbol_offsets) = strings(&symbol_names);
    let mut symbols = vec![0; 24];
    for (index, (_, defined)) in file.symbols.iter().enumerate() {
        symbols.extend(symbol_offsets[index + 1].to_le_bytes());
        symbols.extend([0x12, 0]);
        symbols.extend(u16::from(*defined).to_le_bytes());
        symbols.extend([0; 16]);
    }
    // Type, link, entry size and content of each section.
    let sections: [(u32, u32, u64, &[u8]); 5] =
        [(0, 0, 0, &[]), (7, 0, 0, &file.note), (11, 3, 24, &symbols), (3, 0, 0, &symbol_strings), (3, 0, 0, &names)];
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
    bytes[60] = 5;
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

#[test]
fn a_whole_record() {
    let expected = Record {
        format: 1,
        plugin: "file".into(),
        version: "0.1.0".into(),
        sdk: "0.1.0".into(),
        source: "00ff".into(),
        rustc: "rustc 1.95.0\nhost: \"x\"".into(),
        target: "x86_64-unknown-linux-gnu".into(),
        profile: "opt-level 3".into(),
        anchor: SYMBOL.into(),
    };
    assert_eq!(read(&elf(&File::default())), Ok(expected));
}

/// Changes one byte of a good file's header.
fn changed(at: usize, to: u8) -> Vec<u8> {
    let mut bytes = elf(&File::default());
    bytes[at] = to;
    bytes
}

#[test]
fn other_files() {
    let symbols = |symbols| elf(&File { symbols, ..File::default() });
    for (bytes, expected) in [
        (b"".to_vec(), "it is not an ELF file"),
        (b"#!/bin/sh\n".to_vec(), "it is not an ELF file"),
        (b"\x7fELF".to_vec(), "it is a broken ELF file: the file ends inside its header"),
        (changed(4, 1), "it is not a 64-bit little-endian ELF file"),
        (changed(5, 2), "it is not a 64-bit little-endian ELF file"),
        (changed(18, 3), "it is an ELF file for another machine (e_machine 3)"),
        (changed(16, 1), "it is an ELF file but not a shared object (e_type 1)"),
        (
            elf(&File { section: ".note.other", ..File::default() }),
            "it carries no ABI record: it was not exported with `provost_sdk::export!`",
        ),
        (
            symbols(&[("memcpy", false)]),
            "it imports no link anchor (a symbol with `provost_link_anchor` in its name): it does not share the host's SDK",
        ),
        (
            symbols(&[(SYMBOL, true)]),
            "it imports no link anchor (a symbol with `provost_link_anchor` in its name): it does not share the host's SDK",
        ),
        (
            symbols(&[(SYMBOL, false), ("provost_link_anchor", false)]),
            "it imports more than one link anchor (symbols with `provost_link_anchor` in their names): it was linked \
            against two SDKs",
        ),
    ] {
        assert_eq!(read(&bytes).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }
}

#[test]
fn other_notes() {
    let with = |note| read(&elf(&File { note, ..File::default() })).map_err(|error| error.to_string());
    let edit = |at: usize, to: u8| {
        let mut note = note(RECORD);
        note[at] = to;
        note
    };
    let broken = |what: &str| Err(format!("its ABI record in .note.provost is broken: {what}"));
    assert_eq!(with(Vec::new()), broken("the section ends inside the note's header"));
    assert_eq!(with(edit(0, 4)), broken("the note's owner is another"));
    assert_eq!(with(edit(12, b'G')), broken("the note's owner is another"));
    assert_eq!(with(edit(8, 5)), broken("the note's type is another"));
    assert_eq!(with(edit(7, 1)), broken("the note is larger than its section"));
    assert_eq!(with([note(RECORD), note(RECORD)].concat()), broken("there is more than one note"));
    assert_eq!(with(note("{")), broken("EOF while parsing an object at line 1 column 1"));
    let later = r#"{"format":2,"new":[]}"#;
    let expected = "its ABI record has format 2, and this program reads format 1: it was built for a later host";
    assert_eq!(with(note(later)), Err(expected.to_owned()));
    assert_eq!(with(note(r#"{"format":1}"#)), broken("missing field `plugin` at line 1 column 12"));
}

#[test]
fn no_file_makes_it_panic() {
    let whole = elf(&File::default());
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            // Any answer will do: many of these bits mean nothing.
            let _ = read(&bytes);
        }
    }
    assert_eq!(read(&[0; 64]), Err(ReadError::NotElf));
}
