//! Appends a section to an ELF file. Nothing that is loaded moves: the section and a new section header table go to the end.
//! Source: System V ABI, "Sections", <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.sheader.html>.

use anyhow::{Context, Result, ensure};
use object::elf::{FileHeader64, SHN_LORESERVE, SHT_PROGBITS, SectionFlags, SectionHeader64};
use object::read::elf::{FileHeader, SectionHeader};
use object::{Endianness, U16, U32, U64};

/// Where the header has the table's offset, the number of sections, and the index of their names.
const TABLE: usize = 0x28;
const COUNT: usize = 0x3c;
const ALIGNMENT: usize = 8;

/// The content of the section of this name, if there is one.
pub fn section<'a>(bytes: &'a [u8], name: &str) -> Result<Option<&'a [u8]>> {
    let header = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let found = header.sections(endian, bytes)?.section_by_name(endian, name.as_bytes());
    Ok(found.map(|(_, section)| section.data(endian, bytes)).transpose()?)
}

/// Appends a section that is not loaded.
///
/// # Errors
///
/// If it is no ELF file of 64 bits, or has too many sections for its header.
pub fn append(bytes: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<()> {
    let header = FileHeader64::<Endianness>::parse(bytes.as_slice())?;
    let endian = header.endian()?;
    let sections = header.sections(endian, bytes.as_slice())?;
    let index = usize::from(header.e_shstrndx.get(endian).0);
    let (mut table, count): (Vec<SectionHeader64<Endianness>>, _) =
        (sections.iter().copied().collect(), sections.len());
    ensure!(count > index && count + 1 < usize::from(SHN_LORESERVE), "its section header table has {count} entries");
    let (names_at, names_size) = range(&table[index], endian).context("its names of sections lie outside of it")?;
    let mut names =
        bytes.get(names_at..names_at + names_size).context("its names of sections lie outside of it")?.to_vec();

    let name_at = names.len();
    names.extend(name.as_bytes());
    names.push(0);
    let names_offset = place(bytes, &names);
    table[index].sh_offset = U64::new(endian, names_offset as u64);
    table[index].sh_size = U64::new(endian, names.len() as u64);
    let content_offset = place(bytes, content);
    table.push(SectionHeader64 {
        sh_name: U32::new(endian, u32::try_from(name_at)?),
        sh_type: U32::new(endian, SHT_PROGBITS),
        sh_flags: U64::new(endian, SectionFlags(0)),
        sh_addr: U64::new(endian, 0),
        sh_offset: U64::new(endian, content_offset as u64),
        sh_size: U64::new(endian, content.len() as u64),
        sh_link: U32::new(endian, 0),
        sh_info: U32::new(endian, 0),
        sh_addralign: U64::new(endian, 1),
        sh_entsize: U64::new(endian, 0),
    });
    let table_offset = place(bytes, object::pod::bytes_of_slice(&table));
    let (offset, entries) = (U64::new(endian, table_offset as u64), U16::new(endian, u16::try_from(count + 1)?));
    bytes[TABLE..TABLE + 8].copy_from_slice(object::pod::bytes_of(&offset));
    bytes[COUNT..COUNT + 2].copy_from_slice(object::pod::bytes_of(&entries));
    Ok(())
}

fn range(section: &SectionHeader64<Endianness>, endian: Endianness) -> Option<(usize, usize)> {
    let (offset, size) = (section.sh_offset.get(endian), section.sh_size.get(endian));
    Some((usize::try_from(offset).ok()?, usize::try_from(size).ok()?))
}

/// Appends, aligned; returns the offset.
fn place(bytes: &mut Vec<u8>, content: &[u8]) -> usize {
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
    let offset = bytes.len();
    bytes.extend(content);
    offset
}

#[cfg(test)]
mod tests {
    use object::{Object, ObjectSection};

    use super::{append, section};

    /// This test's own program.
    #[test]
    fn a_section_is_added_and_all_others_stay() {
        let before = std::fs::read(std::env::current_exe().expect("a path")).expect("a program");
        let mut after = before.clone();
        append(&mut after, ".words", b"hello").expect("an ELF file");
        assert_eq!(section(&before, ".words").expect("an ELF file"), None);
        assert_eq!(section(&after, ".words").expect("an ELF file"), Some(b"hello".as_slice()));
        let sections = |bytes: &[u8]| -> Vec<(String, u64, Vec<u8>)> {
            let file = object::File::parse(bytes).expect("an ELF file");
            let all = file.sections().map(|section| {
                let name = section.name().expect("a name").to_owned();
                (name, section.address(), section.data().expect("content").to_vec())
            });
            all.filter(|(name, _, _)| name != ".shstrtab").collect()
        };
        let mut expected = sections(&before);
        expected.push((".words".to_owned(), 0, b"hello".to_vec()));
        assert_eq!(sections(&after), expected);
        // What is loaded lies where it lay.
        assert_eq!(after[0x40..before.len()], before[0x40..]);
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        for mut bytes in [Vec::new(), b"\x7fELF".to_vec(), vec![0; 64]] {
            assert!(append(&mut bytes, ".words", b"hello").is_err());
        }
    }
}
