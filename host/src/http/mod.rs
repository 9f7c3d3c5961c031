//! The HTTP side: the API, problem documents, metrics, and the server.

mod api;
mod body;
mod connections;
mod ending;
pub mod health;
mod hosts;
mod metrics;
mod object;
mod problem;
mod refusals;
pub mod server;
mod wire;
