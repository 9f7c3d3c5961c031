//! Events as JSON, one object a line. `tracing-subscriber` has such a format too, but nests the fields of spans in a list, and needs one
//! crate more.

use crate::telemetry::time::Time;
use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// The keys that every line has. A field with such a name gets [`OTHER`] in front.
const OWN: [&str; 3] = ["timestamp", "level", "target"];
const OTHER: &str = "field_";
const MESSAGE: &str = "message";

/// Fields of an event or a span, each with its value as JSON.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

/// Keeps what is known of a span when it begins.
pub fn on_new_span<S: Subscriber + for<'a> LookupSpan<'a>>(
    attributes: &Attributes<'_>,
    id: &Id,
    context: &Context<'_, S>,
) {
    let mut fields = Fields::default();
    attributes.record(&mut fields);
    if let Some(span) = context.span(id) {
        span.extensions_mut().replace(fields);
    }
}

/// Keeps what is said of a span later.
pub fn on_record<S: Subscriber + for<'a> LookupSpan<'a>>(id: &Id, values: &Record<'_>, context: &Context<'_, S>) {
    let mut later = Fields::default();
    values.record(&mut later);
    let Some(span) = context.span(id) else { return };
    if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
        later.0.into_iter().for_each(|(name, value)| fields.set(name, value));
    }
}

/// The line of an event. Of fields with one name the event's own counts, then that of the innermost span.
pub fn line<S: Subscriber + for<'a> LookupSpan<'a>>(event: &Event<'_>, context: &Context<'_, S>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    for span in context.event_scope(event).into_iter().flatten() {
        if let Some(kept) = span.extensions().get::<Fields>() {
            for (name, value) in kept.0.iter().filter(|(name, _)| *name != MESSAGE) {
                if !fields.has(name) {
                    fields.set(name, value.clone());
                }
            }
        }
    }
    fields.line(event.metadata().level(), event.metadata().target())
}

/// The line of an error that is no event: nothing is logged yet, or any more.
pub fn error(message: &str) -> String {
    Fields(vec![(MESSAGE, text(message))]).line(&Level::ERROR, env!("CARGO_CRATE_NAME"))
}

impl Fields {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    fn set(&mut self, name: &'static str, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    fn line(&self, level: &Level, target: &str) -> String {
        let mut line = String::with_capacity(256);
        line.push_str("{\"timestamp\":\"");
        // Neither fails: it is written to memory.
        let _ = Time.format_time(&mut Writer::new(&mut line));
        let _ = write!(line, "\",\"level\":\"{level}\",\"target\":{}", text(target));
        let message = self.0.iter().find(|(name, _)| *name == MESSAGE);
        let _ = write!(line, ",\"{MESSAGE}\":{}", message.map_or("\"\"", |(_, message)| message));
        for (name, value) in self.0.iter().filter(|(name, _)| *name != MESSAGE) {
            let name = if OWN.contains(name) { text(&format!("{OTHER}{name}")) } else { text(name) };
            let _ = write!(line, ",{name}:{value}");
        }
        line.push_str("}\n");
        line
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinity.
        self.set(field.name(), if value.is_finite() { value.to_string() } else { text(&value.to_string()) });
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value.to_string());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value.to_string());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        // Who reads larger numbers than these may round them.
        let is_short = i64::try_from(value).is_ok() || u64::try_from(value).is_ok();
        self.set(field.name(), if is_short { value.to_string() } else { text(&value.to_string()) });
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match i128::try_from(value) {
            Ok(value) => self.record_i128(field, value),
            Err(_) => self.set(field.name(), text(&value.to_string())),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value.to_string());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), text(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut written = String::new();
        // What a value wrote until it failed is worth a line.
        let _: fmt::Result = write!(written, "{value:?}");
        self.set(field.name(), text(&written));
    }
}

/// A string of JSON. Also what JSON lets stand but some readers take for the end of a line is escaped, and what moves a terminal's cursor.
fn text(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            '\n' => string.push_str("\\n"),
            '\t' => string.push_str("\\t"),
            '\r' => string.push_str("\\r"),
            '\u{2028}' | '\u{2029}' => string.extend(escaped(character)),
            _ if character.is_control() => string.extend(escaped(character)),
            _ => string.push(character),
        }
    }
    string.push('"');
    string
}

/// Of a character below 2^16.
fn escaped(character: char) -> impl Iterator<Item = char> {
    let digit = move |shift: u32| char::from_digit(u32::from(character) >> shift & 0xf, 16).unwrap_or('0');
    "\\u".chars().chain([12, 8, 4, 0].map(digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry::Registry;

    /// Keeps the lines of events.
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl Layer<Registry> for Kept {
        fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, Registry>) {
            on_new_span(attributes, id, &context);
        }

        fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, Registry>) {
            on_record(id, values, &context);
        }

        fn on_event(&self, event: &Event<'_>, context: Context<'_, Registry>) {
            self.0.lock().expect("no test panics with it").push(line(event, &context));
        }
    }

    /// The line of what `log` logs, without its time.
    fn logged(log: impl FnOnce()) -> Value {
        let lines = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Registry::default().with(Kept(Arc::clone(&lines))), log);
        let lines = lines.lock().expect("no test panics with it");
        let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
        let mut line: Value = serde_json::from_str(line.strip_suffix('\n').expect("a whole line")).expect("JSON");
        let time = line.as_object_mut().and_then(|line| line.remove("timestamp")).expect("it has a time");
        let time = time.as_str().expect("a string").to_owned();
        let pattern: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(pattern, "0000-00-00T00:00:00.000000Z");
        line
    }

    #[test]
    fn fields_of_events_and_spans_are_flat() {
        let line = logged(|| {
            let outer = tracing::info_span!("outer", provider = "a", id = 1, "a span's message");
            let inner = tracing::info_span!(parent: &outer, "inner", id = tracing::field::Empty, own = true);
            inner.record("id", "two");
            inner.in_scope(
                || tracing::warn!(target: "x", level = 1.5, big = f64::INFINITY, id = ?Some(3), "hello {}", 4),
            );
        });
        let expected = json!({
            "level": "WARN", "target": "x", "message": "hello 4", "field_level": 1.5, "big": "inf", "id": "Some(3)",
            "own": true, "provider": "a",
        });
        assert_eq!(line, expected);
        let line = logged(|| {
            tracing::info_span!("a", id = 1)
                .in_scope(|| tracing::error!(target: "x", n = -1_i64, few = 7_u128, many = u128::MAX))
        });
        assert_eq!(
            line,
            json!({ "level": "ERROR", "target": "x", "message": "", "n": -1, "few": 7, "many": u128::MAX.to_string(), "id": 1 })
        );
    }

    #[test]
    fn no_content_ends_a_line() {
        let all: String = (0..=0x2030).filter_map(char::from_u32).chain(['\u{10ffff}', '"', '\\']).collect();
        let string = text(&all);
        assert_eq!(serde_json::from_str::<String>(&string).expect("JSON"), all);
        assert!(!string.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')), "{string}");
        let line = logged(|| tracing::info!(target: "x", "{all}"));
        assert_eq!(line["message"], all);
        let line: Value = serde_json::from_str(&error("a\nb")).expect("JSON");
        assert_eq!(
            (&line["level"], &line["target"], &line["message"]),
            (&json!("ERROR"), &json!("provost"), &json!("a\nb"))
        );
    }
}
