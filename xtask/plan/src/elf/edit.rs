//! Edits the sections of an ELF file. Nothing that is loaded moves: what is new, and the section header table, go to the end.
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
    let mut sections = Sections::take(bytes)?;
    let (endian, name_at) = (sections.endian, sections.names.len());
    sections.names.extend(name.as_bytes());
    sections.names.push(0);
    let offset = place(bytes, content);
    sections.table.push(SectionHeader64 {
        sh_name: U32::new(endian, u32::try_from(name_at)?),
        sh_type: U32::new(endian, SHT_PROGBITS),
        sh_flags: U64::new(endian, SectionFlags(0)),
        sh_addr: U64::new(endian, 0),
        sh_offset: U64::new(endian, offset as u64),
        sh_size: U64::new(endian, content.len() as u64),
        sh_link: U32::new(endian, 0),
        sh_info: U32::new(endian, 0),
        sh_addralign: U64::new(endian, 1),
        sh_entsize: U64::new(endian, 0),
    });
    sections.put(bytes)
}

/// Empties the section of this name, if there is one and it is not loaded.
///
/// # Errors
///
/// If it is no ELF file of 64 bits.
pub fn empty(bytes: &mut Vec<u8>, name: &str) -> Result<()> {
    if section(bytes, name)?.is_none_or(<[u8]>::is_empty) {
        return Ok(());
    }
    let mut sections = Sections::take(bytes)?;
    let Sections { endian, loaded, .. } = sections;
    let header = sections.find(name).context("its names of sections lie outside of it")?;
    let (at, size) = range(header, endian).context("a section lies outside of it")?;
    if at >= loaded {
        header.sh_size = U64::new(endian, 0);
        // What follows it keeps its place; zeros take none where it is compressed.
        bytes.get_mut(at..at + size).context("a section lies outside of it")?.fill(0);
        cut(bytes, at, size, loaded);
    }
    sections.put(bytes)
}

/// The section header table, and the names of sections, taken from the end of a file.
struct Sections {
    endian: Endianness,
    table: Vec<SectionHeader64<Endianness>>,
    names: Vec<u8>,
    /// Which section has the names.
    index: usize,
    /// Where all that is loaded ends.
    loaded: usize,
}

impl Sections {
    fn take(bytes: &mut Vec<u8>) -> Result<Self> {
        let header = FileHeader64::<Endianness>::parse(bytes.as_slice())?;
        let endian = header.endian()?;
        let table: Vec<_> = header.sections(endian, bytes.as_slice())?.iter().copied().collect();
        let index = usize::from(header.e_shstrndx.get(endian).0);
        let few = table.len() > index && table.len() < usize::from(SHN_LORESERVE);
        ensure!(few, "its section header table has {} entries", table.len());
        let (at, size) = range(&table[index], endian).context("its names of sections lie outside of it")?;
        let names = bytes.get(at..).and_then(|rest| rest.get(..size));
        let names = names.context("its names of sections lie outside of it")?.to_vec();
        let table_at = usize::try_from(header.e_shoff.get(endian))?;
        let segments = header.program_headers(endian, bytes.as_slice())?.iter();
        let ends = segments.map(|segment| segment.p_offset.get(endian).saturating_add(segment.p_filesz.get(endian)));
        let loaded = usize::try_from(ends.max().unwrap_or_default())?;
        cut(bytes, table_at, size_of_val(table.as_slice()), loaded);
        cut(bytes, at, size, loaded);
        Ok(Self { endian, table, names, index, loaded })
    }

    fn find(&mut self, name: &str) -> Option<&mut SectionHeader64<Endianness>> {
        let Self { endian, table, names, .. } = self;
        let is_it = |section: &&mut SectionHeader64<Endianness>| {
            let name_at = usize::try_from(section.sh_name.get(*endian)).ok();
            let found = name_at.and_then(|at| names.get(at..)?.split(|byte| *byte == 0).next());
            found == Some(name.as_bytes())
        };
        table.iter_mut().find(is_it)
    }

    fn put(mut self, bytes: &mut Vec<u8>) -> Result<()> {
        let Self { endian, index, .. } = self;
        let count = self.table.len();
        ensure!(count < usize::from(SHN_LORESERVE), "its section header table has {count} entries");
        let names_at = place(bytes, &self.names);
        self.table[index].sh_offset = U64::new(endian, names_at as u64);
        self.table[index].sh_size = U64::new(endian, self.names.len() as u64);
        let at = place(bytes, object::pod::bytes_of_slice(&self.table));
        let (offset, count) = (U64::new(endian, at as u64), U16::new(endian, u16::try_from(count)?));
        bytes[TABLE..TABLE + 8].copy_from_slice(object::pod::bytes_of(&offset));
        bytes[COUNT..COUNT + 2].copy_from_slice(object::pod::bytes_of(&count));
        Ok(())
    }
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

    use super::{append, empty, section};

    /// Name, address and content of each section but that of the names.
    fn sections(bytes: &[u8]) -> Vec<(String, u64, Vec<u8>)> {
        let file = object::File::parse(bytes).expect("an ELF file");
        let all = file.sections().map(|section| {
            let name = section.name().expect("a name").to_owned();
            (name, section.address(), section.data().expect("content").to_vec())
        });
        all.filter(|(name, _, _)| name != ".shstrtab").collect()
    }

    /// What is loaded lies where it lay.
    fn check_loaded(before: &[u8], after: &[u8]) {
        let file = object::File::parse(before).expect("an ELF file");
        for (at, size) in file.segments().map(|segment| segment.file_range()) {
            let (at, end) =
                (usize::try_from(at).expect("an offset").max(0x40), usize::try_from(at + size).expect("an offset"));
            assert_eq!(after.get(at..end), before.get(at..end));
        }
    }

    /// This test's own program.
    fn program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().expect("a path")).expect("a program")
    }

    #[test]
    fn a_section_is_added_and_all_others_stay() {
        let before = program();
        let mut after = before.clone();
        append(&mut after, ".words", b"hello").expect("an ELF file");
        assert_eq!(section(&before, ".words").expect("an ELF file"), None);
        assert_eq!(section(&after, ".words").expect("an ELF file"), Some(b"hello".as_slice()));
        let mut expected = sections(&before);
        expected.push((".words".to_owned(), 0, b"hello".to_vec()));
        assert_eq!(sections(&after), expected);
        check_loaded(&before, &after);
        // The table is not there twice.
        assert!(after.len() < before.len() + 64 * expected.len(), "{} and {}", before.len(), after.len());
    }

    #[test]
    fn a_section_is_emptied_and_its_bytes_are_gone() {
        let (mut before, words) = (program(), [0xa7; 5000]);
        append(&mut before, ".words", &words).expect("an ELF file");
        let mut after = before.clone();
        empty(&mut after, ".words").expect("an ELF file");
        let mut expected = sections(&before);
        expected.last_mut().expect("the one that was added").2.clear();
        assert_eq!(sections(&after), expected);
        check_loaded(&before, &after);
        assert!(after.len() <= before.len() - words.len(), "{} and {}", before.len(), after.len());
        // Not the last one.
        append(&mut before, ".more", b"more").expect("an ELF file");
        empty(&mut before, ".words").expect("an ELF file");
        expected.push((".more".to_owned(), 0, b"more".to_vec()));
        assert_eq!(sections(&before), expected);
        assert!(!before.windows(words.len()).any(|window| window == words), "its bytes are still there");
    }

    #[test]
    fn what_is_loaded_or_not_there_is_not_emptied() {
        let before = program();
        for name in [".text", ".words"] {
            let mut after = before.clone();
            empty(&mut after, name).expect("an ELF file");
            assert_eq!(sections(&after), sections(&before), "{name}");
            check_loaded(&before, &after);
        }
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        for mut bytes in [Vec::new(), b"\x7fELF".to_vec(), vec![0; 64]] {
            assert!(append(&mut bytes, ".words", b"hello").is_err());
            assert!(empty(&mut bytes, ".words").is_err());
        }
    }
}
