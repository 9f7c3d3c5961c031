//! What operators see: the log, panics, and counters.

pub mod counters;
pub mod histogram;
mod json;
pub mod log;
pub mod outcome;
pub mod panics;
pub mod stderr;
mod time;
pub mod told;
