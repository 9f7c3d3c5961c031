//! The log: on stderr, one line for each event. stdout is for results.

use crate::config::LogFormat;
use crate::telemetry::time::Time;
use crate::telemetry::{json, stderr};
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use tracing::Event;
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::prelude::*;
use tracing_subscriber::{Layer, Registry, reload};

/// Changes what is logged; the type behind it has no short name.
type Select = Box<dyn Fn(Targets) + Send + Sync>;

static SELECT: OnceLock<Select> = OnceLock::new();

/// Whether lines are JSON, also those of errors before the log starts.
static JSON: AtomicBool = AtomicBool::new(false);

/// Starts logging what `filter` lets through.
pub fn start(filter: &Targets) {
    let colours = io::stderr().is_terminal();
    let human = tracing_subscriber::fmt::layer().compact().with_timer(Time);
    let human = human.with_writer(Log { colours }).with_ansi(colours);
    let (filter, handle) = reload::Layer::new(filter.clone());
    tracing_subscriber::registry().with(Formats { human }).with(filter).init();
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

/// From now on writes lines in this format.
pub fn set_format(format: LogFormat) {
    JSON.store(format == LogFormat::Json, Ordering::Relaxed);
}

/// Whether events are logged by now.
pub fn started() -> bool {
    SELECT.get().is_some()
}

/// Writes an error, whatever is logged: it is of the last that the process says, or the log has not started.
pub fn error(text: &str) {
    let line = if is_json() { json::error(text) } else { format!("error: {text}\n") };
    // Where nobody reads it nothing more can be done.
    let _ = stderr::line(line.as_bytes());
}

/// Whether lines are JSON.
pub fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// The log in either format. Both know all spans: those that are there when the format changes have fields then, too.
struct Formats<H> {
    human: H,
}

impl<H: Layer<Registry>> Layer<Registry> for Formats<H> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
        json::on_new_span(attributes, id, &context);
        self.human.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
        json::on_record(id, values, &context);
        self.human.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, Registry>) {
        if !is_json() {
            return self.human.on_event(event, context);
        }
        let line = json::line(event, &context);
        // Where nobody reads it nothing more can be done.
        let _ = stderr::line(line.as_bytes());
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
        Lines { to: Line, colours: self.colours }
    }
}

/// One line on its way to stderr.
struct Line;

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        stderr::line(line).map(|()| line.len())
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
