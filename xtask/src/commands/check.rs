//! `cargo xtask check`: everything that can be wrong with a plugin, at once.

use std::fmt::Write;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::check::{self, CheckReport, codes};
use crate::commands::Format;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui, count};

#[derive(Args)]
#[command(after_help = "\
Exit code: 0 if all is right, 1 if there are errors, 2 if it could not check.

Examples:
  cargo xtask check weather
  cargo xtask check --format json
  cargo xtask check --explain crypto")]
pub struct CheckArgs {
    /// Names of plugins [default: all]
    names: Vec<String>,

    /// Probe with this configuration instead of the default configuration of the plugin
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,

    /// Explain a code, and check nothing
    #[arg(long, value_name = "CODE", value_parser = PossibleValuesParser::new(codes::all()), hide_possible_values = true)]
    explain: Option<String>,

    /// Print text or JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl CheckArgs {
    /// Whether all is right.
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<bool> {
        if let Some(code) = &self.explain {
            ui::result(codes::explanation(code).context("clap knows the codes")?)?;
            return Ok(true);
        }
        let report = check::check(&Session::open(ui, &paths.for_runs())?, &self.names, self.config.as_deref())?;
        match self.format {
            Format::Human => ui::result(text(&report)?.trim_end())?,
            Format::Json => ui::result(&serde_json::to_string_pretty(&report)?)?,
        }
        Ok(report.errors.is_empty())
    }
}

fn text(report: &CheckReport) -> Result<String> {
    let mut text = String::new();
    for error in &report.errors {
        writeln!(text, "error[{}]: {}", error.code, error.message)?;
    }
    for note in &report.notes {
        writeln!(text, "note[{}]: {}", note.code, note.message)?;
    }
    for plugin in &report.plugins {
        let source = plugin.record.source.chars().take(12).collect::<String>();
        writeln!(text, "built: {} {} from {}, source {source}", plugin.name, plugin.version, plugin.path)?;
    }
    match report.errors.len() {
        0 => writeln!(text, "{}: all is right", count(report.plugins.len(), "plugin"))?,
        errors => writeln!(text, "{}; `cargo xtask check --explain CODE` says more", count(errors, "error"))?,
    }
    Ok(text)
}
