//! Files of plugins with one to four changed bytes: the built host refuses each before anything maps it, and never ends otherwise.

use crate::support::random::Random;
use crate::support::{dir, dist, print, write_config};
use std::ops::Range;
use std::process::Command;
use std::thread;

/// Where a file's changes matter most, and the last: anywhere.
const KINDS: usize = 5;

/// How many files one host is given.
const TOGETHER: usize = 100;

/// Changes so many files, each in one to four bytes, and starts the host with them.
pub fn check(mutants: usize) {
    let bytes = std::fs::read(dist().join("file.prov")).expect("the plugin is there");
    let places = places(&bytes);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let (bytes, places) = (&bytes, &places);
    let refused: usize = thread::scope(|scope| {
        let check = move |thread: usize| {
            let seeds = (0..mutants).skip(thread * TOGETHER).step_by(threads * TOGETHER);
            seeds.map(|seed| refused(bytes, places, seed..mutants.min(seed + TOGETHER))).sum::<usize>()
        };
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || check(thread))).collect();
        running.into_iter().map(|thread| thread.join().expect("no mutant was loaded")).sum()
    });
    print(&format!("mutants: {refused} changed plugins refused"));
}

fn mutant(bytes: &[u8], places: &[Vec<Range<usize>>; KINDS], seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = bytes.to_vec();
    let kind = &places[random.below(KINDS)];
    for _ in 0..=random.below(4) {
        let range = &kind[random.below(kind.len())];
        let at = range.start + random.below(range.len());
        // Never by nothing: then it would be the file that was built.
        let change = 1 + random.below(255) as u8;
        bytes[at] ^= change;
    }
    bytes
}

/// The host refuses every one of them; returns how many there are. Two changes of one byte may undo each other: that is no mutant.
fn refused(bytes: &[u8], places: &[Vec<Range<usize>>; KINDS], seeds: Range<usize>) -> usize {
    let dir = dir();
    write_config(dir.path(), "");
    let mut command = Command::new(dist().join("provost"));
    command.current_dir(dir.path()).env_clear().args(["--config", "config.toml", "--check"]);
    let mut given = 0;
    for seed in seeds.clone() {
        let mutant = mutant(bytes, places, seed as u64);
        if mutant != bytes {
            let name = format!("{seed}.prov");
            std::fs::write(dir.path().join(&name), mutant).expect("a temporary file");
            command.args(["--prov", &name]);
            given += 1;
        }
    }
    let output = command.output().expect("the host starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("error: {given} of {given} plugins are refused, and none is loaded\n");
    assert!(output.status.code() == Some(1) && said.starts_with(&expected), "{seeds:?}: {}: {said}", output.status);
    given
}

/// The header, the program headers, the tables that the dynamic linker reads, the section headers, all of the file.
fn places(bytes: &[u8]) -> [Vec<Range<usize>>; KINDS] {
    const TABLES: [u32; 9] = [3, 4, 5, 6, 7, 11, 0x6fff_fff6, 0x6fff_fffe, 0x6fff_ffff];
    let number = |at: usize, size: usize| {
        bytes[at..at + size].iter().rev().fold(0, |number: usize, byte| number << 8 | usize::from(*byte))
    };
    let (programs, sections) = (number(32, 8), number(40, 8));
    let (program_size, program_count) = (number(54, 2), number(56, 2));
    let (size, count) = (number(58, 2), number(60, 2));
    let table = |index: usize| {
        let header = sections + index * size;
        let is_table = TABLES.contains(&u32::try_from(number(header + 4, 4)).expect("four bytes"));
        let start = number(header + 24, 8);
        (is_table && number(header + 32, 8) > 0).then(|| start..start + number(header + 32, 8))
    };
    let tables: Vec<_> = (0..count).filter_map(table).collect();
    assert!(tables.len() > 6, "strings, relocations, hash, dynamic section, notes, symbols, versions");
    let headers = programs..programs + program_size * program_count;
    let one = |range: Range<usize>| std::iter::once(range).collect();
    [one(0..64), one(headers), tables, one(sections..sections + size * count), one(0..bytes.len())]
}
