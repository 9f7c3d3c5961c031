//! Requests that were refused before there was a delivery: counted all, and logged once a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The problems that such a request can have, by the last parts of their types.
const KINDS: [&str; 17] = [
    "bad-host",
    "conflict",
    "ending",
    "forbidden",
    "half-sent",
    "headers-too-large",
    "invalid-message",
    "method-not-allowed",
    "no-room",
    "not-found",
    "not-http",
    "not-json",
    "rate-limited",
    "too-large",
    "unauthenticated",
    "unknown-provider",
    "uri-too-long",
];

static COUNTS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

/// How often the log tells of them.
const PAUSE: Duration = Duration::from_secs(1);

/// When it last did, and how many there were since.
struct Told(Mutex<(Option<Instant>, u64)>);

static REQUESTS: Told = Told::never();
static CONNECTIONS: Told = Told::never();

impl Told {
    const fn never() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How many more there were, if it is time to tell.
    fn is_due(&self) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, untold) = &mut *told;
        if last.is_some_and(|last| last.elapsed() < PAUSE) {
            *untold += 1;
            return None;
        }
        *last = Some(Instant::now());
        Some(std::mem::take(untold))
    }
}

/// Counts a request that was refused.
pub fn count(kind: &'static str, detail: &str) {
    if let Some(at) = KINDS.iter().position(|known| *known == kind) {
        COUNTS[at].fetch_add(1, Ordering::Relaxed);
    }
    if let Some(more) = REQUESTS.is_due() {
        tracing::warn!(problem = kind, detail, more, "request refused");
    }
}

static CUT: AtomicU64 = AtomicU64::new(0);

/// Counts a connection that was closed, since more were open than `limit`, a key of the configuration, allows.
pub fn cut(limit: &'static str) {
    CUT.fetch_add(1, Ordering::Relaxed);
    if let Some(more) = CONNECTIONS.is_due() {
        tracing::warn!(limit, more, "connection closed: too many are open");
    }
}

/// How many connections were cut.
pub fn cuts() -> u64 {
    CUT.load(Ordering::Relaxed)
}

/// How many there were, by problem.
pub fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    KINDS.into_iter().zip(COUNTS.iter().map(|count| count.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::outcome::Outcome;

    #[test]
    fn each_problem_is_described() {
        let page = include_str!("../../../docs/http-api.md");
        let mut described: Vec<&str> = page
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `urn:provost:problem:")?.split_once('`')?.0))
            .filter(|kind| Outcome::ALL.iter().all(|outcome| outcome.name() != *kind) || *kind == "ending")
            .collect();
        described.sort_unstable();
        assert_eq!(described, KINDS);
    }
}
