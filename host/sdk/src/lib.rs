//! The SDK: the one crate that the host and all plugins of Provost share.
//!
//! A plugin is a configuration, an implementation of [`Provider`], and one line that exports it:
//!
//! ```ignore
#![doc = include_str!("example.rs")]
//! ```
//!
//! It is a `dylib`: host and plugins use one copy of it, and of std and of every crate in it. So a plugin's `async fn`
//! runs on the host's runtime, its log lines reach the host's log, and a panic in it ends one delivery, not the host.
//! The crates below are re-exported because a plugin that brings its own would have to match their versions.
//!
//! What the SDK must not know: which plugins there are, and how the host serves messages.

// But what the macros write for a plugin, as they do for the example in the tests.
#![cfg_attr(not(test), deny(unsafe_code))]

// So that the attribute `config`, which names the SDK from outside, also works in here.
extern crate self as provost_sdk;

pub mod abi;
pub mod config;
mod context;
mod duration;
mod error;
#[cfg(test)]
mod example;
pub mod files;
#[cfg(test)]
#[path = "../build/flags.rs"]
mod flags;
pub mod http;
mod malloc;
mod message;
pub mod names;
pub mod panics;
pub mod plugin;
mod provider;
pub mod schema;
mod secret;
pub mod tls;

pub use context::Context;
pub use duration::HumanDuration;
pub use error::{ConfigError, DeliveryError, KeyError, SHOWN, excerpt, with_causes};
pub use message::{Attachment, Message, Receipt};
pub use provider::Provider;
pub use provost_sdk_macros::config;
pub use secret::Secret;

pub use reqwest;
pub use rustls;
pub use schemars;
pub use serde;
pub use serde_json;
pub use tokio;
pub use toml;
pub use tracing;
