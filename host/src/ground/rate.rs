//! How often something may happen in a second. Source: the generic cell rate algorithm, ITU-T I.371.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A rate that is kept.
pub struct Rate {
    per_second: u32,
    /// How much of the time to come may be used at once.
    burst: Duration,
    times: Mutex<Times>,
}

struct Times {
    /// When the next one of many that never pause would be due.
    due: Instant,
    /// Times before that, which were given back.
    free: BTreeSet<Instant>,
}

/// A time that is somebody's. Dropped before it is used, it is free for another.
pub struct Slot<'a> {
    rate: &'a Rate,
    at: Instant,
    is_used: bool,
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
        let times = Times { due: Instant::now(), free: BTreeSet::new() };
        Self { per_second: per_second.max(1), burst, times: Mutex::new(times) }
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
        self.reserve(now, Duration::ZERO).map(Slot::used)
    }

    /// The first time at which there may be one.
    ///
    /// # Errors
    ///
    /// How long that is from `now` when it is longer than `longest`, and then none is counted.
    pub fn reserve(&self, now: Instant, longest: Duration) -> Result<Slot<'_>, Duration> {
        let mut times = self.times();
        while times.free.first().is_some_and(|free| *free < now) {
            times.free.pop_first();
        }
        let interval = Duration::from_secs(1) / self.per_second;
        let next = times.due.max(now) + interval;
        let at = match times.free.first() {
            Some(free) => *free,
            None => now + (next - now).saturating_sub(self.burst.max(interval)),
        };
        if at - now > longest {
            return Err(at - now);
        }
        if !times.free.remove(&at) {
            times.due = next;
        }
        Ok(Slot { rate: self, at, is_used: false })
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot<'_> {
    /// When it is.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Keeps it from others.
    pub fn used(mut self) {
        self.is_used = true;
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            self.rate.times().free.insert(self.at);
        }
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

    /// How long the wait is, for one who does wait.
    fn wait(rate: &Rate, now: Instant, longest: Duration) -> Result<Duration, Duration> {
        let slot = rate.reserve(now, longest)?;
        let wait = slot.at() - now;
        slot.used();
        Ok(wait)
    }

    #[test]
    fn who_waits_is_spaced() {
        let begin = Instant::now() + Duration::from_secs(1);
        let (rate, longest) = (Rate::evenly(4), Duration::from_millis(500));
        for expected in [0, 250, 500] {
            assert_eq!(wait(&rate, begin, longest), Ok(Duration::from_millis(expected)));
        }
        assert_eq!(wait(&rate, begin, longest), Err(Duration::from_millis(750)));
        assert_eq!(wait(&rate, begin + Duration::from_secs(60), longest), Ok(Duration::ZERO), "a pause saves none");
        assert_eq!(rate.take(begin + Duration::from_secs(60)), Err(Duration::from_millis(250)));
    }

    #[test]
    fn who_leaves_makes_room() {
        let begin = Instant::now() + Duration::from_secs(1);
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let (rate, longest) = (Rate::evenly(4), Duration::from_secs(60));
        assert_eq!(rate.take(begin), Ok(()));
        let slots: Vec<_> = (0..5).map(|_| rate.reserve(begin, longest).expect("there is time")).collect();
        let last = rate.reserve(begin, longest).expect("there is time");
        assert_eq!(last.at(), at(1500));
        drop(slots);
        assert_eq!(rate.take(at(100)), Err(Duration::from_millis(150)));
        for expected in [150, 400, 650] {
            assert_eq!(wait(&rate, at(100), longest), Ok(Duration::from_millis(expected)));
        }
        // What nobody wanted is over.
        assert_eq!(wait(&rate, at(1300), longest), Ok(Duration::from_millis(450)));
        last.used();
        assert_eq!(rate.take(at(1999)), Err(Duration::from_millis(1)));
        assert_eq!(rate.take(at(2000)), Ok(()));
        assert!(rate.times().free.is_empty());
    }
}
