//! The log: on stderr, one line for each event. stdout is for results.

use std::io::{self, IsTerminal};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Starts logging what `filter` lets through, and sends panics there too.
pub fn start(filter: &Targets) {
    let lines =
        tracing_subscriber::fmt::layer().compact().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter.clone()).init();
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {payload}");
    }));
}
