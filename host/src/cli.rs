//! The command line.

use crate::ground::errors::Errors;
use crate::plugins::records::Format;
use clap::Parser;
use provost_sdk::{SHOWN, excerpt};
use std::env;
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// A message gateway: one HTTP API in front, native plugins behind it.
#[derive(Parser)]
#[command(version)]
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
    #[arg(long, value_name = "FILTER")]
    pub log: Option<Targets>,

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
    /// Lets the environment count more than the command: in an image the command is written already.
    ///
    /// # Errors
    ///
    /// What is wrong with a variable, or missing.
    pub fn with_environment(mut self) -> Result<Self, Errors> {
        let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = variable("PROVOST_CONFIG") {
            self.config = Some(path.into());
        }
        if let Some(text) = variable("PROVOST_LOG") {
            let text = text.to_string_lossy();
            let log = text.parse().map_err(|error| {
                let text = excerpt(&text, SHOWN);
                Errors::one(format!("PROVOST_LOG: `{text}` is not a filter such as \"info,smtp=debug\": {error}"))
            })?;
            self.log = Some(log);
        }
        if self.config.is_none() && self.inspect.is_none() && self.schema.is_none() {
            return Err(Errors::one("no configuration is named: add `--config FILE`, or set PROVOST_CONFIG"));
        }
        Ok(self)
    }
}
