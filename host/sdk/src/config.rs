//! Reads a table of the configuration into a type, and reports every error it can see at once.
//!
//! Used for the plugins' tables and for the host's own, so that all say the same of the same mistake.

mod reader;

use crate::{ConfigError, KeyError};
use reader::Reader;
use serde::de::value::Error as Captured;
use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use toml::Table;

/// The keys of a provider's table that the host reads itself.
pub const COMMON_KEYS: &[&str] = &["circuit", "concurrency", "plugin", "queue", "rate", "retry", "timeout"];

/// Reads `table` as a `T`. A key that `T` does not have is refused; `others` are the keys of the same table that
/// somebody else reads, and may have been meant.
///
/// # Errors
///
/// Every unknown key, and the first value of a wrong type or missing key.
pub fn parse<T: DeserializeOwned>(table: Table, others: &[&str]) -> Result<T, ConfigError> {
    let (value, errors) = read(table, others);
    ConfigError::all(errors)?;
    value.ok_or_else(|| ConfigError::new("", "cannot be read"))
}

/// The same, for a caller that goes on to look for more errors: there can be a value in spite of unknown keys.
pub fn read<T: DeserializeOwned>(mut table: Table, others: &[&str]) -> (Option<T>, Vec<KeyError>) {
    let mut errors = take_unknown(&mut table, fields::<T>(), others);
    let notes = RefCell::default();
    let read = T::deserialize(Reader::new(table, &notes));
    let (key, unknown) = notes.into_inner().into_parts();
    errors.extend(unknown.into_iter().map(|key| KeyError { key, message: "unknown key; remove it".to_owned() }));
    let value =
        read.map_err(|error| errors.push(KeyError { key, message: in_words(&without_text(&error.to_string())) })).ok();
    (value, errors)
}

/// Taken out of the table, so that a type which itself refuses unknown keys does not stop at the first of them.
fn take_unknown(table: &mut Table, fields: Option<&[&str]>, others: &[&str]) -> Vec<KeyError> {
    let Some(fields) = fields else { return Vec::new() };
    let unknown: Vec<String> = table.keys().filter(|key| !fields.contains(&key.as_str())).cloned().collect();
    let error = |key: String| {
        table.remove(&key);
        KeyError { message: unknown_key(&key, fields, others), key }
    };
    unknown.into_iter().map(error).collect()
}

/// The candidate that `name` was probably meant to be.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = name.chars().count();
    let most = length.max(3) / 3;
    candidates
        .into_iter()
        // The distance is at least the difference in length, and takes the product of both to find: a name that is far too
        // long is not looked at.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn unknown_key(key: &str, fields: &[&str], others: &[&str]) -> String {
    let mut known = [fields, others].concat();
    match suggest(key, known.iter().copied()) {
        Some(meant) => format!("unknown key; did you mean `{meant}`?"),
        None => {
            known.sort_unstable();
            format!("unknown key; remove it, or use one of {}", known.join(", "))
        }
    }
}

/// Serde repeats a text that has the wrong type. It may be a secret that stands in the place of a list or table of secrets.
fn without_text(error: &str) -> String {
    let text = |begin: &str| Some((begin.to_owned(), error.strip_prefix(begin)?.strip_prefix("string \"")?));
    let Some((begin, rest)) = text("invalid type: ").or_else(|| text("invalid value: ")) else {
        return error.to_owned();
    };
    let expected = rest.rsplit_once("\", expected ").map(|(_, expected)| format!(", expected {expected}"));
    format!("{begin}a text{}", expected.unwrap_or_default())
}

/// Serde names types of Rust, which nobody sees who writes a configuration.
fn in_words(error: &str) -> String {
    let Some((found, expected)) = error.rsplit_once(", expected ") else { return error.to_owned() };
    let whole = match expected {
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "u32" => format!("a whole number from 0 to {}", u32::MAX),
        "u64" | "u128" | "usize" => "a whole number of at least 0".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a nonzero u16" => format!("a whole number from 1 to {}", u16::MAX),
        "path string" => "a path".to_owned(),
        "unit" => "no value".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a table".to_owned(),
        _ if expected.starts_with("struct ") => "a table".to_owned(),
        _ if expected.starts_with("tuple ") => "a list".to_owned(),
        _ => match expected.strip_prefix("a tuple of size ") {
            Some(size) => format!("a list of {size}"),
            None => return error.to_owned(),
        },
    };
    format!("{found}, expected {whole}")
}

/// The names of the fields of `T`, if it is a struct whose fields serde knows beforehand.
fn fields<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut names = None;
    // Always an error: nothing is read, the type is only asked what it wants.
    let _ = T::deserialize(Fields(&mut names));
    names
}

struct Fields<'a>(&'a mut Option<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Captured;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Captured> {
        *self.0 = Some(fields);
        Err(Captured::custom("only asked for its fields"))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Captured> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Captured> {
        Err(Captured::custom("only asked for its fields"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[provost_sdk::config]
    #[derive(Debug)]
    #[expect(dead_code, reason = "only its Debug form is looked at")]
    struct Config {
        url: String,
        #[serde(default)]
        retries: u32,
        #[serde(default)]
        headers: Headers,
    }

    #[provost_sdk::config]
    #[derive(Debug, Default)]
    #[expect(dead_code, reason = "only its Debug form is looked at")]
    struct Headers {
        accept: String,
    }

    fn check(toml: &str, expected: &str) {
        let table = toml.parse().expect("the test's TOML is valid");
        let found = match parse::<Config>(table, COMMON_KEYS) {
            Ok(config) => format!("{config:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn types_of_rust_are_not_named() {
        #[provost_sdk::config]
        struct Numbers {
            #[serde(default)]
            _small: u8,
            #[serde(default)]
            _port: u16,
            #[serde(default)]
            _large: usize,
            #[serde(default)]
            _signed: i32,
            #[serde(default)]
            _share: f64,
            #[serde(default)]
            _headers: Option<Headers>,
        }
        for (toml, expected) in [
            ("_small = 256", "_small: invalid value: integer `256`, expected a whole number from 0 to 255"),
            ("_port = -1", "_port: invalid value: integer `-1`, expected a whole number from 0 to 65535"),
            ("_large = -1", "_large: invalid value: integer `-1`, expected a whole number of at least 0"),
            ("_large = \", expected u8\"", "_large: invalid type: a text, expected a whole number of at least 0"),
            ("_signed = true", "_signed: invalid type: boolean `true`, expected a whole number"),
            ("_share = \"a\"", "_share: invalid type: a text, expected a number"),
            ("_headers = \"hunter2\"", "_headers: invalid type: a text, expected a table"),
            ("_headers = 5", "_headers: invalid type: integer `5`, expected a table"),
        ] {
            let table = toml.parse().expect("the test's TOML is valid");
            let error = parse::<Numbers>(table, &[]).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected));
        }
    }

    #[test]
    fn every_kind_of_value_is_read() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its Debug form is looked at")]
        #[serde(rename_all = "kebab-case")]
        enum Mode {
            Off,
            After(u64),
            Between { from: u64, to: u64 },
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its Debug form is looked at")]
        struct Seconds(u64);
        #[derive(Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
        struct Name(String);
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its Debug form is looked at")]
        #[serde(untagged)]
        enum Text {
            One(String),
            Many(Vec<String>),
        }
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its Debug form is looked at")]
        struct Kinds {
            when: String,
            modes: Vec<Mode>,
            numbers: BTreeMap<Name, Vec<u8>>,
            ports: BTreeMap<u16, u8>,
            pair: (u8, bool),
            seconds: Seconds,
            share: Option<f32>,
            table: Table,
            texts: Vec<Text>,
            by_port: BTreeMap<String, Option<Headers>>,
        }
        const GOOD: &str = r#"
            when = 2024-02-29T12:00:00Z
            modes = ["off", { after = 5 }, { between = { from = 1, to = 2 } }]
            numbers = { a = [1], b = [] }
            ports = {}
            pair = [7, true]
            seconds = 3
            share = 0.5
            table = { date = 2024-02-29, list = [1, { a = "b" }] }
            texts = ["a", ["b", "c"]]
            by_port = { "80" = { accept = "x" } }
        "#;
        let table = || GOOD.parse::<Table>().expect("the test's TOML is valid");
        let read = parse::<Kinds>(table(), &[]).map(|kinds| format!("{kinds:?}"));
        // What toml itself reads from the same.
        let expected = Kinds::deserialize(table()).map(|kinds| format!("{kinds:?}")).expect("readable");
        assert_eq!(read.as_deref().map_err(ToString::to_string), Ok(expected.as_str()));

        for (toml, expected) in [
            ("modes = [\"off\", \"of\"]", "modes[1]: unknown variant `of`, expected one of `off`, `after`, `between`"),
            (
                "modes = [{ after = \"hunter2\" }]",
                "modes[0].after: invalid type: a text, expected a whole number of at least 0",
            ),
            ("modes = [{ between = { from = 1 } }]", "modes[0].between: missing field `to`"),
            (
                "modes = [{ aftr = 1 }]",
                "modes[0].aftr: unknown variant `aftr`, expected one of `off`, `after`, `between`",
            ),
            (
                "modes = [{ after = 1, off = 2 }]",
                "modes[0]: invalid type: map, expected one of `off`, `after`, `between`",
            ),
            ("modes = [true]", "modes[0]: invalid type: boolean `true`, expected one of `off`, `after`, `between`"),
            ("modes = [{ off = \"hunter2\" }]", "modes[0].off: invalid type: a text, expected no value"),
            ("modes = 2024-02-29", "modes: invalid type: a text, expected a list"),
            ("numbers = 2024-02-29", "numbers: invalid type: a text, expected a table"),
            (
                "numbers = { a = [1, 256] }",
                "numbers.a[1]: invalid value: integer `256`, expected a whole number from 0 to 255",
            ),
            ("ports = { abc = 1 }", "ports.abc: invalid type: a text, expected a whole number from 0 to 65535"),
            ("pair = [1, true, false]", "pair: invalid length 3, expected a list of 2"),
            ("pair = [1]", "pair: invalid length 1, expected a list of 2"),
            ("seconds = 12:00:00", "seconds: invalid type: a text, expected a whole number of at least 0"),
            ("pair = [300, true]", "pair[0]: invalid value: integer `300`, expected a whole number from 0 to 255"),
            ("share = true", "share: invalid type: boolean `true`, expected a number"),
            ("texts = [[1]]", "texts[0]: data did not match any variant of untagged enum Text"),
            (
                "by_port = { a = { accept = \"x\", b = 1, c = [2] } }",
                "by_port.a.b: unknown key; remove it; by_port.a.c: unknown key; remove it",
            ),
            ("by_port = { a = { accept = 5 } }", "by_port.a.accept: invalid type: integer `5`, expected a string"),
        ] {
            let mut table = table();
            table.extend(toml.parse::<Table>().expect("the test's TOML is valid"));
            let error = parse::<Kinds>(table, &[]).err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), Some(expected), "{toml}");
        }
    }

    #[test]
    fn errors_name_the_key_and_come_together() {
        check("url = \"x\"\nretries = 3", "Config { url: \"x\", retries: 3, headers: Headers { accept: \"\" } }");
        check("", "missing field `url`");
        check(
            "urll = \"x\"\nretries = \"3\"\ntimout = 1\nzzz = 1",
            "timout: unknown key; did you mean `timeout`?; urll: unknown key; did you mean `url`?; \
            zzz: unknown key; remove it, or use one of circuit, concurrency, headers, plugin, queue, rate, retries, retry, timeout, url; \
            retries: invalid type: a text, expected a whole number from 0 to 4294967295",
        );
        check("url = \"x\"\nheaders = { accept = \"y\", b = 1 }", "headers.b: unknown key; remove it");
    }
}
