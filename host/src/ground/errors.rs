//! Collects errors, so that all of them are reported at once.

use provost_sdk::excerpt;
use std::path::Path;

/// How much is repeated of what a parser or a plugin says, in characters.
pub const LINE: usize = 1000;

/// How much of a key is repeated, in characters: tables' names are in front.
const KEY: usize = 250;

/// Errors, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Errors {
    texts: Vec<String>,
}

impl Errors {
    /// One error alone.
    pub fn one(text: impl Into<String>) -> Self {
        Self { texts: vec![text.into()] }
    }

    /// Adds an error: lower case, no full stop, with the path and the fix.
    pub fn add(&mut self, text: impl Into<String>) {
        self.texts.push(text.into());
    }

    /// Adds the error of a key in a configuration; the key may be empty.
    pub fn add_key(&mut self, file: &Path, key: &str, message: &str) {
        let colon = if key.is_empty() { "" } else { ": " };
        let (key, message) = (excerpt(key, KEY), excerpt(message, LINE));
        self.add(format!("{}: {key}{colon}{message}", file.display()));
    }

    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(|text| text.trim_end())
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}
