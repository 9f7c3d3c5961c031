//! Secrets of a configuration: never shown, in the table itself or in a file of their own.

use crate::ConfigError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// A text that is never shown: not by `Debug`, not in an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret that stands in the file `path`, without white space around it. `key` is the key that named the file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is empty.
    pub fn read(key: &str, path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::new(key, format!("reading {}: {error}", path.display())))?;
        match text.trim() {
            "" => Err(ConfigError::new(key, format!("{} is empty", path.display()))),
            text => Ok(Self::new(text)),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "writeOnly": true })
    }
}

/// Serde's own message for a wrong type shows the value; each method here refuses without doing so.
struct SecretVisitor;

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        if text.is_empty() { Err(E::custom("the secret is empty")) } else { Ok(Secret::new(text)) }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(not_text())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(not_text())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(not_text())
    }
}

fn not_text<E: Error>() -> E {
    E::custom("a secret is a text in quotes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Config {
        secret: Secret,
    }

    #[test]
    fn it_is_never_shown() {
        let config: Config = toml::from_str("secret = \"hunter2\"").expect("a text");
        assert_eq!(config.secret.expose(), "hunter2");
        assert_eq!(format!("{:?}", config.secret), "***");
        for wrong in ["20260101", "3.25", "true", "\"\""] {
            let error = toml::from_str::<Config>(&format!("secret = {wrong}")).err().expect("refused");
            assert!(!error.message().contains(wrong.trim_matches('"')) || wrong == "\"\"", "{}", error.message());
        }
    }
}
