//! What holds for the reader, whatever the bytes are: it does not panic, it reads nothing beyond them (the sanitizer sees
//! that), and it needs no more memory than they have, plus a constant.

use provost_record::{
    Difference, Exports, FORMAT, Record, compare, exports, inspect, missing, read, read_sdk, seal, table_of_files,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// For the texts of a record and of an error. The largest note and the longest name are 64 KiB each.
const CONSTANT: usize = 1 << 20;

/// Runs every reader there is.
pub fn hold(bytes: &[u8]) {
    let before = USED.load(Relaxed);
    MOST.store(before, Relaxed);
    let record = read(bytes);
    let _ = read_sdk(bytes);
    let _ = exports(bytes, "PROVOST_PLUGIN");
    let _ = seal::std_digest(bytes);
    let inspected = inspect(bytes);
    let missing = [true, false].map(|known| missing(bytes, &Nothing { known }));
    let used = MOST.load(Relaxed) - before;
    assert!(used <= bytes.len() + CONSTANT, "{used} bytes were needed for a file of {}", bytes.len());
    // What is shown of it may need more: names are demangled.
    let mut shown = inspected.map(|inspection| inspection.to_string()).unwrap_or_default();
    let [known, _] = missing.map(|missing| missing.map(|missing| missing.map(|missing| missing.difference())));
    let mut differences: Vec<Difference> = known.ok().flatten().into_iter().collect();
    match record {
        Ok(record) => differences.extend(compare(&record, &wanted())),
        Err(error) => differences.push(error.difference(&wanted())),
    }
    shown += &table_of_files(&[("a.prov".to_owned(), differences)]);
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
}

/// What a host wants, and no file here is.
fn wanted() -> Record {
    let text = || "another".to_owned();
    Record {
        format: FORMAT,
        plugin: text(),
        version: text(),
        sdk: text(),
        source: text(),
        rustc: "another\nhost: one".to_owned(),
        target: text(),
        profile: text(),
        flags: text(),
        anchor: text(),
    }
}

/// Exports nothing, from all libraries or from none.
struct Nothing {
    known: bool,
}

impl Exports for Nothing {
    fn has(&self, _library: &str) -> bool {
        self.known
    }

    fn exports(&self, _symbol: &str) -> bool {
        false
    }
}

/// Counts what is in use, and the most that was.
struct Counting;

static USED: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: the system's allocator does all the work; the counters are no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        MOST.fetch_max(USED.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        USED.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps `dealloc`'s contract, and the memory is the system allocator's.
        unsafe { System.dealloc(memory, layout) }
    }
}
