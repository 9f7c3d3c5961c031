//! The command line.

use crate::config::{LogFormat, read_filter};
use crate::ground::errors::Errors;
use crate::ground::ffi;
use crate::plugins::records::Format;
use crate::telemetry::log;
use clap::{Parser, ValueEnum};
use provost_sdk::{SHOWN, excerpt};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// A message gateway: one HTTP API in front, native plugins behind it.
#[derive(Parser)]
// What is added to a command, as to an image's entrypoint, counts more than what it has.
#[command(version, args_override_self = true)]
pub struct Args {
    /// Configuration file (TOML); the variable PROVOST_CONFIG replaces it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Plugin to load; can be repeated
    #[arg(long, value_name = "FILE")]
    pub prov: Vec<PathBuf>,

    /// Load and check everything, then exit
    #[arg(long)]
    pub check: bool,

    /// Check that the running host with this configuration answers, then exit
    #[arg(long, conflicts_with = "check")]
    pub health: bool,

    /// Select what is logged, in place of `log.filter` in the configuration; for example `info,smtp=debug`. The variable PROVOST_LOG
    /// replaces it
    #[arg(long, value_name = "FILTER", value_parser = read_filter)]
    pub log: Option<Targets>,

    /// How lines of the log and errors are written, in place of `log.format` in the configuration. The variable PROVOST_LOG_FORMAT replaces
    /// it
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Show how a plugin was built and whether it fits this host, then exit
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "prov", "check", "health", "log"])]
    pub inspect: Option<PathBuf>,

    /// Print the JSON Schema of the configuration, or of the table of a plugin's provider, then exit
    #[arg(long, value_name = "PLUGIN", conflicts_with_all = ["check", "health", "inspect"])]
    pub schema: Option<Option<String>>,

    /// Format of `--inspect`
    #[arg(long, value_enum, default_value_t, requires = "inspect")]
    pub format: Format,
}

impl Args {
    /// Reads the command and the environment, which counts more: in an image the command is written already. Ends the process after a
    /// question that the command answers, such as `--help`.
    ///
    /// # Errors
    ///
    /// What is wrong with the command or a variable, or missing.
    pub fn read() -> Result<Self, Errors> {
        // First, so that all errors are written in this format.
        let format = variable("PROVOST_LOG_FORMAT").map(|text| log_format(&text.to_string_lossy())).transpose()?;
        log::set_format(format.unwrap_or_default());
        let mut args = match Self::try_parse() {
            // What it says is coloured, has several lines, and ends the process with code 2.
            Err(error) if !log::is_json() || !error.use_stderr() => error.exit(),
            Err(error) => {
                let text = error.to_string();
                log::error(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
                ffi::end(error.exit_code());
            }
            Ok(args) => args,
        };
        args.log_format = format.or(args.log_format);
        log::set_format(args.log_format.unwrap_or_default());
        args.with_environment()
    }

    fn with_environment(mut self) -> Result<Self, Errors> {
        if let Some(path) = variable("PROVOST_CONFIG") {
            self.config = Some(path.into());
        }
        if let Some(text) = variable("PROVOST_LOG") {
            let log = read_filter(&text.to_string_lossy());
            self.log = Some(log.map_err(|error| Errors::one(format!("PROVOST_LOG: {error}")))?);
        }
        if self.config.is_none() && self.inspect.is_none() && self.schema.is_none() {
            return Err(Errors::one("no configuration is named: add `--config FILE`, or set PROVOST_CONFIG"));
        }
        Ok(self)
    }
}

/// What the environment says, if it is not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn log_format(text: &str) -> Result<LogFormat, Errors> {
    LogFormat::from_str(text, false).map_err(|_| {
        Errors::one(format!("PROVOST_LOG_FORMAT: `{}` is not a format; use `human` or `json`", excerpt(text, SHOWN)))
    })
}
