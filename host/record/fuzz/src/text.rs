//! Any bytes as the text of a record, in a file that is right otherwise: from the outside hardly a change leaves a note whole.

#![no_main]

#[path = "../../src/tests/file.rs"]
#[allow(dead_code)]
mod file;
mod properties;

// Where the file's maker looks for them.
use provost_record::{NOTE_TYPE, OWNER, SECTION};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    properties::hold(&file::elf(&file::File { note: file::note(text), ..file::File::default() }));
});
