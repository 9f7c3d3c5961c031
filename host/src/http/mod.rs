//! The HTTP side: the API, problem documents, metrics, and the server.

mod api;
pub mod health;
mod metrics;
mod problem;
pub mod server;
