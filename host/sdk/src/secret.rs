//! Secrets of a configuration: never shown, and kept in the table itself, in an environment variable or in a file.

use crate::{ConfigError, SHOWN, excerpt, files};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::borrow::Cow;
use std::env;
use std::fmt;
use std::path::Path;

/// A text that is never shown: not by `Debug`, not in an error. In a configuration it is the secret itself, or says where it is:
/// `env:NAME` in an environment variable, `file:/PATH` in a file, both without the white space around it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

const EMPTY: &str = "empty: set it, say where it is by `env:NAME` or `file:/PATH`, or remove it";

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
        Self::of_file(path).map_err(|error| ConfigError::new(key, error))
    }

    fn of_file(path: &Path) -> Result<Self, String> {
        let text = files::read_text(path).map_err(|error| format!("reading {}: {error}", path.display()))?;
        match text.trim() {
            "" => Err(format!("{} is empty", path.display())),
            text => Ok(Self::new(text)),
        }
    }

    /// The secret that a text of a configuration is, or names.
    fn named_by(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("env:") {
            let shown = excerpt(name, SHOWN);
            return match env::var(name) {
                Ok(value) => match value.trim() {
                    "" => Err(format!("the environment variable {shown} is empty")),
                    value => Ok(Self::new(value)),
                },
                Err(_) => Err(format!("the environment variable {shown} is not set, or is not UTF-8")),
            };
        }
        if let Some(path) = text.strip_prefix("file:") {
            let path = Path::new(path);
            if path.is_relative() {
                return Err("`file:` needs an absolute path, such as `file:/run/secrets/NAME`".to_owned());
            }
            return Self::of_file(path);
        }
        if text.trim().is_empty() { Err(EMPTY.to_owned()) } else { Ok(Self::new(text)) }
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
        Secret::named_by(text).map_err(E::custom)
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
        for wrong in ["20260101", "3.25", "true"] {
            let error = toml::from_str::<Config>(&format!("secret = {wrong}")).err().expect("refused");
            assert_eq!(error.message(), "a secret is a text in quotes");
        }
    }

    fn check(text: &str, expected: Result<&str, &str>) {
        let config = toml::from_str::<Config>(&format!("secret = {text:?}"));
        let found = config.as_ref().map(|config| config.secret.expose()).map_err(|error| error.message());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn it_is_there_or_elsewhere() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("secret");
        let named = format!("file:{}", path.display());
        check(&named, Err(&format!("reading {}: No such file or directory (os error 2)", path.display())));
        std::fs::write(&path, "\n").expect("a temporary file");
        check(&named, Err(&format!("{} is empty", path.display())));
        std::fs::write(&path, "hunter2\n").expect("a temporary file");
        check(&named, Ok("hunter2"));
        check("file:secret", Err("`file:` needs an absolute path, such as `file:/run/secrets/NAME`"));
        // Cargo sets it for tests.
        check("env:CARGO_PKG_NAME", Ok("provost-sdk"));
        check("env:NOBODY_SETS_IT", Err("the environment variable NOBODY_SETS_IT is not set, or is not UTF-8"));
        check("", Err(EMPTY));
        check(" \t", Err(EMPTY));
        check("hunter2", Ok("hunter2"));
    }
}
