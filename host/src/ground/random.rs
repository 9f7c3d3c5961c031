//! Random bits for ids and pauses, which nobody gains from guessing. Secrets come from the system, which is asked for each.

use std::hash::{BuildHasher, Hasher, RandomState};

/// They cost no system call: a thread asks the system once, and each `RandomState` after that has keys of its own.
pub fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::thread;

    #[test]
    fn no_bits_come_twice() {
        let threads: Vec<_> = (0..8).map(|_| thread::spawn(|| [(); 1000].map(|()| bits()))).collect();
        let all: BTreeSet<u64> = threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(all.len(), 8000);
        // Each bit is set in about half of them: 4000, by six standard deviations.
        for bit in 0..64 {
            let set = all.iter().filter(|bits| *bits >> bit & 1 == 1).count();
            assert!((3730..4270).contains(&set), "bit {bit} is set in {set} of 8000");
        }
    }
}
