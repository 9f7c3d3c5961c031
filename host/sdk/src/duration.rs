//! Durations in a configuration, as a number with its unit: `#[serde(with = "provost_sdk::duration")]`.

use crate::error::{SHOWN, excerpt};
use serde::{Deserialize, Deserializer, de::Error};
use std::time::Duration;

/// Reads `"10s"`, `"1m 30s"`, `"250ms"`.
///
/// # Errors
///
/// When the value is anything else, or no time at all.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    match humantime::parse_duration(&text) {
        Ok(Duration::ZERO) => Err(D::Error::custom("a duration must be more than zero")),
        Ok(duration) => Ok(duration),
        Err(error) => {
            Err(D::Error::custom(format!("`{}` is not a duration such as \"10s\": {error}", excerpt(&text, SHOWN))))
        }
    }
}
