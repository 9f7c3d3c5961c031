//! The log: on stderr, one line for each event. stdout is for results.

use crate::telemetry::stderr;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;
use tracing_subscriber::reload;

/// Changes what is logged; the type behind it has no short name.
type Select = Box<dyn Fn(Targets) + Send + Sync>;

static SELECT: OnceLock<Select> = OnceLock::new();

/// Starts logging what `filter` lets through.
pub fn start(filter: &Targets) {
    let colours = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().compact().with_writer(Log { colours }).with_ansi(colours);
    let (filter, handle) = reload::Layer::new(filter.clone());
    tracing_subscriber::registry().with(lines).with(filter).init();
    // An error would say that the log has ended, which it does with the process.
    let select = move |filter| drop(handle.reload(filter));
    let _ = SELECT.set(Box::new(select));
}

/// From now on logs what `filter` lets through.
pub fn select(filter: &Targets) {
    if let Some(select) = SELECT.get() {
        select(filter.clone());
    }
}

/// Where events go.
struct Log {
    /// Whether the subscriber colours what it writes.
    colours: bool,
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Lines<Line>;

    fn make_writer(&'a self) -> Self::Writer {
        Lines { to: Line { urgent: false }, colours: self.colours }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        Lines { to: Line { urgent: *event.level() == Level::ERROR }, colours: self.colours }
    }
}

/// One line on its way to stderr.
struct Line {
    urgent: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        stderr::line(line, self.urgent).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps each event on one line: what a caller sent may be part of it, and must not look like an event of its own.
struct Lines<W> {
    to: W,
    /// Whether the subscriber colours what it writes.
    colours: bool,
}

impl<W: Write> Write for Lines<W> {
    /// Takes a whole event, which is what the subscriber hands over at a time.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
        if let Some((b'\n', line)) = event.split_last()
            && line.iter().all(is_plain)
        {
            return self.to.write_all(event).map(|()| event.len());
        }
        let text = String::from_utf8_lossy(event.strip_suffix(b"\n").unwrap_or(event));
        let mut line = String::with_capacity(text.len() + 1);
        for (at, character) in text.char_indices() {
            let kept = !character.is_control() || character == '\t' || (self.colours && is_colour(&text[at..]));
            if kept { line.push(character) } else { line.extend(character.escape_default()) }
        }
        line.push('\n');
        self.to.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether `text` begins with a sequence that changes its colour, and not one that moves the cursor or erases.
fn is_colour(text: &str) -> bool {
    let numbers =
        text.strip_prefix("\u{1b}[").map(|text| text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
    numbers.is_some_and(|rest| rest.starts_with('m'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(event: &str, colours: bool, expected: &str) {
        let mut lines = Lines { to: Vec::new(), colours };
        lines.write_all(event.as_bytes()).expect("memory takes all");
        assert_eq!(String::from_utf8(lines.to).expect("still text"), expected);
    }

    #[test]
    fn an_event_is_one_line() {
        check("INFO Grüße\t\n", false, "INFO Grüße\t\n");
        check("WARN `a\r\nINFO forged\0\u{85}`\n\n", false, "WARN `a\\r\\nINFO forged\\u{0}\\u{85}`\\n\n");
        check("\u{1b}[1;32mINFO\u{1b}[2K\n", false, "\\u{1b}[1;32mINFO\\u{1b}[2K\n");
        check("\u{1b}[1;32mINFO\u{1b}[2K\n", true, "\u{1b}[1;32mINFO\\u{1b}[2K\n");
    }
}
