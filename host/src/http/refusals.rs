//! Requests that were refused before there was a delivery: counted all, and logged once a second.

use crate::telemetry::told::Told;
use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// The problems that such a request can have, by the last parts of their types.
const KINDS: [&str; 19] = [
    "bad-host",
    "conflict",
    "ending",
    "forbidden",
    "half-sent",
    "headers-too-large",
    "invalid-message",
    "method-not-allowed",
    "no-connection",
    "no-room",
    "not-found",
    "not-http",
    "not-json",
    "not-tls",
    "rate-limited",
    "too-large",
    "unauthenticated",
    "unknown-provider",
    "uri-too-long",
];

static COUNTS: [AtomicU64; KINDS.len()] = [const { AtomicU64::new(0) }; KINDS.len()];

static REQUESTS: Told = Told::never();
static CONNECTIONS: Told = Told::never();
static ANSWERS: Told = Told::never();
static FILES: Told = Told::never();
static HANDSHAKES: Told = Told::never();

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

static UNREAD: AtomicU64 = AtomicU64::new(0);

/// Counts a connection that was closed, since its other side did not read.
pub fn unread() {
    UNREAD.fetch_add(1, Ordering::Relaxed);
    if let Some(more) = ANSWERS.is_due() {
        tracing::warn!(more, "connection closed: its answers were not read within `server.request_timeout`");
    }
}

/// How many there were.
pub fn unreads() -> u64 {
    UNREAD.load(Ordering::Relaxed)
}

static NOT_TAKEN: AtomicU64 = AtomicU64::new(0);

/// How often the system gave no connection.
pub fn none_taken() -> u64 {
    NOT_TAKEN.load(Ordering::Relaxed)
}

/// Counts that the system gave no connection.
pub fn not_taken(error: &io::Error) {
    NOT_TAKEN.fetch_add(1, Ordering::Relaxed);
    if let Some(more) = FILES.is_due() {
        let fix = match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => ": raise the limit of open files, or lower `server.connections_limit`",
            _ => "",
        };
        tracing::warn!(%error, more, "taking a connection failed{fix}");
    }
}

static NO_HANDSHAKE: AtomicU64 = AtomicU64::new(0);

/// Counts a connection whose TLS handshake failed.
pub fn no_handshake(error: &dyn Display) {
    NO_HANDSHAKE.fetch_add(1, Ordering::Relaxed);
    if let Some(more) = HANDSHAKES.is_due() {
        tracing::warn!(%error, more, "TLS handshake failed");
    }
}

/// How many failed.
pub fn no_handshakes() -> u64 {
    NO_HANDSHAKE.load(Ordering::Relaxed)
}

/// How many there were, by problem.
pub fn counts() -> impl Iterator<Item = (&'static str, u64)> {
    KINDS.into_iter().zip(COUNTS.iter().map(|count| count.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problems;
    use crate::telemetry::outcome::Outcome;
    use std::collections::BTreeSet;

    #[test]
    fn each_problem_is_described() {
        let outcomes = Outcome::ALL.into_iter().filter(|outcome| *outcome != Outcome::Delivered).map(Outcome::name);
        let all: BTreeSet<&str> = KINDS.into_iter().chain(outcomes).chain(["route-failed"]).collect();
        assert_eq!(problems::ALL.iter().map(|problem| problem.kind).collect::<BTreeSet<_>>(), all);
    }
}
