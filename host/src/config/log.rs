//! The section `[log]`: what is logged, and how.

use super::{Reader, shown};
use clap::ValueEnum;
use provost_sdk::serde::Serialize;
use tracing_subscriber::filter::Targets;

/// What is logged, and how.
#[provost_sdk::config]
#[serde(default)]
pub struct RawLog {
    /// Which events are logged, such as `info,smtp=debug`.
    filter: String,
    /// How a line is written: `human`, for people, or `json`, one object for programs.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[provost_sdk::config]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// For programs.
    Json,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::default() }
    }
}

impl RawLog {
    /// What is logged. Reports a filter that is none.
    pub fn filter(&self, reader: &mut Reader) -> Targets {
        self.filter.parse().unwrap_or_else(|error| {
            let message = format!("`{}` is not a filter such as \"info,smtp=debug\": {error}", shown(&self.filter));
            reader.error("log.filter", &message);
            Targets::new()
        })
    }
}
