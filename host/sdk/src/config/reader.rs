//! A deserializer of TOML's values that knows where it is: serde's errors do not say in which key they arose, nor which keys nobody asked for.
//!
//! One type does both, and there is not one around another: a plugin contains code for each pair of a type that is read and a
//! deserializer.

use serde::de::value::{Error, MapAccessDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use std::cell::RefCell;
use toml::{Table, Value};

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

/// Appends a step to the path. Returns the length that it had before.
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

/// Where a variant is expected, and nothing that could be one stands.
fn no_variant(value: &Value, variants: &[&str]) -> Error {
    let found = match value {
        Value::Integer(number) => Unexpected::Signed(*number),
        Value::Float(number) => Unexpected::Float(*number),
        Value::Boolean(value) => Unexpected::Bool(*value),
        Value::Array(_) => Unexpected::Seq,
        Value::Table(_) => Unexpected::Map,
        Value::String(text) => Unexpected::Str(text),
        Value::Datetime(_) => Unexpected::Other("date"),
    };
    Error::invalid_type(found, &format!("one of `{}`", variants.join("`, `")).as_str())
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_string(text),
            Value::Integer(number) => visitor.visit_i64(number),
            Value::Float(number) => visitor.visit_f64(number),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Datetime(date) => visitor.visit_string(date.to_string()),
            Value::Array(values) => {
                let mut elements = Elements { values: values.into_iter(), index: 0, notes: self.notes };
                let value = visitor.visit_seq(&mut elements)?;
                elements.end().map(|()| value)
            }
            Value::Table(table) => {
                let mut entries = Entries::new(table, self.notes);
                let value = visitor.visit_map(&mut entries)?;
                entries.end();
                Ok(value)
            }
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
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            Value::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::new(table, self.notes)))
            }
            value => Err(no_variant(&value, variants)),
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

    /// A type like a pair does not ask for more than it takes.
    fn end(&self) -> Result<(), Error> {
        match self.values.len() {
            0 => Ok(()),
            more => Err(Error::invalid_length(self.index + more, &format!("a tuple of size {}", self.index).as_str())),
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

    fn advance(&mut self) -> Option<&str> {
        self.next = self.entries.next();
        self.next.as_ref().map(|(key, _)| key.as_str())
    }

    /// What its reader left is in no type.
    fn end(self) {
        for (key, _) in self.next.into_iter().chain(self.entries) {
            let before = enter(self.notes, Step::Key(&key));
            note_unknown(self.notes);
            leave(self.notes, before, false);
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let notes = self.notes;
        let Some(key) = self.advance() else { return Ok(None) };
        read(seed, Value::String(key.to_owned()), Step::Key(key), notes).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let Some((key, value)) = self.next.take() else { return Err(Error::custom("a value is read before its key")) };
        read(seed, value, Step::Key(&key), self.notes)
    }
}
