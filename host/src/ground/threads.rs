//! Starts threads where the system may refuse them.

use provost_sdk::panics::catch;
use std::io;

/// Why there are no threads.
pub const NO_THREAD: &str = "the system provides no more threads; see the log";

/// What `spawn` made: tokio panics where the system gives it no thread.
///
/// # Errors
///
/// That it did.
pub fn spawned<T>(spawn: impl FnOnce() -> T) -> io::Result<T> {
    catch(spawn).ok_or_else(|| io::Error::other(NO_THREAD))
}
