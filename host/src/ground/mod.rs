//! What everything else stands on: errors, a channel, threads, and what the compiler cannot check.

pub mod channel;
pub mod errors;
#[allow(unsafe_code)]
pub mod ffi;
pub mod threads;
