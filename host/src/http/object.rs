//! Bodies that must be objects.

use axum::Json;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// What is read from an object, and from nothing else: serde takes an array for a struct too, and names the struct in its errors.
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

/// Reads JSON that must be an object.
///
/// # Errors
///
/// What is wrong, and in which field.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    // To remember the field takes a copy of each key, so that is done only after an error.
    if let Ok(text) = str::from_utf8(bytes)
        && let Ok(Object(value)) = serde_json::from_str(text)
    {
        return Ok(value);
    }
    Json::from_bytes(bytes).map(|Json(Object(value))| value).map_err(|error| error.body_text())
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
