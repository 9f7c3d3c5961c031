//! The log: on stderr, one line for each event. stdout is for results.

use std::io::{self, IsTerminal, Stderr, Write};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Starts logging what `filter` lets through, and sends panics there too.
pub fn start(filter: &Targets) {
    let lines = tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(|| Lines(io::stderr()))
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter.clone()).init();
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload_as_str().unwrap_or("a panic without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {payload}");
    }));
}

/// Keeps each event on one line: what a caller sent may be part of it, and must not look like an event of its own.
struct Lines<W = Stderr>(W);

impl<W: Write> Write for Lines<W> {
    /// Takes a whole event, which is what the subscriber hands over at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = event.strip_suffix(b"\n").unwrap_or(event);
        let mut escaped = Vec::with_capacity(line.len() + 1);
        for &byte in line {
            // Escape itself begins a colour; the subscriber has replaced those of values.
            if byte.is_ascii_control() && byte != b'\x1b' && byte != b'\t' {
                escaped.extend(byte.escape_ascii());
            } else {
                escaped.push(byte);
            }
        }
        escaped.push(b'\n');
        self.0.write_all(&escaped)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, expected: &str) {
        let mut lines = Lines(Vec::new());
        lines.write_all(event.as_bytes()).expect("memory takes all");
        assert_eq!(String::from_utf8(lines.0).expect("still text"), expected);
    }

    #[test]
    fn an_event_is_one_line() {
        check("INFO delivered\n", "INFO delivered\n");
        check("WARN `a\r\nINFO forged\u{0}` Gr\u{fc}\u{df}e\n", "WARN `a\\r\\nINFO forged\\x00` Gr\u{fc}\u{df}e\n");
        check("\u{1b}[32mINFO\u{1b}[0m\ttext\n\n", "\u{1b}[32mINFO\u{1b}[0m\ttext\\n\n");
    }
}
