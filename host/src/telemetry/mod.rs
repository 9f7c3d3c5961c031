//! What operators see: the log, panics, and what is counted.

pub mod counters;
pub mod log;
pub mod outcome;
pub mod panics;
