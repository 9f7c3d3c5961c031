//! The section `[log]`: what is logged, and how.

use super::{Reader, shown};
use clap::ValueEnum;
use provost_sdk::serde::Serialize;
use std::fmt::Display;
use tracing::level_filters::LevelFilter;
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
        read_filter(&self.filter).unwrap_or_else(|error| {
            reader.error("log.filter", &error);
            Targets::new()
        })
    }
}

/// Which events are logged.
///
/// # Errors
///
/// What is wrong with the text. The library takes a word that is no level for a module, of which it logs everything, and of all
/// others nothing: after a slip such as `warning` the log would be silent.
pub fn read_filter(text: &str) -> Result<Targets, String> {
    let wrong = |error: &dyn Display| format!("`{}` is not a filter such as \"info,smtp=debug\": {error}", shown(text));
    // The library would take the spaces for parts of names.
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let filter = parts.join(",").parse().map_err(|error| wrong(&error))?;
    let is_level = |part: &str| !part.is_empty() && part.parse::<LevelFilter>().is_ok();
    match parts.into_iter().find(|part| !part.contains('=') && !is_level(part)) {
        Some(part) => {
            let levels = "no level; use one of off, error, warn, info, debug and trace, and for a module `NAME=LEVEL`";
            Err(wrong(&format_args!("`{}` is {levels}", shown(part))))
        }
        None => Ok(filter),
    }
}
