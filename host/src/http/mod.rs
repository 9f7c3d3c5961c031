//! The HTTP side: the API, what it answers when something is wrong, metrics, and how it is served.

mod api;
pub mod health;
mod metrics;
mod problem;
pub mod server;
