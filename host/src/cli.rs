//! The command line.

use crate::plugins::records::Format;
use clap::Parser;
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// A message gateway: one HTTP API in front, native plugins behind it.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE", required_unless_present = "inspect")]
    pub config: Option<PathBuf>,

    /// A plugin to load, once for each
    #[arg(long, value_name = "FILE")]
    pub prov: Vec<PathBuf>,

    /// Load and check everything, serve nothing
    #[arg(long)]
    pub check: bool,

    /// Ask the host that runs with this configuration whether it answers, and do nothing else; plugins are not looked at
    #[arg(long, conflicts_with = "check")]
    pub health: bool,

    /// What to log, instead of the configuration's `log.filter`: `info,smtp=debug`
    #[arg(long, value_name = "FILTER")]
    pub log: Option<Targets>,

    /// Show how a plugin was built and whether it fits this host, and do nothing else
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "prov", "check", "health", "log"])]
    pub inspect: Option<PathBuf>,

    /// How `--inspect` shows it
    #[arg(long, value_enum, default_value_t, requires = "inspect")]
    pub format: Format,
}
