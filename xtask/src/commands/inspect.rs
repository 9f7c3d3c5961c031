//! `cargo xtask inspect`: a plugin's ABI record, read without loading it.

use anyhow::{Result, anyhow};
use camino::Utf8PathBuf;
use clap::Args;

use crate::commands::Format;
use crate::files;

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
        match self.format {
            Format::Json => println!("{}", serde_json::to_string_pretty(&record)?),
            Format::Human => {
                let serde_json::Value::Object(fields) = serde_json::to_value(&record)? else { return Ok(()) };
                for (field, value) in fields {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    let indented = text.trim_end().replace('\n', "\n         ");
                    println!("{field:<8} {indented}");
                }
            }
        }
        Ok(())
    }
}
