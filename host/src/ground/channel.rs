//! What the threads that run plugins' code report, to one that waits for it until a deadline.
//!
//! Not `std::sync::mpsc`: the first wait of a thread there registers a destructor, and glibc does that under the dynamic
//! linker's lock (`__cxa_thread_atexit_impl`), which an initialiser that never comes back never lets go of. A mutex and a
//! condition variable need no linker.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where reports come from. They end when it is dropped.
pub struct Reporter<T>(Arc<Shared<T>>);

/// Where reports arrive.
pub struct Reports<T>(Arc<Shared<T>>);

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No report came in time.
    Deadline,
    /// No report will come.
    Ended,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    arrived: VecDeque<T>,
    ended: bool,
}

/// Both ends, for reports of one thread to another.
pub fn reports<T>() -> (Reporter<T>, Reports<T>) {
    let state = Mutex::new(State { arrived: VecDeque::new(), ended: false });
    let shared = Arc::new(Shared { state, changed: Condvar::new() });
    (Reporter(Arc::clone(&shared)), Reports(shared))
}

impl<T> Reporter<T> {
    /// Reports, whether or not anybody waits.
    pub fn report(&self, report: T) {
        self.0.state().arrived.push_back(report);
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Reporter<T> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_one();
    }
}

impl<T> Reports<T> {
    /// Waits for the next report, for no longer than `patience`.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn next(&self, patience: Duration) -> Result<T, Silence> {
        let nothing = |state: &mut State<T>| state.arrived.is_empty() && !state.ended;
        let waited = self.0.changed.wait_timeout_while(self.0.state(), patience, nothing);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let silence = if state.ended { Silence::Ended } else { Silence::Deadline };
        state.arrived.pop_front().ok_or(silence)
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Longer than any of the tests takes.
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_arrived_is_told_before_the_end() {
        let (reporter, reports) = reports();
        reporter.report(1);
        reporter.report(2);
        drop(reporter);
        assert_eq!([(); 3].map(|()| reports.next(LONG)), [Ok(1), Ok(2), Err(Silence::Ended)]);
    }

    #[test]
    fn who_waits_is_woken() {
        let (question, questions) = reports();
        let (answer, answers) = reports();
        let answering = thread::spawn(move || {
            while let Ok(number) = questions.next(LONG) {
                answer.report(number + 1);
            }
        });
        for number in 0..100 {
            question.report(number);
            assert_eq!(answers.next(LONG), Ok(number + 1));
        }
        drop(question);
        assert_eq!(answers.next(LONG), Err(Silence::Ended));
        answering.join().expect("it ends when there is nothing to answer");
    }

    #[test]
    fn silence_until_the_deadline_is_told() {
        let (reporter, reports) = reports();
        assert_eq!(reports.next(Duration::from_millis(1)), Err(Silence::Deadline));
        reporter.report(());
        assert_eq!(reports.next(Duration::ZERO), Ok(()), "what is there needs no patience");
    }
}
