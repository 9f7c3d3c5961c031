//! What the ABI record says of the SDK, and how the export macro writes the record into a plugin.
//!
//! Everything here is made while compiling; reading a record is another crate's work.

// SOURCE, RUSTC, TARGET, PROFILE and FLAGS.
include!(concat!(env!("OUT_DIR"), "/built.rs"));

/// The format of the record that this SDK writes.
pub const FORMAT: u32 = 2;

/// The SDK's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How an SDK was built.
#[derive(Debug)]
pub struct Built {
    /// The SDK's version.
    pub version: &'static str,
    /// The hash over its sources.
    pub source: &'static str,
    /// What `rustc -vV` printed.
    pub rustc: &'static str,
    /// The target triple.
    pub target: &'static str,
    /// What of the profile changes layout or behaviour.
    pub profile: &'static str,
    /// The flags of rustc that change layout, calling convention or code, a line each.
    pub flags: &'static str,
}

/// How the SDK was built with which the crate that uses this constant was compiled.
pub const BUILT: Built =
    Built { version: VERSION, source: SOURCE, rustc: RUSTC, target: TARGET, profile: PROFILE, flags: FLAGS };

/// The function whose mangled name ties a plugin to exactly this build of the SDK, and which says how the SDK was built
/// that is really loaded.
///
/// In its name sits cargo's hash of compiler, profile, dependencies and their features. It must return something that
/// no other function returns: the linker may give two equal functions one address, and the name is looked up by address.
#[inline(never)]
pub fn provost_link_anchor() -> &'static Built {
    static LOADED: Built = BUILT;
    &LOADED
}

/// An ELF note: header, owner, text.
#[repr(C, align(4))]
pub struct Note<const SIZE: usize> {
    owner_size: u32,
    size: u32,
    kind: u32,
    owner: [u8; 8],
    text: [u8; SIZE],
}

impl<const SIZE: usize> Note<SIZE> {
    /// The note of the package `name` in version `version`; `SIZE` is [`note_size`] of the same two.
    pub const fn new(name: &str, version: &str) -> Self {
        let mut text = [b' '; SIZE];
        let end = write(&mut text, name, version);
        assert!(end <= SIZE && SIZE - end < 4, "the size of the note is the size of its text, padded to four bytes");
        Self { owner_size: 8, size: SIZE as u32, kind: 1, owner: *b"Provost\0", text }
    }
}

/// The size of a note's text in bytes. Padded with spaces: padding of the compiler's own has no defined value.
pub const fn note_size(name: &str, version: &str) -> usize {
    write(&mut [], name, version).next_multiple_of(4)
}

/// Writes the record's JSON text as far as it fits, and returns how long it is.
const fn write(output: &mut [u8], name: &str, version: &str) -> usize {
    const { assert!(FORMAT == 2, "the text below says 2") };
    let fields = [
        ("{\"format\":2,\"plugin\":\"", name),
        ("\",\"version\":\"", version),
        ("\",\"sdk\":\"", VERSION),
        ("\",\"source\":\"", SOURCE),
        ("\",\"rustc\":\"", RUSTC),
        ("\",\"target\":\"", TARGET),
        ("\",\"profile\":\"", PROFILE),
        ("\",\"flags\":\"", FLAGS),
    ];
    let mut at = 0;
    let mut index = 0;
    while index < fields.len() {
        at = write_raw(output, at, fields[index].0.as_bytes());
        at = write_escaped(output, at, fields[index].1.as_bytes());
        index += 1;
    }
    at = write_raw(output, at, b"\",\"std\":\"");
    at = write_raw(output, at, &NOT_SEALED);
    at = write_raw(output, at, b"\",\"seal\":\"");
    at = write_raw(output, at, &NOT_SEALED);
    write_raw(output, at, b"\"}")
}

/// What stands in place of std's digest and of the seal until the build system seals the file.
const NOT_SEALED: [u8; 64] = [b'0'; 64];

const fn write_raw(output: &mut [u8], mut at: usize, bytes: &[u8]) -> usize {
    let mut index = 0;
    while index < bytes.len() {
        if at < output.len() {
            output[at] = bytes[index];
        }
        at += 1;
        index += 1;
    }
    at
}

/// The content of a JSON string.
const fn write_escaped(output: &mut [u8], mut at: usize, bytes: &[u8]) -> usize {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        at = match byte {
            b'"' | b'\\' => write_raw(output, at, &[b'\\', byte]),
            b'\n' => write_raw(output, at, b"\\n"),
            0..0x20 => {
                let (high, low) = (DIGITS[(byte >> 4) as usize], DIGITS[(byte & 15) as usize]);
                write_raw(output, at, &[b'\\', b'u', b'0', b'0', high, low])
            }
            _ => write_raw(output, at, &[byte]),
        };
        index += 1;
    }
    at
}

/// Writes the record of the crate it stands in: the note, and the reference to the link anchor.
///
/// Part of [`export!`](crate::export); the host uses it alone, so that its own file says what it was built with.
#[macro_export]
macro_rules! record {
    () => {
        const _: () = {
            const NAME: &str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &str = ::core::env!("CARGO_PKG_VERSION");

            #[used]
            #[unsafe(link_section = ".note.provost")]
            static NOTE: $crate::abi::Note<{ $crate::abi::note_size(NAME, VERSION) }> =
                $crate::abi::Note::new(NAME, VERSION);

            #[used]
            static ANCHOR: fn() -> &'static $crate::abi::Built = $crate::abi::provost_link_anchor;
        };
    };
}

/// The SDK's own file says how it was built, too: when it is not the one that the host was linked with, the dynamic linker
/// ends the process before any of this can be compared, and what is left is to inspect the two files.
#[allow(unsafe_code, reason = "the section of a static, which is only read")]
mod own_record {
    crate::record!();
}
