//! The command line.

use crate::plugins::records::Format;
use clap::Parser;
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// A message gateway: one HTTP API in front, native plugins behind it.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", required_unless_present_any = ["inspect", "schema"])]
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

    /// Select what is logged, in place of `log.filter` in the configuration; for example `info,smtp=debug`
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
