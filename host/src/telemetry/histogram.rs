//! How long things took: one kind of histogram for deliveries and for requests.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of how long they took, in milliseconds.
pub const BUCKETS: [u64; 11] = [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

/// Counts durations without a lock.
#[derive(Default)]
pub struct Histogram {
    /// The last has no bound.
    counts: [AtomicU64; BUCKETS.len() + 1],
    microseconds: AtomicU64,
}

impl Histogram {
    /// Nothing was counted.
    pub const fn new() -> Self {
        Self { counts: [const { AtomicU64::new(0) }; BUCKETS.len() + 1], microseconds: AtomicU64::new(0) }
    }

    /// Counts what took this long.
    pub fn count(&self, took: Duration) {
        let bucket = BUCKETS.iter().position(|bound| took <= Duration::from_millis(*bound));
        self.counts[bucket.unwrap_or(BUCKETS.len())].fetch_add(1, Ordering::Relaxed);
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.microseconds.fetch_add(microseconds, Ordering::Relaxed);
    }

    /// How many took no longer than each of [`BUCKETS`], and at last how many there were.
    pub fn counts(&self) -> [u64; BUCKETS.len() + 1] {
        let mut all = 0;
        self.counts.each_ref().map(|count| {
            all += count.load(Ordering::Relaxed);
            all
        })
    }

    /// How long all took together, in seconds.
    pub fn seconds(&self) -> f64 {
        self.microseconds.load(Ordering::Relaxed) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bucket_has_those_before_it() {
        let histogram = Histogram::new();
        for milliseconds in [0, 5, 6, 10_000, 10_001] {
            histogram.count(Duration::from_millis(milliseconds));
        }
        assert_eq!(histogram.counts(), [2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 5]);
        assert_eq!(histogram.seconds(), 20.012);
    }
}
