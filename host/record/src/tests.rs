//! The reader on small files made here: whole, changed, and cut at every byte.

mod file;

use crate::{
    Comparison, Exports, Missing, ReadError, Record, Report, Seal, exports, inspect, missing, read, read_sdk, seal,
};
use file::Symbol::{Defined, Imported};
use file::{File, RECORD, SYMBOL, elf, note};

fn record() -> Record {
    Record {
        format: 2,
        plugin: "file".into(),
        version: "0.1.0".into(),
        sdk: "0.1.0".into(),
        source: "00ff".into(),
        rustc: "rustc 1.95.0\nhost: \"x\"".into(),
        target: "x86_64-unknown-linux-gnu".into(),
        profile: "opt-level 3".into(),
        flags: "--cfg wide".into(),
        anchor: SYMBOL.into(),
    }
}

#[test]
fn a_whole_record() {
    let plugin = elf(&File::default());
    assert_eq!(read(&plugin), Ok(record()));
    assert_eq!(read_sdk(&plugin), Err(ReadError::NoAnchor));
    let sdk = elf(&File { symbols: &[(SYMBOL, Defined)], ..File::default() });
    assert_eq!(read(&sdk), Err(ReadError::OwnAnchor));
    assert_eq!(read_sdk(&sdk), Ok(record()));
    assert_eq!(inspect(&sdk).map(|inspection| inspection.record), Ok(record()));
}

/// The libraries that are loaded, and what they export.
struct Loaded<'a>(&'a [&'a str], &'a [&'a str]);

impl Exports for Loaded<'_> {
    fn has(&self, library: &str) -> bool {
        self.0.contains(&library)
    }

    fn exports(&self, symbol: &str) -> bool {
        self.1.contains(&symbol)
    }
}

#[test]
fn imports_that_nothing_exports() {
    let plugin = elf(&File::default());
    let all = ["libprovost_sdk.so", "libc.so.6"];
    let lacking = |first: &[&str]| {
        let first: Vec<String> = first.iter().map(ToString::to_string).collect();
        Ok((!first.is_empty()).then_some(Missing { count: first.len(), first }))
    };
    // With a library that is still to be loaded, memcpy may be that one's.
    for (libraries, exported, expected) in [
        (&all[..], &["memcpy", SYMBOL][..], &[][..]),
        (&all, &["memcpy"], &[SYMBOL]),
        (&all, &[], &["memcpy", SYMBOL]),
        (&all[..1], &[SYMBOL], &[]),
        (&all[..1], &[], &[SYMBOL]),
    ] {
        assert_eq!(missing(&plugin, &Loaded(libraries, exported)), lacking(expected), "{libraries:?} {exported:?}");
    }
}

#[test]
fn exports_are_defined_symbols() {
    let file = elf(&File { symbols: &[("memcpy", Imported), ("mine", Defined)], ..File::default() });
    let exported = ["mine", "memcpy", "min", "other"].map(|symbol| exports(&file, symbol));
    assert_eq!(exported, [Ok(true), Ok(false), Ok(false), Ok(false)]);
    assert_eq!(exports(b"", "mine"), Err(ReadError::NotElf));
}

#[test]
fn what_is_shown_moves_no_cursor() {
    let plugin = elf(&File::default());
    let mut inspection = inspect(&plugin).expect("a record");
    inspection.record.version = "\u{1b}[2J1\r\n2".into();
    inspection.needed = vec!["\u{7}.so"];
    let shown = inspection.to_string();
    assert!(shown.contains("version  \\u{1b}[2J1\\r\n         2\n"), "{shown}");
    assert!(shown.contains("needed   \\u{7}.so\n"), "{shown}");
    let missing = Missing { first: vec!["\u{1b}c".into()], count: 1 }.to_string();
    assert!(missing.ends_with(": \\u{1b}c"), "{missing}");
}

#[test]
fn a_report() {
    let plugin = elf(&File::default());
    let inspection = inspect(&plugin).expect("a record");
    let mut report = Report { file: "a/file.prov".into(), inspection, comparison: None };
    let fields = format!(
        "\
file     a/file.prov
format   2
plugin   file
version  0.1.0
sdk      0.1.0
source   00ff
rustc    rustc 1.95.0
         host: \"x\"
target   x86_64-unknown-linux-gnu
profile  opt-level 3
flags    --cfg wide
anchor   {SYMBOL}
needed   libprovost_sdk.so, libc.so.6
imports  2
seal     unsealed
"
    );
    assert_eq!(report.to_string(), fields);
    let equal = Comparison { with: "provost".into(), differences: Vec::new(), missing: None };
    report.comparison = Some(equal.clone());
    assert_eq!(report.to_string(), fields.clone() + "matches  provost\n");
    let want = Record { sdk: "0.2.0".into(), ..record() };
    let differences = crate::compare(&report.inspection.record, &want);
    let missing = Some(Missing { first: vec!["memcpy".into()], count: 1 });
    report.comparison = Some(Comparison { differences, missing, ..equal });
    let expected = "\
differs  provost
  field  have   want
  sdk    0.1.0  0.2.0
missing  it imports a symbol that neither the SDK nor another library exports: memcpy
";
    assert_eq!(report.to_string(), fields + expected);
    let json = serde_json::to_value(&report).expect("it is written as JSON");
    assert_eq!((&json["file"], &json["plugin"], &json["imports"]), (&"a/file.prov".into(), &"file".into(), &2.into()));
    assert_eq!(json["comparison"]["differences"][0]["field"], "sdk");
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
        (changed(18, 183), "it is an ELF file for another machine (e_machine 183)"),
        (changed(16, 1), "it is an ELF file but not a shared object (e_type 1)"),
        (
            elf(&File { section: ".note.other", ..File::default() }),
            "it carries no ABI record: it was not exported with `provost_sdk::export!`",
        ),
        (
            symbols(&[("memcpy", Imported)]),
            "it imports no link anchor (a symbol with `provost_link_anchor` in its name): it does not share the host's SDK",
        ),
        (
            symbols(&[(SYMBOL, Defined)]),
            "it defines a link anchor (a symbol with `provost_link_anchor` in its name) and imports none: it is an SDK, or \
            has one of its own inside",
        ),
        (
            symbols(&[(SYMBOL, Imported), ("provost_link_anchor", Imported)]),
            "it has more than one link anchor (symbols with `provost_link_anchor` in their names): it was linked with two \
            SDKs",
        ),
    ] {
        assert_eq!(read(&bytes).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }
}

#[test]
fn broken_tables() {
    let error = |bytes: &[u8]| inspect(bytes).map(|found| found.record).map_err(|error| error.to_string());
    let long = "x".repeat(65 * 1024);
    let named = elf(&File { symbols: &[(SYMBOL, Imported), (&long, Imported)], ..File::default() });
    assert_eq!(error(&named), Err("it is a broken ELF file: a name is longer than any symbol's".to_owned()));
    let mut cut = elf(&File::default());
    let segment = cut.len() as u64;
    cut[32..40].copy_from_slice(&segment.to_le_bytes());
    cut[54] = 56;
    cut[56] = 1;
    cut.extend(1u64.to_le_bytes()); // PT_LOAD
    cut.extend([0; 24]);
    cut.extend((segment + 57).to_le_bytes());
    cut.extend([0; 16]);
    assert_eq!(error(&cut), Err("it is a broken ELF file: a segment reaches beyond the file's end".to_owned()));
    cut.push(0);
    assert_eq!(error(&cut), Ok(record()));
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
    assert_eq!(with(vec![0; 65 * 1024]), broken("the section is larger than any record"));
    assert_eq!(with(note(b"{")), broken("EOF while parsing an object at line 1 column 1"));
    let later = r#"{"format":3,"new":[]}"#;
    let expected = "its ABI record has format 3, and this program reads format 2: it was built for a later host";
    assert_eq!(with(note(later.as_bytes())), Err(expected.to_owned()));
    assert_eq!(with(note(br#"{"format":2}"#)), broken("missing field `plugin` at line 1 column 12"));
}

#[test]
fn no_file_makes_it_panic() {
    let whole = elf(&File::default());
    for end in 0..whole.len() {
        assert!(inspect(&whole[..end]).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            // Any answer will do: many of these bits mean nothing.
            let _ = inspect(&bytes);
            let _ = missing(&bytes, &Loaded(&[], &[]));
        }
    }
    assert_eq!(read(&[0; 64]), Err(ReadError::NotElf));
}

#[test]
fn a_seal_breaks_with_every_byte() {
    let mut file = elf(&File::default());
    assert_eq!(seal(&file), Ok(Seal::Unsealed));
    assert_eq!(seal::std_digest(&file), Ok(None));
    seal::apply(&mut file, Some(b"std")).expect("it has a record");
    assert_eq!(seal(&file), Ok(Seal::Sealed));
    assert_eq!(seal::std_digest(&file), Ok(Some(seal::digest(b"std"))));
    assert_eq!(read(&file), Ok(record()), "it says what it said");
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert_ne!(seal(&changed), Ok(Seal::Sealed), "at {at}");
    }
    let mut again = file.clone();
    seal::apply(&mut again, Some(b"std")).expect("it has a record");
    assert_eq!(again, file, "the same file has the same seal");
    seal::apply(&mut again, None).expect("it has a record");
    assert_eq!((seal(&again), seal::std_digest(&again)), (Ok(Seal::Sealed), Ok(None)));
}

#[test]
fn a_record_without_a_seal_is_broken() {
    let text = String::from_utf8_lossy(RECORD).replace("\"seal\":", "\"zeal\":");
    let file = elf(&File { note: note(text.as_bytes()), ..File::default() });
    let expected = "its ABI record in .note.provost is broken: it has no `seal` of 64 digits";
    assert_eq!(seal(&file).map_err(|error| error.to_string()), Err(expected.to_owned()));
    assert_eq!(inspect(&file).map(drop).map_err(|error| error.to_string()), Err(expected.to_owned()));
}
