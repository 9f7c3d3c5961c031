//! Counts the requests that were answered, and how long they took: without a lock, and with labels that callers cannot multiply.

use crate::http::operations::{COUNT, OPERATIONS};
use crate::telemetry::histogram::{BUCKETS, Histogram};
use axum::http::{Method, Request, StatusCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The label of what has none of its own.
const OTHER: &str = "other";

const METHODS: [&str; 4] = ["GET", "HEAD", "POST", OTHER];

const STATUSES: [&str; 19] = [
    "200", "400", "401", "403", "404", "405", "408", "409", "413", "414", "415", "421", "422", "429", "431", "500",
    "503", "504", OTHER,
];

/// One more than operations: for what is at no path.
const PATHS: usize = COUNT + 1;

static COUNTS: [[[AtomicU64; STATUSES.len()]; METHODS.len()]; PATHS] =
    [const { [const { [const { AtomicU64::new(0) }; STATUSES.len()] }; METHODS.len()] }; PATHS];

static DURATIONS: [Histogram; PATHS] = [const { Histogram::new() }; PATHS];

/// A request that is being answered. One whose caller goes away before is not counted.
pub struct Counted {
    begun: Instant,
    path: usize,
    method: usize,
}

impl Counted {
    /// Of this request, which has just come.
    pub fn begin<B>(request: &Request<B>) -> Self {
        let path = request.uri().path();
        let path = OPERATIONS.iter().position(|operation| operation.is_at(path));
        let method = match *request.method() {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            _ => 3,
        };
        Self { begun: Instant::now(), path: path.unwrap_or(COUNT), method }
    }

    /// Counts the answer.
    pub fn end(self, status: StatusCode) {
        let status = STATUSES.iter().position(|known| *known == status.as_str()).unwrap_or(STATUSES.len() - 1);
        COUNTS[self.path][self.method][status].fetch_add(1, Ordering::Relaxed);
        DURATIONS[self.path].count(self.begun.elapsed());
    }
}

/// Method, path and status of answers that were given, and how many were.
pub fn counts() -> impl Iterator<Item = ([&'static str; 3], u64)> {
    let each = |path: usize| {
        (0..METHODS.len()).flat_map(move |method| (0..STATUSES.len()).map(move |status| (path, method, status)))
    };
    (0..PATHS).flat_map(each).filter_map(|(path, method, status)| {
        let count = COUNTS[path][method][status].load(Ordering::Relaxed);
        (count > 0).then(|| ([METHODS[method], label(path), STATUSES[status]], count))
    })
}

/// How long the answers took at each path that was asked.
pub fn durations() -> impl Iterator<Item = (&'static str, &'static Histogram)> {
    let all = DURATIONS.iter().enumerate().map(|(path, histogram)| (label(path), histogram));
    all.filter(|(_, histogram)| histogram.counts()[BUCKETS.len()] > 0)
}

fn label(path: usize) -> &'static str {
    OPERATIONS.get(path).map_or(OTHER, |operation| operation.path)
}
