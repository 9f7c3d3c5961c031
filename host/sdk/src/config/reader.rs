//! A deserializer of TOML's values that knows where it is: serde's errors do not say in which key they arose, nor which keys nobody asked for.
//!
//! It is a type of its own, in place of one around another for each of these: a plugin has code for every pair of a type that is read and a
//! deserializer that reads it.

use serde::de::value::{Error, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use toml::value::Datetime;
use toml::{Table, Value};

/// By this key `toml` knows a date in a map, since serde has none.
const DATE: &str = "$__toml_private_datetime";

/// Where a reading is, and what it has found on the way. A path is like `headers.accept` or `keys[2]`, and empty for the whole.
#[derive(Default)]
pub struct Notes {
    path: String,
    failed: Option<String>,
    unknown: Vec<String>,
}

impl Notes {
    /// Where the error arose, and the keys that were in no type.
    pub fn into_parts(self) -> (String, Vec<String>) {
        (self.failed.unwrap_or_default(), self.unknown)
    }
}

/// One value, and the notes of all.
pub struct Reader<'a> {
    value: Value,
    notes: &'a RefCell<Notes>,
}

impl<'a> Reader<'a> {
    pub fn new(table: Table, notes: &'a RefCell<Notes>) -> Self {
        Self { value: Value::Table(table), notes }
    }
}

enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The length that the path had before.
fn enter(notes: &RefCell<Notes>, step: Step) -> usize {
    let path = &mut notes.borrow_mut().path;
    let before = path.len();
    match step {
        Step::Key(key) if path.is_empty() => path.push_str(key),
        Step::Key(key) => path.extend([".", key]),
        Step::Index(index) => path.push_str(&format!("[{index}]")),
    }
    before
}

fn leave(notes: &RefCell<Notes>, before: usize, failed: bool) {
    let notes = &mut *notes.borrow_mut();
    if failed && notes.failed.is_none() {
        notes.failed = Some(notes.path.clone());
    }
    notes.path.truncate(before);
}

fn note_unknown(notes: &RefCell<Notes>) {
    let notes = &mut *notes.borrow_mut();
    notes.unknown.push(notes.path.clone());
}

fn read<'de, S: DeserializeSeed<'de>>(
    seed: S,
    value: Value,
    step: Step,
    notes: &RefCell<Notes>,
) -> Result<S::Value, Error> {
    let before = enter(notes, step);
    let result = seed.deserialize(Reader { value, notes });
    leave(notes, before, result.is_err());
    result
}

/// The map is no matter of who wrote the date.
fn about_date(error: Error) -> Error {
    Error::custom(error.to_string().replacen("invalid type: map", "invalid type: date", 1))
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Datetime(date) => visitor.visit_map(Entries::of_date(&date, self.notes)).map_err(about_date),
            Value::Array(values) => {
                let mut elements = Elements { values: values.into_iter(), index: 0, notes: self.notes };
                let value = visitor.visit_seq(&mut elements)?;
                elements.end().map(|()| value)
            }
            Value::Table(table) => visitor.visit_map(Entries::new(table, self.notes)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::new(table, self.notes)))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        note_unknown(self.notes);
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier
    }
}

struct Elements<'a> {
    values: std::vec::IntoIter<Value>,
    index: usize,
    notes: &'a RefCell<Notes>,
}

impl Elements<'_> {
    fn advance(&mut self) -> Option<(usize, Value)> {
        let value = self.values.next()?;
        self.index += 1;
        Some((self.index - 1, value))
    }

    /// A type like a pair does not ask for more than it has.
    fn end(&self) -> Result<(), Error> {
        match self.values.len() {
            0 => Ok(()),
            more => Err(Error::invalid_length(self.index + more, &format!("{} elements", self.index).as_str())),
        }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some((index, value)) = self.advance() else { return Ok(None) };
        read(seed, value, Step::Index(index), self.notes).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.values.len())
    }
}

struct Entries<'a> {
    entries: toml::map::IntoIter<String, Value>,
    /// The one whose key was read last.
    next: Option<(String, Value)>,
    notes: &'a RefCell<Notes>,
}

impl<'a> Entries<'a> {
    fn new(table: Table, notes: &'a RefCell<Notes>) -> Self {
        Self { entries: table.into_iter(), next: None, notes }
    }

    fn of_date(date: &Datetime, notes: &'a RefCell<Notes>) -> Self {
        Self::new(Table::from_iter([(DATE.to_owned(), Value::String(date.to_string()))]), notes)
    }

    fn advance(&mut self) -> Option<&str> {
        self.next = self.entries.next();
        self.next.as_ref().map(|(key, _)| key.as_str())
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let Some(key) = self.advance() else { return Ok(None) };
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((key, value)) = self.next.take() else { return Err(Error::custom("a value is read before its key")) };
        read(seed, value, Step::Key(&key), self.notes)
    }
}
