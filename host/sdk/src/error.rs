//! What can go wrong in a provider: its configuration, and a delivery.

use std::fmt;
use std::time::Duration;

/// One fault of a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key in the provider's table, with dots for tables in it; empty when the fault is of the table as a whole.
    pub key: String,
    /// What is wrong and how to mend it: lower case, no full stop, never a secret.
    pub message: String,
}

/// The faults of a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    faults: Vec<Fault>,
}

impl ConfigError {
    /// One fault: the key, and what is wrong with its value.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { faults: vec![Fault { key: key.into(), message: message.into() }] }
    }

    /// These faults and one more.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>, message: impl Into<String>) -> Self {
        self.faults.push(Fault { key: key.into(), message: message.into() });
        self
    }

    /// All faults together, `Ok` when there is none.
    ///
    /// # Errors
    ///
    /// The faults, as an error.
    pub fn all(faults: Vec<Fault>) -> Result<(), Self> {
        if faults.is_empty() { Ok(()) } else { Err(Self { faults }) }
    }

    /// The faults, at least one.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// The faults, at least one.
    pub fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Fault { key, message }) in self.faults.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            let colon = if key.is_empty() { "" } else { ": " };
            write!(f, "{between}{key}{colon}{message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// An error with its causes, as one line. A cause that its effect repeats already stands there once.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

/// How much of a name or a value is repeated in a message, in characters.
pub const SHOWN: usize = 64;

/// The first `most` characters of a text that somebody else wrote, on one line, with `...` if there are more: to repeat it in a
/// message or a log.
pub fn excerpt(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let mut line = String::new();
    for letter in letters.by_ref().take(most) {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    if letters.next().is_some() {
        line += "...";
    }
    line
}

/// Why a message was not delivered. The reason is shown to the caller: it must hold no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryError {
    /// The same message may be accepted later.
    Temporary {
        /// What happened: lower case, no full stop.
        reason: String,
        /// How long to wait, when the other side said so.
        retry_after: Option<Duration>,
    },
    /// The message will never be accepted as it is.
    Permanent {
        /// What happened: lower case, no full stop.
        reason: String,
    },
}

impl DeliveryError {
    /// The same message may be accepted later.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary { reason: reason.into(), retry_after: None }
    }

    /// The message will never be accepted as it is.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into() }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporary { reason, .. } | Self::Permanent { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for DeliveryError {}
