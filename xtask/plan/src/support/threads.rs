//! Two things at once.

use std::panic::resume_unwind;
use std::thread;

/// Runs `beside` on a thread of its own while `here` runs on this one. Returns both results, in this order.
pub fn at_once<A: Send, B>(beside: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let beside = scope.spawn(beside);
        let here = here();
        (beside.join().unwrap_or_else(|panic| resume_unwind(panic)), here)
    })
}
