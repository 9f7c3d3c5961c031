//! A real plugin, and what can be edited in it. It stays one that the dynamic linker would load, unless a case says so.

use crate::support::dist;
use provost_record::Record;
use serde_json::Value;
use std::fs;

/// A built plugin.
pub struct Plugin {
    pub bytes: Vec<u8>,
    pub record: Record,
}

/// Where fields of ELF headers stand, and how large they are.
pub mod field {
    use std::ops::Range;

    pub const CLASS: usize = 4;
    pub const ENDIANNESS: usize = 5;
    pub const TYPE: usize = 16;
    pub const MACHINE: usize = 18;
    /// Of a section header.
    pub const OFFSET: Range<usize> = 24..32;
    pub const SIZE: Range<usize> = 32..40;
    /// Of a note.
    pub const NAME_SIZE: Range<usize> = 0..4;
    pub const TEXT_SIZE: Range<usize> = 4..8;
    pub const TEXT: usize = 20;
}

impl Plugin {
    pub fn read() -> Self {
        let bytes = fs::read(dist().join("file.prov")).expect("the plugin is there");
        let record = provost_record::read(&bytes).expect("it has a record");
        Self { bytes, record }
    }

    /// With one byte changed.
    pub fn with(&self, at: usize, byte: u8) -> Vec<u8> {
        assert_ne!(self.bytes[at], byte, "a change");
        let mut bytes = self.bytes.clone();
        bytes[at] = byte;
        sealed(bytes)
    }

    /// With another text of the same length wherever the one stands.
    pub fn replaced(&self, from: &str, to: &str) -> Vec<u8> {
        sealed(replaced(&self.bytes, from, to))
    }

    /// With a change of the record's text.
    pub fn with_record(&self, change: impl FnOnce(&mut Value)) -> Vec<u8> {
        let note = self.note();
        let text = &note[field::TEXT..];
        let mut json: Value = serde_json::from_slice(text).expect("the record is JSON");
        change(&mut json);
        self.with_text(json.to_string().as_bytes())
    }

    /// With another text in place of the record.
    pub fn with_text(&self, text: &[u8]) -> Vec<u8> {
        let mut note = self.note()[..field::TEXT].to_vec();
        note[field::TEXT_SIZE].copy_from_slice(&(text.len() as u32).to_le_bytes());
        note.extend(text);
        self.with_note(&note)
    }

    /// With a field of the note's header changed.
    pub fn with_note_size(&self, field: std::ops::Range<usize>, size: u32) -> Vec<u8> {
        let mut note = self.note().to_vec();
        note[field].copy_from_slice(&size.to_le_bytes());
        self.with_note(&note)
    }

    /// With another note, at the end of the file.
    fn with_note(&self, note: &[u8]) -> Vec<u8> {
        let mut bytes = self.with_section(field::OFFSET, self.bytes.len() as u64);
        let size = self.note_header() + field::SIZE.start;
        bytes[size..size + 8].copy_from_slice(&(note.len() as u64).to_le_bytes());
        bytes.extend(note);
        sealed(bytes)
    }

    /// With a field of the note's section header changed.
    pub fn with_section(&self, field: std::ops::Range<usize>, value: u64) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let at = self.note_header() + field.start;
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        sealed(bytes)
    }

    /// The target with the other libc.
    pub fn other_libc(&self) -> String {
        let target = &self.record.target;
        if target.contains("gnu") { target.replace("gnu", "musl") } else { target.replace("musl", "gnu") }
    }

    /// The number of a machine that is not this one, and that hosts of ours run on.
    pub fn other_machine(&self) -> u8 {
        if self.record.target.starts_with("aarch64") { 62 } else { 183 }
    }

    /// A link anchor that differs in one digit.
    pub fn other_anchor(&self) -> String {
        let anchor = &self.record.anchor;
        let at = anchor.rfind(|letter: char| letter.is_ascii_digit()).expect("mangled names have digits");
        let digit = (anchor.as_bytes()[at] - b'0' + 1) % 10;
        format!("{}{digit}{}", &anchor[..at], &anchor[at + 1..])
    }

    /// A text in which `[SOURCE]` and the like stand for what the record says.
    pub fn filled(&self, text: &str) -> String {
        let record = &self.record;
        let mut text = text
            .replace("[OBJECT]", "a shared object for [TARGET]")
            .replace("[OTHER LIBC]", &self.other_libc())
            .replace("[OTHER MACHINE]", &self.other_machine().to_string())
            .replace("[OTHER ANCHOR]", &self.other_anchor())
            .replace("[ANCHOR]", &record.anchor)
            .replace("[PROFILE]", &record.profile)
            .replace("[RUSTC]", record.rustc.lines().next().unwrap_or_default())
            .replace("[SDK]", &record.sdk)
            .replace("[SOURCE]", &record.source)
            .replace("[TARGET]", &record.target);
        for line in record.rustc.lines() {
            let name = line.split(':').next().unwrap_or_default();
            text = text.replace(&format!("[{name}]"), line);
        }
        text
    }

    fn note(&self) -> &[u8] {
        let header = self.note_header();
        let start = self.number(header + field::OFFSET.start, 8);
        &self.bytes[start..][..self.number(header + field::SIZE.start, 8)]
    }

    /// Where the header of the section with the record begins.
    fn note_header(&self) -> usize {
        let table = self.number(40, 8);
        let (size, count, names) = (self.number(58, 2), self.number(60, 2), self.number(62, 2));
        let names = self.number(table + names * size + field::OFFSET.start, 8);
        let mut headers = (0..count).map(|index| table + index * size);
        let is_note = |header: &usize| {
            let name = names + self.number(*header, 4);
            self.bytes[name..].starts_with(format!("{}\0", provost_record::SECTION).as_bytes())
        };
        headers.find(is_note).expect("it has a record")
    }

    fn number(&self, at: usize, size: usize) -> usize {
        self.bytes[at..at + size].iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
}

/// As if it was built so: what is tried is not the seal, where there still is one.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let _ = provost_record::seal::apply(&mut bytes, None);
    bytes
}

/// The bytes with another text of the same length wherever the one stands.
pub fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "`{from}` is there");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}
