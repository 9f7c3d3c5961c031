//! How often something may happen in a second. Source: the generic cell rate algorithm, ITU-T I.371.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A rate that is kept.
pub struct Rate {
    per_second: u32,
    /// How much of the time to come may be used at once.
    burst: Duration,
    /// When the next one of many that never pause would be due.
    due: Mutex<Instant>,
}

impl Rate {
    /// So many in a second, at least one, all of which may come at once.
    pub fn in_bursts(per_second: u32) -> Self {
        Self::new(per_second, Duration::from_secs(1))
    }

    /// So many in a second, at least one, evenly spaced: no second has more, wherever it begins.
    pub fn evenly(per_second: u32) -> Self {
        Self::new(per_second, Duration::ZERO)
    }

    fn new(per_second: u32, burst: Duration) -> Self {
        Self { per_second: per_second.max(1), burst, due: Mutex::new(Instant::now()) }
    }

    /// How many in a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Counts one now.
    ///
    /// # Errors
    ///
    /// After which time there may be one, and then none is counted.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        self.reserve(now, Duration::ZERO).map(|_| ())
    }

    /// Counts one at the first time at which there may be one. Returns how long that is from `now`.
    ///
    /// # Errors
    ///
    /// The same when it is longer than `longest`, and then none is counted.
    pub fn reserve(&self, now: Instant, longest: Duration) -> Result<Duration, Duration> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let interval = Duration::from_secs(1) / self.per_second;
        let next = (*due).max(now) + interval;
        let wait = (next - now).saturating_sub(self.burst.max(interval));
        if wait > longest {
            return Err(wait);
        }
        *due = next;
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_a_seconds_worth() {
        let begin = Instant::now() + Duration::from_secs(1);
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let rate = Rate::in_bursts(4);
        for _ in 0..4 {
            assert_eq!(rate.take(at(0)), Ok(()));
        }
        assert_eq!(rate.take(at(0)), Err(Duration::from_millis(250)));
        assert_eq!(rate.take(at(249)), Err(Duration::from_millis(1)));
        assert_eq!(rate.take(at(250)), Ok(()));
        // A pause saves no more than a second's messages.
        for _ in 0..4 {
            assert_eq!(rate.take(at(60_000)), Ok(()));
        }
        assert_eq!(rate.take(at(60_000)), Err(Duration::from_millis(250)));
        let slow = Rate::in_bursts(1);
        assert_eq!(slow.take(at(120_000)), Ok(()));
        assert_eq!(slow.take(at(120_000)), Err(Duration::from_secs(1)));
    }

    #[test]
    fn who_waits_is_spaced() {
        let begin = Instant::now() + Duration::from_secs(1);
        let (rate, longest) = (Rate::evenly(4), Duration::from_millis(500));
        for expected in [0, 250, 500] {
            assert_eq!(rate.reserve(begin, longest), Ok(Duration::from_millis(expected)));
        }
        assert_eq!(rate.reserve(begin, longest), Err(Duration::from_millis(750)));
        assert_eq!(rate.reserve(begin + Duration::from_secs(60), longest), Ok(Duration::ZERO), "a pause saves none");
        assert_eq!(rate.take(begin + Duration::from_secs(60)), Err(Duration::from_millis(250)));
    }
}
