//! `cargo xtask inspect`: a plugin's ABI record, read without loading it.

use anyhow::{Result, anyhow};
use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::Format;
use crate::files;
use crate::ui;

#[derive(Args)]
pub struct InspectArgs {
    /// A built plugin
    file: Utf8PathBuf,

    /// What goes to stdout
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl InspectArgs {
    pub fn run(&self) -> Result<()> {
        let record =
            provost_record::read(&files::read(&self.file)?).map_err(|error| anyhow!("{}: {error}", self.file))?;
        let json = serde_json::to_value(&record)?;
        match (self.format, &json) {
            (Format::Human, serde_json::Value::Object(fields)) => {
                let rows = fields.iter().map(|(field, value)| {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    format!("{field:<8} {}", text.trim_end().replace('\n', "\n         "))
                });
                ui::result(&rows.collect::<Vec<_>>().join("\n"))
            }
            _ => ui::result(&serde_json::to_string_pretty(&json)?),
        }
    }
}
