//! The circuit breaker of a provider: after failures in a row nothing is delivered for a time, and then one message is tried.

use crate::config::Circuit as Limits;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When somebody may ask again while a message is tried.
const SOON: Duration = Duration::from_secs(1);

/// The breaker.
pub struct Circuit {
    limits: Limits,
    /// Failures in a row, while it is closed.
    in_a_row: AtomicU32,
    /// Whether it is not closed: all that is read where nothing fails.
    opened: AtomicBool,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    OpenUntil(Instant),
    /// One message is tried.
    Trying,
}

/// What came of a delivery, for the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// The other side works.
    Good,
    /// It does not.
    Bad,
    /// Nobody knows.
    None,
}

/// A delivery that may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// One of many.
    Usual,
    /// The one that decides.
    Trial,
}

impl Circuit {
    /// A closed one.
    pub fn new(limits: Limits) -> Self {
        let (in_a_row, opened) = Default::default();
        Self { limits, in_a_row, opened, state: Mutex::new(State::Closed) }
    }

    /// `closed`, `open`, or `half-open` when a message is or may be tried.
    pub fn name(&self, now: Instant) -> &'static str {
        match *self.state() {
            State::Closed => "closed",
            State::OpenUntil(end) if now < end => "open",
            State::OpenUntil(_) | State::Trying => "half-open",
        }
    }

    /// Whether a delivery might begin. Asks for the time only where something failed, as the others do.
    ///
    /// # Errors
    ///
    /// After which time one might.
    pub fn check(&self, now: impl FnOnce() -> Instant) -> Result<(), Duration> {
        if !self.opened.load(Ordering::Relaxed) {
            return Ok(());
        }
        left(*self.state(), now())
    }

    /// Lets a delivery begin, whose end [`Self::ended`] is told.
    ///
    /// # Errors
    ///
    /// After which time one may begin.
    pub fn enter(&self, now: impl FnOnce() -> Instant) -> Result<Entry, Duration> {
        if !self.opened.load(Ordering::Relaxed) {
            return Ok(Entry::Usual);
        }
        let mut state = self.state();
        left(*state, now())?;
        if *state == State::Closed {
            return Ok(Entry::Usual);
        }
        *state = State::Trying;
        Ok(Entry::Trial)
    }

    /// Counts how a delivery ended. Returns whether the circuit has opened by that.
    pub fn ended(&self, entry: Entry, sign: Sign, now: impl FnOnce() -> Instant) -> bool {
        match (entry, sign) {
            (Entry::Usual, Sign::None) => false,
            (Entry::Usual, Sign::Good) => {
                if self.in_a_row.load(Ordering::Relaxed) != 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                }
                false
            }
            (Entry::Usual, Sign::Bad) => {
                let failures = self.in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
                let mut state = self.state();
                let opens = self.limits.failures != 0 && failures >= self.limits.failures && *state == State::Closed;
                if opens {
                    self.open(&mut state, now() + self.limits.open_for);
                }
                opens
            }
            (Entry::Trial, Sign::Good) => {
                let mut state = self.state();
                *state = State::Closed;
                self.in_a_row.store(0, Ordering::Relaxed);
                self.opened.store(false, Ordering::Relaxed);
                false
            }
            (Entry::Trial, Sign::Bad) => {
                self.open(&mut self.state(), now() + self.limits.open_for);
                true
            }
            // The next one is tried.
            (Entry::Trial, Sign::None) => {
                self.open(&mut self.state(), now());
                false
            }
        }
    }

    fn open(&self, state: &mut State, until: Instant) {
        *state = State::OpenUntil(until);
        self.opened.store(true, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a delivery may begin.
fn left(state: State, now: Instant) -> Result<(), Duration> {
    match state {
        State::OpenUntil(end) if now < end => Err(end - now),
        State::Trying => Err(SOON),
        State::Closed | State::OpenUntil(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_is_tried_after_the_time() {
        let open_for = Duration::from_secs(10);
        let circuit = Circuit::new(Limits { failures: 2, open_for });
        let begin = Instant::now();
        let time = |seconds| begin + Duration::from_secs(seconds);
        let at = |seconds| move || time(seconds);
        let ended = |sign, seconds| circuit.ended(circuit.enter(at(seconds)).expect("it may begin"), sign, at(seconds));
        assert!(!ended(Sign::Bad, 0));
        assert!(!ended(Sign::Good, 0), "and none is in a row");
        assert!(!ended(Sign::Bad, 0));
        assert!(!ended(Sign::None, 0));
        assert!(ended(Sign::Bad, 0));
        assert_eq!((circuit.enter(at(3)), circuit.name(time(3))), (Err(Duration::from_secs(7)), "open"));
        assert_eq!((circuit.enter(at(10)), circuit.name(time(10))), (Ok(Entry::Trial), "half-open"));
        assert_eq!(circuit.enter(at(10)), Err(SOON));
        assert!(circuit.ended(Entry::Trial, Sign::Bad, at(11)));
        assert_eq!(circuit.check(at(20)), Err(Duration::from_secs(1)));
        assert!(!ended(Sign::None, 21));
        assert!(!ended(Sign::Good, 21));
        assert_eq!((circuit.enter(at(21)), circuit.name(time(21))), (Ok(Entry::Usual), "closed"));
    }

    #[test]
    fn it_may_never_open() {
        let circuit = Circuit::new(Limits { failures: 0, open_for: Duration::from_secs(1) });
        for _ in 0..100 {
            assert!(!circuit.ended(Entry::Usual, Sign::Bad, Instant::now));
        }
        assert_eq!(circuit.enter(Instant::now), Ok(Entry::Usual));
    }
}
