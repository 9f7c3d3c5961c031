//! Counts deliveries and panics of each provider.

use crate::telemetry::histogram::Histogram;
use crate::telemetry::outcome::Outcome;
use crate::telemetry::told::Told;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What is counted of one provider.
pub struct Counters {
    provider: String,
    plugin: String,
    deliveries: [AtomicU64; Outcome::ALL.len()],
    panics: [AtomicU64; PLACES.len()],
    durations: Histogram,
    attempts: AtomicU64,
    alarmed: Mutex<Option<Instant>>,
    failures: Told,
    openings: Told,
}

/// How often whoever runs the host is told that a provider needs care.
const ALARM: Duration = Duration::from_secs(60);

/// Where a provider's code panicked.
const PLACES: [&str; 2] = ["delivery", "background"];

/// Panics that are no provider's.
static OTHER_PANICS: AtomicU64 = AtomicU64::new(0);

impl Counters {
    /// All counters are zero.
    pub fn new(provider: impl Into<String>, plugin: impl Into<String>) -> Self {
        let (deliveries, panics, durations, attempts, alarmed) = Default::default();
        let (provider, plugin) = (provider.into(), plugin.into());
        Self {
            provider,
            plugin,
            deliveries,
            panics,
            durations,
            attempts,
            alarmed,
            failures: Told::never(),
            openings: Told::never(),
        }
    }

    /// The provider's name.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The name of its plugin.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Counts a delivery that has come to its end, or did not begin.
    pub fn count(&self, outcome: Outcome, took: Duration) {
        self.deliveries[outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.durations.count(took);
    }

    /// How long deliveries took.
    pub fn durations(&self) -> &Histogram {
        &self.durations
    }

    /// Counts that the plugin is given a message.
    pub fn count_attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the plugin was given a message.
    pub fn attempts(&self) -> u64 {
        value(&self.attempts)
    }

    /// How many more failures there were since the log told of one, if it is time to tell again.
    pub fn failure_is_due(&self) -> Option<u64> {
        self.failures.is_due()
    }

    /// The same of a circuit that opens.
    pub fn opening_is_due(&self) -> Option<u64> {
        self.openings.is_due()
    }

    /// Counts a panic in a delivery, or beside them.
    pub fn count_panic(&self, in_delivery: bool) {
        self.panics[usize::from(!in_delivery)].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it is time to say once more that the provider needs care.
    pub fn alarm(&self) -> bool {
        let mut alarmed = self.alarmed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = alarmed.is_none_or(|last| last.elapsed() >= ALARM);
        if is_time {
            *alarmed = Some(Instant::now());
        }
        is_time
    }

    /// How many deliveries ended in each way.
    pub fn deliveries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Outcome::ALL.map(Outcome::name).into_iter().zip(self.deliveries.iter().map(value))
    }

    /// How many panics there were, by where.
    pub fn panics(&self) -> impl Iterator<Item = (&'static str, u64)> {
        PLACES.into_iter().zip(self.panics.iter().map(value))
    }
}

/// Counts a panic on a thread that is no provider's.
pub fn count_other_panic() {
    OTHER_PANICS.fetch_add(1, Ordering::Relaxed);
}

/// How many panics there were on threads that are no provider's.
pub fn other_panics() -> u64 {
    value(&OTHER_PANICS)
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place_of_its_own() {
        let counters = Counters::new("a", "b");
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
            (0..=index).for_each(|_| counters.count(outcome, Duration::from_millis(index as u64 * 10)));
        }
        let counted: Vec<_> = counters.deliveries().map(|(_, count)| count).collect();
        assert_eq!(counted, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(counters.durations().counts(), [1, 3, 6, 21, 45, 45, 45, 45, 45, 45, 45, 45]);
        assert_eq!(counters.durations().seconds(), 2.4);
    }
}
