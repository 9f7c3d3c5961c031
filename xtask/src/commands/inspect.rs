//! `cargo xtask inspect`: how built files were built, without loading them.

use std::mem;

use anyhow::{Context, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use provost_record::{Comparison, Report, compare, inspect};

use crate::commands::Format;
use crate::oci::reader::Blobs;
use crate::oci::unpack::{GZIP, uncompressed};
use crate::support::errors::Errors;
use crate::support::{files, ui};
use crate::verify::contents::Contents;

#[derive(Args)]
pub struct InspectArgs {
    /// A plugin, the host or the SDK; or an image, given as an archive or an OCI layout. Further files are compared with the first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<Utf8PathBuf>,

    /// Print text or JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl InspectArgs {
    pub fn run(&self) -> Result<()> {
        if let [path] = self.files.as_slice()
            && path.is_dir()
        {
            return self.show_image(path, Ok(Blobs::Dir(path.clone())));
        }
        // Archives of images travel gzipped, too.
        let read = |path: &Utf8PathBuf| {
            let bytes = files::read(path)?;
            if bytes.starts_with(&GZIP) {
                uncompressed(&bytes).with_context(|| format!("reading {path}"))
            } else {
                Ok(bytes)
            }
        };
        let mut contents = self.files.iter().map(read).collect::<Result<Vec<_>>>()?;
        if let ([path], [bytes]) = (self.files.as_slice(), contents.as_mut_slice())
            && Blobs::is_archive(bytes)
        {
            return self.show_image(path, Blobs::of_archive(mem::take(bytes)));
        }
        let mut first = None;
        let reports = self.files.iter().zip(&contents).map(|(path, bytes)| {
            let inspection = inspect(bytes).map_err(|error| anyhow!("{path}: {error}"))?;
            let comparison = first.as_ref().map(|(with, record)| Comparison {
                with: String::clone(with),
                differences: compare(&inspection.record, record),
                missing: None,
            });
            first.get_or_insert_with(|| (path.to_string(), inspection.record.clone()));
            Ok(Report { file: path.to_string(), inspection, comparison })
        });
        self.show(reports, "the files")
    }

    fn show_image(&self, path: &Utf8Path, blobs: Result<Blobs>) -> Result<()> {
        let contents = blobs.and_then(|blobs| Contents::read(&blobs)).with_context(|| format!("reading {path}"))?;
        self.show(contents.reports(), "the image")
    }

    /// Prints what could be read; then what could not is the error.
    fn show<'a>(&self, reports: impl Iterator<Item = Result<Report<'a>>>, input: &str) -> Result<()> {
        let mut shown = Vec::new();
        let mut errors = Errors::default();
        for report in reports {
            match report {
                Ok(report) => shown.push(report),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        match self.format {
            Format::Json => ui::result(&serde_json::to_string_pretty(&shown)?)?,
            Format::Human => {
                let texts: Vec<String> = shown.iter().map(ToString::to_string).collect();
                if !texts.is_empty() {
                    ui::result(texts.join("\n").trim_end())?;
                }
            }
        }
        errors.report(input)
    }
}
