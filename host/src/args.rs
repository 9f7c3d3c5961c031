//! The command line.

use clap::Parser;
use std::path::PathBuf;
use tracing_subscriber::filter::Targets;

/// A message gateway: one HTTP API in front, native plugins behind it.
#[derive(Parser)]
#[command(version)]
pub struct Args {
    /// The configuration, a TOML file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// A plugin to load, once for each
    #[arg(long, value_name = "FILE")]
    pub prov: Vec<PathBuf>,

    /// Load and check everything, serve nothing
    #[arg(long)]
    pub check: bool,

    /// What to log, instead of the configuration's `log.filter`: `info,smtp=debug`
    #[arg(long, value_name = "FILTER")]
    pub log: Option<Targets>,
}
