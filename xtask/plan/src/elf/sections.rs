//! Which section two ELF files differ in.

use std::collections::BTreeMap;

use memchr::memmem;
use object::Endianness;
use object::elf::FileHeader64;
use object::read::elf::{FileHeader, SectionHeader};

/// A hash of everything else: it differs because something else does.
const BUILD_ID: &str = ".note.gnu.build-id";

/// The same for the seal, which is the last field of the ABI record.
const SEAL: &[u8] = b"\"seal\":\"";

/// A section of two files.
#[derive(Debug)]
pub struct Section {
    pub name: String,
    pub one: Vec<u8>,
    pub two: Vec<u8>,
}

impl Section {
    /// Whether it differs in a hash over the file alone.
    fn is_hash(&self) -> bool {
        let before_seal = |bytes: &[u8]| memmem::find(bytes, SEAL).map(|at| bytes[..at].to_vec());
        self.name == BUILD_ID
            || self.name == provost_record::SECTION && before_seal(&self.one) == before_seal(&self.two)
    }
}

/// The section that explains a difference, and where in it: `None` if one of them is no ELF file, or no section differs.
/// A section with another size moves the others, so their addresses differ too. It goes first.
pub fn first_difference(one: &[u8], two: &[u8]) -> Option<(Section, usize)> {
    let (one, mut two) = (sections(one)?, sections(two)?.into_iter().collect::<BTreeMap<_, _>>());
    let mut differing: Vec<Section> = one
        .into_iter()
        .map(|((name, index), one)| Section { two: two.remove(&(name.clone(), index)).unwrap_or_default(), name, one })
        .filter(|section| section.one != section.two)
        .collect();
    differing.extend(two.into_iter().map(|((name, _), two)| Section { name, one: Vec::new(), two }));
    // A stable sort: equal elements stay in the file's order.
    differing.sort_by_key(|section| (section.is_hash(), section.one.len() == section.two.len()));
    let section = differing.into_iter().next()?;
    let at = first_byte(&section.one, &section.two);
    Some((section, at))
}

/// A name, and how many earlier sections have the same name.
type Key = (String, usize);

/// In the file's order.
fn sections(bytes: &[u8]) -> Option<Vec<(Key, Vec<u8>)>> {
    let header = FileHeader64::<Endianness>::parse(bytes).ok()?;
    let endian = header.endian().ok()?;
    let table = header.sections(endian, bytes).ok()?;
    let mut found: Vec<(Key, Vec<u8>)> = Vec::new();
    for section in table.iter() {
        let name = String::from_utf8_lossy(table.section_name(endian, section).ok()?).into_owned();
        let same = found.iter().filter(|((other, _), _)| *other == name).count();
        found.push(((name, same), section.data(endian, bytes).ok()?.to_vec()));
    }
    Some(found)
}

/// The first offset at which they differ.
pub fn first_byte(one: &[u8], two: &[u8]) -> usize {
    let equal = one.iter().zip(two).take_while(|(one, two)| one == two);
    equal.count()
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use object::Endianness;
    use object::elf::{FileHeader64, SectionHeader64};
    use object::read::elf::{FileHeader, SectionHeader};

    use super::first_difference;

    /// Offsets of a section's content and header in this test's own file.
    fn places(bytes: &[u8], wanted: &str) -> (usize, usize) {
        let header = FileHeader64::<Endianness>::parse(bytes).expect("an ELF file");
        let endian = header.endian().expect("its order of bytes");
        let table = header.sections(endian, bytes).expect("sections");
        let (index, section) = table.section_by_name(endian, wanted.as_bytes()).expect("the section");
        let headers = header.e_shoff.get(endian) as usize;
        let size = size_of::<SectionHeader64<Endianness>>();
        (section.sh_offset(endian) as usize, headers + index.0 * size)
    }

    fn check(edit: impl FnOnce(&mut [u8]), expected: Option<(&str, usize)>) {
        let one = std::fs::read(std::env::current_exe().expect("this test's path")).expect("this test");
        let mut two = one.clone();
        edit(&mut two);
        let found = first_difference(&one, &two);
        assert_eq!(found.as_ref().map(|(section, at)| (section.name.as_str(), *at)), expected);
    }

    #[test]
    fn the_section_that_explains_a_difference_is_named() {
        check(|_| {}, None);
        check(|bytes| bytes[..4].fill(0), None);
        check(|bytes| bytes[places(bytes, ".rodata").0 + 9] ^= 1, Some((".rodata", 9)));
        // Another size explains more than another address does.
        check(
            |bytes| {
                let text = places(bytes, ".text").0;
                let size = places(bytes, ".comment").1 + offset_of!(SectionHeader64<Endianness>, sh_size);
                bytes[text] ^= 1;
                bytes[size..size + 8].copy_from_slice(&4_u64.to_ne_bytes());
            },
            Some((".comment", 4)),
        );
    }
}
