//! What the dynamic linker reads from an ELF file: needed libraries, symbol versions, interpreter, and what it
//! exports.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use object::elf::{FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader, Sym};
use object::{Endianness, elf};

#[derive(Debug, Default, PartialEq)]
pub struct Elf {
    /// `DT_NEEDED`, in the file's order.
    pub needed: Vec<String>,
    /// `PT_INTERP`; libraries have none.
    pub interpreter: Option<String>,
    /// Symbol versions required from each needed library.
    pub wanted_versions: BTreeMap<String, BTreeSet<String>>,
    /// Symbol versions that this library defines.
    pub defined_versions: BTreeSet<String>,
}

impl Elf {
    /// Errors when `bytes` are no 64-bit ELF file that can be linked dynamically.
    /// Source: System V gABI, chapter 5; <https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html>.
    pub fn parse(bytes: &[u8]) -> Result<Elf> {
        let header = FileHeader64::<Endianness>::parse(bytes).context("not a 64-bit ELF file")?;
        let endian = header.endian().context("not an ELF file of a known byte order")?;
        let mut found = Elf::default();
        for segment in header.program_headers(endian, bytes).context("broken program headers")? {
            if segment.p_type(endian) == PT_INTERP {
                let path = segment.data(endian, bytes).ok().and_then(|path| path.strip_suffix(b"\0"));
                found.interpreter = path.map(text).transpose()?;
            }
        }
        let sections = header.sections(endian, bytes).context("broken section headers")?;
        if let Some((entries, link)) = sections.dynamic(endian, bytes).context("a broken dynamic section")? {
            let strings = sections.strings(endian, bytes, link).context("a broken string table")?;
            for entry in entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED) {
                found.needed.push(text(entry.string(endian, strings).context("a broken DT_NEEDED entry")?)?);
            }
        }
        if let Some((mut needs, link)) = sections.gnu_verneed(endian, bytes).context("broken version needs")? {
            let strings = sections.strings(endian, bytes, link).context("a broken string table")?;
            while let Some((need, mut versions)) = needs.next().context("broken version needs")? {
                let library = text(need.file(endian, strings).context("broken version needs")?)?;
                let wanted = found.wanted_versions.entry(library).or_default();
                while let Some(version) = versions.next().context("broken version needs")? {
                    wanted.insert(text(version.name(endian, strings).context("broken version needs")?)?);
                }
            }
        }
        if let Some((mut definitions, link)) =
            sections.gnu_verdef(endian, bytes).context("broken version definitions")?
        {
            let strings = sections.strings(endian, bytes, link).context("a broken string table")?;
            while let Some((_, mut names)) = definitions.next().context("broken version definitions")? {
                // The first name is the version's, the others are those that it inherits from.
                if let Some(name) = names.next().context("broken version definitions")? {
                    let name = name.name(endian, strings).context("broken version definitions")?;
                    found.defined_versions.insert(text(name)?);
                }
            }
        }
        Ok(found)
    }
}

/// The architecture of a file, with OCI's name; `None` if it is no ELF file, or for a rare architecture.
/// Source: System V gABI, chapter 4, "ELF Header": the machine stands at one place, whatever the file's class is.
pub fn architecture(bytes: &[u8]) -> Option<&'static str> {
    let machine = bytes.get(18..20).filter(|_| bytes.starts_with(&elf::ELFMAG))?;
    let machine: [u8; 2] = machine.try_into().ok()?;
    let big_endian = elf::DataEncoding(bytes[5]) == elf::ELFDATA2MSB;
    let machine = if big_endian { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    Some(match elf::Machine(machine) {
        elf::EM_X86_64 => "amd64",
        elf::EM_AARCH64 => "arm64",
        elf::EM_386 => "386",
        elf::EM_ARM => "arm",
        elf::EM_RISCV => "riscv64",
        elf::EM_PPC64 => "ppc64le",
        elf::EM_S390 => "s390x",
        _ => return None,
    })
}

/// The names of the symbols that others can be linked with, whatever their version.
pub fn exports(bytes: &[u8]) -> Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(bytes).context("not a 64-bit ELF file")?;
    let endian = header.endian().context("not an ELF file of a known byte order")?;
    let sections = header.sections(endian, bytes).context("broken section headers")?;
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM).context("a broken symbol table")?;
    let exported = symbols.iter().filter(|symbol| !symbol.is_undefined(endian) && !symbol.is_local());
    exported.map(|symbol| text(symbol.name(endian, symbols.strings()).context("a broken symbol table")?)).collect()
}

fn text(bytes: &[u8]) -> Result<String> {
    Ok(std::str::from_utf8(bytes).context("a name that is not UTF-8")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Elf, architecture};

    #[test]
    fn this_test_is_read_as_the_linker_reads_it() {
        let path = std::env::current_exe().expect("the test's own path");
        let elf = Elf::parse(&std::fs::read(path).expect("the test itself")).expect("an ELF file");
        let libc = elf.needed.iter().find(|name| name.starts_with("libc.")).expect("libc is needed");
        assert!(elf.interpreter.is_some_and(|path| path.contains("/ld-")));
        if libc == "libc.so.6" {
            assert!(elf.wanted_versions[libc].iter().all(|version| version.starts_with("GLIBC_")));
        }
        assert!(Elf::parse(b"#!/bin/sh").is_err());
    }

    #[test]
    fn machines_are_named_as_images_name_them() {
        let path = std::env::current_exe().expect("the test's own path");
        let mut bytes = std::fs::read(path).expect("the test itself");
        let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        assert_eq!(architecture(&bytes), Some(own));
        (bytes[5], bytes[18], bytes[19]) = (2, 0, 22);
        assert_eq!(architecture(&bytes), Some("s390x"));
        bytes[19] = 0xff;
        assert_eq!([architecture(&bytes), architecture(b"#!/bin/sh"), architecture(b"\x7fELF")], [None; 3]);
    }
}
