//! What would be logged too often: once a second, with how many more there were.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the log tells of it.
const PAUSE: Duration = Duration::from_secs(1);

/// When it last did, and how many there were since.
#[derive(Default)]
pub struct Told(Mutex<(Option<Instant>, u64)>);

impl Told {
    /// Nothing was told.
    pub const fn never() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// How many more there were, if it is time to tell.
    pub fn is_due(&self) -> Option<u64> {
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
