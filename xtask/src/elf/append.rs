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
    let names = bytes.get(names_at..).and_then(|rest| rest.get(..names_size));
    let mut names = names.context("its names of sections lie outside of it")?.to_vec();

    let table_at = usize::try_from(header.e_shoff.get(endian))?;
    let segments = header.program_headers(endian, bytes.as_slice())?.iter();
    let ends = segments.map(|segment| segment.p_offset.get(endian).saturating_add(segment.p_filesz.get(endian)));
    let loaded = usize::try_from(ends.max().unwrap_or_default())?;
    cut(bytes, table_at, size_of_val(table.as_slice()), loaded);
    cut(bytes, names_at, names_size, loaded);

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

/// Takes away what is replaced, if nothing but it is at the end of the file, behind all that is loaded: linkers write the names and the
/// table there.
fn cut(bytes: &mut Vec<u8>, at: usize, size: usize, loaded: usize) {
    let rest = at.checked_add(size).and_then(|end| bytes.len().checked_sub(end));
    if at >= loaded && rest.is_some_and(|rest| rest < ALIGNMENT) {
        bytes.truncate(at);
    }
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
    use object::{Object, ObjectSection, ObjectSegment};

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
        // What is loaded lies where it lay, and the table is not there twice.
        let file = object::File::parse(before.as_slice()).expect("an ELF file");
        let ranges = file.segments().map(|segment| segment.file_range());
        for (at, size) in ranges {
            let (at, end) =
                (usize::try_from(at).expect("an offset").max(0x40), usize::try_from(at + size).expect("an offset"));
            assert_eq!(after.get(at..end), before.get(at..end));
        }
        assert!(after.len() < before.len() + 64 * expected.len(), "{} and {}", before.len(), after.len());
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        for mut bytes in [Vec::new(), b"\x7fELF".to_vec(), vec![0; 64]] {
            assert!(append(&mut bytes, ".words", b"hello").is_err());
        }
    }
}
