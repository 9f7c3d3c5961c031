//! What can go wrong in a provider: its configuration, and a delivery.

use std::fmt;
use std::time::Duration;

/// One error of a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    /// The key in the provider's table, with dots for tables in it; empty when the error is of the table as a whole.
    pub key: String,
    /// What is wrong and how to fix it: lower case, no full stop, never a secret.
    pub message: String,
}

/// The errors of a provider's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    errors: Vec<KeyError>,
}

impl ConfigError {
    /// One error: the key, and what is wrong with its value.
    pub fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { errors: vec![KeyError { key: key.into(), message: message.into() }] }
    }

    /// These errors and one more.
    #[must_use]
    pub fn and(mut self, key: impl Into<String>, message: impl Into<String>) -> Self {
        self.errors.push(KeyError { key: key.into(), message: message.into() });
        self
    }

    /// All errors together, `Ok` when there is none.
    ///
    /// # Errors
    ///
    /// The errors, as an error.
    pub fn all(errors: Vec<KeyError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self { errors }) }
    }

    /// Both values, or the errors of both.
    ///
    /// # Errors
    ///
    /// The errors of each that is an error.
    pub fn both<A, B>(one: Result<A, Self>, other: Result<B, Self>) -> Result<(A, B), Self> {
        match (one, other) {
            (Ok(one), Ok(other)) => Ok((one, other)),
            (Err(mut one), Err(other)) => {
                one.errors.extend(other.errors);
                Err(one)
            }
            (Err(error), Ok(_)) | (Ok(_), Err(error)) => Err(error),
        }
    }

    /// The same errors with other messages.
    #[must_use]
    pub fn map_messages(mut self, map: impl Fn(String) -> String) -> Self {
        for error in &mut self.errors {
            error.message = map(std::mem::take(&mut error.message));
        }
        self
    }

    /// The errors, at least one.
    pub fn errors(&self) -> &[KeyError] {
        &self.errors
    }

    /// The errors, at least one.
    pub fn into_errors(self) -> Vec<KeyError> {
        self.errors
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, KeyError { key, message }) in self.errors.iter().enumerate() {
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
    /// The same message may be accepted later, and others now: the other side works, and defers this recipient, say. It does not count as
    /// a failure of the provider, for which its circuit would open: else whoever names such recipients could close it for all.
    Deferred {
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
    /// The other side refuses the host, not the message: a password or token that is wrong, expired or being rotated, or a server that
    /// lacks what is configured. The message may be accepted once whoever runs the host has mended it.
    Unauthorized {
        /// What happened: lower case, no full stop.
        reason: String,
    },
}

impl DeliveryError {
    /// The same message may be accepted later.
    pub fn temporary(reason: impl Into<String>) -> Self {
        Self::Temporary { reason: reason.into(), retry_after: None }
    }

    /// The same message may be accepted later, and others now.
    pub fn deferred(reason: impl Into<String>) -> Self {
        Self::Deferred { reason: reason.into(), retry_after: None }
    }

    /// The message will never be accepted as it is.
    pub fn permanent(reason: impl Into<String>) -> Self {
        Self::Permanent { reason: reason.into() }
    }

    /// The other side refuses the host, not the message.
    pub fn unauthorized(reason: impl Into<String>) -> Self {
        Self::Unauthorized { reason: reason.into() }
    }

    /// The same error, with what the other side said behind the reason.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        let (Self::Temporary { reason, .. }
        | Self::Deferred { reason, .. }
        | Self::Permanent { reason }
        | Self::Unauthorized { reason }) = &mut self;
        *reason = format!("{reason}: {detail}");
        self
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Temporary { reason, .. }
            | Self::Deferred { reason, .. }
            | Self::Permanent { reason }
            | Self::Unauthorized { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for DeliveryError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_errors_of_both_are_reported() {
        let error = |key| Err::<u8, _>(ConfigError::new(key, "wrong"));
        assert_eq!(ConfigError::both(Ok(1), Ok("2")), Ok((1, "2")));
        for (one, other, expected) in [
            (error("a"), Ok(1), "a: wrong"),
            (Ok(1), error("b"), "b: wrong"),
            (error("a"), error("b"), "a: wrong; b: wrong"),
        ] {
            assert_eq!(ConfigError::both(one, other).map_err(|error| error.to_string()), Err(expected.to_owned()));
        }
        let named = ConfigError::new("a", "wrong").and("b", "missing").map_messages(|message| message + " here");
        assert_eq!(named.to_string(), "a: wrong here; b: missing here");
    }

    #[test]
    fn a_detail_leaves_the_kind_as_it_is() {
        let retry_after = Some(Duration::from_secs(7));
        let error = DeliveryError::Temporary { reason: "busy".to_owned(), retry_after };
        let expected = DeliveryError::Temporary { reason: "busy: full".to_owned(), retry_after };
        assert_eq!(error.with_detail("full"), expected);
        assert_eq!(DeliveryError::deferred("a").with_detail("b"), DeliveryError::deferred("a: b"));
        assert_eq!(DeliveryError::permanent("a").with_detail("b"), DeliveryError::permanent("a: b"));
        assert_eq!(DeliveryError::unauthorized("a").with_detail("b"), DeliveryError::unauthorized("a: b"));
    }
}
