//! The corpus: files that are no plugins of this host, each made of a real plugin by one edit.

use crate::corpus::plugin::{Plugin, field};

/// One file, and what the host says of it.
pub struct Case {
    pub name: &'static str,
    pub bytes: fn(&Plugin) -> Vec<u8>,
    /// The cells of its rows, but for the file; `[RUSTC]` and the like stand for what the host's own record says.
    pub rows: &'static [&'static str],
}

impl Case {
    /// Its rows of the table, for a file in a directory of its name.
    pub fn rows(&self, plugin: &Plugin) -> String {
        plugin.filled(&format!("@/{}/file.prov | {}\n", self.name, self.rows.join("\n")))
    }
}

const NIGHTLY: &str = "rustc 1.92.0-nightly (a5ac93d11 2025-10-20)
binary: rustc
commit-hash: a5ac93d11f0f6a1d0b7a7b1b0f3c8a6b3a5c9d21
commit-date: 2025-10-20
host: x86_64-unknown-linux-gnu
release: 1.92.0-nightly
LLVM version: 21.1.3
";

/// As a distribution's own compiler says.
const DISTRIBUTION: &str = "rustc 1.90.0 (1159e78c4 2025-09-14) (built from a source tarball)
binary: rustc
commit-hash: unknown
commit-date: 2025-09-14
host: x86_64-unknown-linux-gnu
release: 1.90.0
LLVM version: 20.1.8
";

/// Other files than ELF, and ELF for other machines.
pub const FILES: &[Case] = &[
    Case { name: "text", bytes: |_| b"not a plugin\n".to_vec(), rows: &["file | not an ELF file | [OBJECT]"] },
    Case { name: "pe", bytes: |_| windows(), rows: &["file | not an ELF file | [OBJECT]"] },
    Case { name: "mach-o", bytes: |_| macos(), rows: &["file | not an ELF file | [OBJECT]"] },
    Case {
        name: "32-bit",
        bytes: |plugin| plugin.with(field::CLASS, 1),
        rows: &["file | not a 64-bit little-endian ELF file | [OBJECT]"],
    },
    Case {
        name: "big-endian",
        bytes: |plugin| plugin.with(field::ENDIANNESS, 2),
        rows: &["file | not a 64-bit little-endian ELF file | [OBJECT]"],
    },
    Case {
        name: "other-machine",
        bytes: |plugin| plugin.with(field::MACHINE, plugin.other_machine()),
        rows: &["file | an ELF file of e_machine [OTHER MACHINE] | [OBJECT]"],
    },
    Case {
        name: "s390x",
        bytes: |plugin| plugin.with(field::MACHINE, 22),
        rows: &["file | an ELF file of e_machine 22 | [OBJECT]"],
    },
    Case {
        name: "executable",
        bytes: |plugin| plugin.with(field::TYPE, 2),
        rows: &["file | an ELF file of e_type 2 | [OBJECT]"],
    },
];

/// Plugins of another build.
pub const BUILDS: &[Case] = &[
    Case {
        name: "sdk-version",
        bytes: |plugin| plugin.with_record(|record| record["sdk"] = "0.0.9".into()),
        rows: &["sdk | 0.0.9 | [SDK]"],
    },
    Case {
        name: "sdk-source",
        bytes: |plugin| plugin.with_record(|record| record["source"] = "00".repeat(32).into()),
        rows: &["source | 0000000000000000000000000000000000000000000000000000000000000000 | [SOURCE]"],
    },
    Case {
        name: "nightly",
        bytes: |plugin| plugin.with_record(|record| record["rustc"] = NIGHTLY.into()),
        rows: &[
            "rustc | rustc 1.92.0-nightly (a5ac93d11 2025-10-20) | [RUSTC]",
            "commit-hash: a5ac93d11f0f6a1d0b7a7b1b0f3c8a6b3a5c9d21 | [commit-hash]",
            "commit-date: 2025-10-20 | [commit-date]",
            "release: 1.92.0-nightly | [release]",
            "LLVM version: 21.1.3 | [LLVM version]",
        ],
    },
    Case {
        name: "other-libc",
        bytes: |plugin| plugin.with_record(|record| record["target"] = plugin.other_libc().into()),
        rows: &["target | [OTHER LIBC] | [TARGET]"],
    },
    Case {
        name: "other-builder",
        bytes: |plugin| {
            plugin.with_record(|record| {
                record["rustc"] = DISTRIBUTION.into();
                record["target"] = plugin.other_libc().into();
            })
        },
        rows: &[
            "rustc | rustc 1.90.0 (1159e78c4 2025-09-14) (built from a source tarball) | [RUSTC]",
            "commit-hash: unknown | [commit-hash]",
            "commit-date: 2025-09-14 | [commit-date]",
            "release: 1.90.0 | [release]",
            "LLVM version: 20.1.8 | [LLVM version]",
            "target | [OTHER LIBC] | [TARGET]",
        ],
    },
    Case {
        name: "debug",
        bytes: |plugin| {
            let profile = "opt-level 0, debug-assertions on, panic unwind";
            plugin.with_record(|record| record["profile"] = profile.into())
        },
        rows: &["profile | opt-level 0, debug-assertions on, panic unwind | [PROFILE]"],
    },
    Case {
        name: "panic-abort",
        bytes: |plugin| {
            let profile = plugin.record.profile.replace("unwind", "abort");
            plugin.with_record(|record| record["profile"] = profile.into())
        },
        rows: &["profile | opt-level 3, debug-assertions off, panic abort | [PROFILE]"],
    },
    Case {
        name: "sdk-anchor",
        bytes: |plugin| plugin.replaced(&plugin.record.anchor, &plugin.other_anchor()),
        rows: &["anchor | [OTHER ANCHOR] | [ANCHOR]"],
    },
    Case {
        name: "no-anchor",
        bytes: |plugin| {
            let other = plugin.record.anchor.replace("link_anchor", "link_hawser");
            plugin.replaced(&plugin.record.anchor, &other)
        },
        rows: &["anchor | none | [ANCHOR]"],
    },
];

/// Records that are none.
pub const NOTES: &[Case] = &[
    Case {
        name: "no-note",
        bytes: |plugin| plugin.replaced("\0.note.provost\0", "\0.note.another\0"),
        rows: &["record | none: not exported with `provost_sdk::export!` | format 2"],
    },
    Case {
        name: "later-format",
        bytes: |plugin| plugin.with_text(br#"{"format":3,"all":"new"}"#),
        rows: &["format | 3 | 2"],
    },
    Case {
        name: "earlier-format",
        bytes: |plugin| plugin.with_record(|record| record["format"] = 0.into()),
        rows: &["format | 0 | 2"],
    },
    Case {
        name: "no-json",
        bytes: |plugin| plugin.with_text(b"\xff\xfe"),
        rows: &["record | broken: expected value at line 1 column 1 | format 2"],
    },
    Case {
        name: "too-few-fields",
        bytes: |plugin| plugin.with_text(br#"{"format":2}"#),
        rows: &["record | broken: missing field `plugin` at line 1 column 12 | format 2"],
    },
    Case {
        name: "terminal",
        bytes: |plugin| plugin.with_record(|record| record["sdk"] = "\x1b[2J0.1.0".into()),
        rows: &["sdk | \\u{1b}[2J0.1.0 | [SDK]"],
    },
    Case {
        name: "text-too-long",
        bytes: |plugin| plugin.with_note_size(field::TEXT_SIZE, 1 << 20),
        rows: &["record | broken: the note is larger than its section | format 2"],
    },
    Case {
        name: "text-without-end",
        bytes: |plugin| plugin.with_note_size(field::TEXT_SIZE, u32::MAX),
        rows: &["record | broken: the note is larger than its section | format 2"],
    },
    Case {
        name: "text-too-short",
        bytes: |plugin| plugin.with_note_size(field::TEXT_SIZE, 16),
        rows: &["record | broken: there is more than one note | format 2"],
    },
    Case {
        name: "name-too-long",
        bytes: |plugin| plugin.with_note_size(field::NAME_SIZE, u32::MAX),
        rows: &["record | broken: the note's owner is another | format 2"],
    },
    Case {
        name: "section-too-large",
        bytes: |plugin| plugin.with_section(field::SIZE, u64::MAX),
        rows: &["file | a broken ELF file: Invalid ELF section size or offset | [OBJECT]"],
    },
    Case {
        name: "section-elsewhere",
        bytes: |plugin| plugin.with_section(field::OFFSET, u64::MAX - 8),
        rows: &["file | a broken ELF file: Invalid ELF section size or offset | [OBJECT]"],
    },
    Case {
        name: "section-empty",
        bytes: |plugin| plugin.with_section(field::SIZE, 0),
        rows: &["record | broken: the section ends inside the note's header | format 2"],
    },
];

/// A PE file's two headers.
fn windows() -> Vec<u8> {
    let mut bytes = vec![0; 256];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[60] = 128;
    bytes[128..134].copy_from_slice(b"PE\0\0\x64\x86");
    bytes
}

/// A 64-bit Mach-O file's header: x86-64, a dynamic library.
fn macos() -> Vec<u8> {
    let words: [u32; 8] = [0xfeed_facf, 0x0100_0007, 3, 6, 0, 0, 0x85, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
