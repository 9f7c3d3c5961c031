//! What a connection is doing, which it says itself, and what it is worth where a place is looked for.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a connection is doing.
#[derive(Default)]
pub struct Activity {
    /// Whether a request has arrived, with all of its headers, that is not answered.
    pub busy: AtomicBool,
    /// Whether its body has not arrived whole.
    pub arriving: AtomicBool,
    /// Whether one was answered whose body nobody read to its end.
    pub unread: AtomicBool,
    /// Whether one has arrived since a place was last looked for.
    pub used: AtomicBool,
    /// Whether an answer is on its way whose other side does not read it at once, or sends the rest of its request first.
    pub leaving: AtomicBool,
}

/// How much a connection is worth.
#[derive(Debug, PartialEq, Eq)]
pub enum Worth {
    /// It waits for its next request, or for the rest of one.
    Idle,
    /// The same, but it had one since it was looked at, or the answer is on its way.
    Used,
    /// Its caller waits for an answer.
    Busy,
}

impl Activity {
    /// What it is worth where a place is looked for.
    pub fn look(&self) -> Worth {
        let [busy, arriving, leaving] =
            [&self.busy, &self.arriving, &self.leaving].map(|flag| flag.load(Ordering::Relaxed));
        match (arriving, busy) {
            (true, _) => Worth::Idle,
            // Whether it was used counts when it is answered.
            (false, true) => Worth::Busy,
            (false, false) if self.used.swap(false, Ordering::Relaxed) || leaving => Worth::Used,
            (false, false) => Worth::Idle,
        }
    }

    /// In which order connections of the reserve are cut: first those that were answered.
    pub fn in_reserve(&self) -> u8 {
        let [busy, used, leaving] = [&self.busy, &self.used, &self.leaving].map(|flag| flag.load(Ordering::Relaxed));
        match (busy || leaving, used) {
            (false, true) => 0,
            (false, false) => 1,
            (true, _) => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_just_answered_is_no_idle_one() {
        let activity = Activity::default();
        activity.busy.store(true, Ordering::Relaxed);
        activity.used.store(true, Ordering::Relaxed);
        assert_eq!(activity.look(), Worth::Busy);
        activity.busy.store(false, Ordering::Relaxed);
        assert_eq!(activity.look(), Worth::Used);
        assert_eq!(activity.look(), Worth::Idle);
        activity.leaving.store(true, Ordering::Relaxed);
        assert_eq!([activity.look(), activity.look()], [Worth::Used, Worth::Used]);
        assert_eq!(activity.in_reserve(), 2);
    }
}
