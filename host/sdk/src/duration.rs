//! Durations in a configuration, as numbers with their units.

use crate::error::{SHOWN, excerpt};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

/// The shortest: no timer knows less, and whoever writes less mistook the unit.
const LEAST: Duration = Duration::from_millis(1);

/// The longest: what is longer would overflow a clock at some place.
const MOST: Duration = Duration::from_secs(24 * 60 * 60);

/// A duration of a configuration: `"10s"`, `"1m 30s"`, `"250ms"`; at least a millisecond, and at most a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HumanDuration(Duration);

impl Deref for HumanDuration {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Duration> for HumanDuration {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl<'de> Deserialize<'de> for HumanDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match humantime::parse_duration(&text) {
            Ok(duration) if duration < LEAST => {
                Err(D::Error::custom("a duration must be at least a millisecond, \"1ms\""))
            }
            Ok(duration) if duration > MOST => Err(D::Error::custom("a duration must be at most a day, \"24h\"")),
            Ok(duration) => Ok(Self(duration)),
            Err(error) => {
                let text = excerpt(&text, SHOWN);
                Err(D::Error::custom(format!("`{text}` is not a duration such as \"10s\": {error}")))
            }
        }
    }
}

/// For the default in a schema.
impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(self.0))
    }
}

impl JsonSchema for HumanDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["10s", "1m 30s", "250ms"] })
    }
}
