//! The base of all other modules: errors, a channel, threads, and `unsafe` code.

pub mod channel;
pub mod errors;
#[allow(unsafe_code)]
pub mod ffi;
pub mod finished;
pub mod random;
pub mod rate;
pub mod threads;
