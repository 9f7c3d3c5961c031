//! How a provider's messages are delivered: the queue, the rate, repetitions and the circuit breaker.

use super::{Reader, join};
use provost_sdk::HumanDuration;
use std::time::Duration;

/// More messages than anybody should wait behind.
pub const MOST_WAITING: usize = 10_000;

/// More than any other side takes.
pub const MOST_IN_A_SECOND: u32 = 1_000_000;

/// More attempts than fit into any timeout that callers bear.
const MOST_ATTEMPTS: u32 = 100;

/// More failures in a row than anybody should wait for.
const MOST_FAILURES: u32 = 1_000_000;

/// How the messages of one provider are delivered.
#[derive(Clone, Copy, Debug)]
pub struct Delivering {
    /// How many deliveries may run at a time.
    pub concurrency: usize,
    /// How many messages may wait.
    pub queue: usize,
    /// How many deliveries may begin in a second, or any number.
    pub rate: Option<u32>,
    /// What is tried again.
    pub retry: Retry,
    /// When the provider is spared.
    pub circuit: Circuit,
}

/// How a temporary failure is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// How often a message is tried, the first time included.
    pub attempts: u32,
    /// The longest pause before the second attempt; before each further one it is twice as long.
    pub first_delay: Duration,
    /// The longest pause of all.
    pub longest_delay: Duration,
}

/// When a provider that fails is not asked for a while.
#[derive(Clone, Copy, Debug)]
pub struct Circuit {
    /// After how many failures in a row; never with 0.
    pub failures: u32,
    /// For how long.
    pub open_for: Duration,
}

/// How a temporary failure is tried again.
#[provost_sdk::config]
#[serde(default)]
pub struct RawRetry {
    /// How often a message is tried, the first time included; 1 tries nothing again.
    #[schemars(range(min = 1, max = MOST_ATTEMPTS))]
    attempts: u32,
    /// The longest pause before the second attempt. Each further one is up to twice as long; all are random.
    first_delay: HumanDuration,
    /// The longest pause of all.
    longest_delay: HumanDuration,
}

impl Default for RawRetry {
    fn default() -> Self {
        let (first_delay, longest_delay) = (Duration::from_millis(100).into(), Duration::from_secs(5).into());
        Self { attempts: 1, first_delay, longest_delay }
    }
}

/// When a provider that fails is not asked for a while.
#[provost_sdk::config]
#[serde(default)]
pub struct RawCircuit {
    /// After how many failures in a row; never with 0. A panic of the plugin is none.
    #[schemars(range(max = MOST_FAILURES))]
    failures: u32,
    /// For how long; then one message is tried, and its end decides.
    open_for: HumanDuration,
}

impl Default for RawCircuit {
    fn default() -> Self {
        Self { failures: 20, open_for: Duration::from_secs(10).into() }
    }
}

impl RawRetry {
    /// Reports what cannot work in the provider's section `key`.
    pub fn check(&self, key: &str, reader: &mut Reader) -> Retry {
        if self.attempts == 0 || self.attempts > MOST_ATTEMPTS {
            reader.error(&join(key, "retry.attempts"), &format!("must be 1 to {MOST_ATTEMPTS}"));
        }
        if self.longest_delay < self.first_delay {
            reader.error(&join(key, "retry.longest_delay"), "less than `retry.first_delay`; make it as long at least");
        }
        Retry { attempts: self.attempts, first_delay: *self.first_delay, longest_delay: *self.longest_delay }
    }
}

impl RawCircuit {
    /// Reports what cannot work in the provider's section `key`.
    pub fn check(&self, key: &str, reader: &mut Reader) -> Circuit {
        if self.failures > MOST_FAILURES {
            reader.error(&join(key, "circuit.failures"), &format!("must be at most {MOST_FAILURES}"));
        }
        Circuit { failures: self.failures, open_for: *self.open_for }
    }
}
