//! The HTTP side: the API, problem documents, metrics, and the server.

mod api;
mod connections;
mod ending;
pub mod health;
mod metrics;
mod problem;
pub mod server;
