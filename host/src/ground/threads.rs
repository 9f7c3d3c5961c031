//! Starts threads where the system may refuse them.

use provost_sdk::panics::catch;
use std::io;

/// The error if there are no threads.
pub const NO_THREAD: &str = "the system provides no more threads; see the log";

/// Runs `spawn`, and turns its panic into an error: tokio panics if the system gives it no thread.
///
/// # Errors
///
/// If it panicked.
pub fn spawned<T>(spawn: impl FnOnce() -> T) -> io::Result<T> {
    catch(spawn).ok_or_else(|| io::Error::other(NO_THREAD))
}
