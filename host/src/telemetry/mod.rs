//! What operators see: the log, panics, and counters.

pub mod counters;
pub mod log;
pub mod outcome;
pub mod panics;
pub mod stderr;
