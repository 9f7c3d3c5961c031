//! The HTTP side: the API, problem documents, metrics, and the server.

mod access;
mod api;
mod body;
mod connections;
mod ending;
mod generations;
pub mod health;
mod hosts;
mod idempotency;
mod listing;
mod message;
mod metrics;
mod object;
mod problem;
mod refusals;
pub mod reload;
pub mod server;
mod wire;
