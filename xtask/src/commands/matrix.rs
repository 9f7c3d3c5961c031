//! `cargo xtask matrix`: what CI has to run.

use std::io::Write;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::pipeline::matrix;
use crate::pipeline::matrix::since::{self, Since};
use crate::plan::matrix::{Kind, MOST, Row};
use crate::source::manifest;
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui};

#[derive(Args)]
#[command(after_help = "Examples:
  cargo xtask matrix                                # the images, as JSON
  cargo xtask matrix --for check --format gitlab    # a child pipeline with a job for each plugin
  cargo xtask matrix --format github                # in a job of GitHub: outputs `matrix`, `count` and `empty`")]
pub struct MatrixArgs {
    /// Choose what the rows do
    #[arg(long = "for", value_enum, default_value_t = Kind::Image)]
    kind: Kind,

    /// Make rows for these platforms, in place of those in Cargo.toml
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    platform: Vec<String>,

    /// Keep only the images of these flavours, separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    flavour: Vec<String>,

    /// Keep only the rows that a change since this commit can affect
    #[arg(long, value_name = "REF")]
    since: Option<String>,

    /// The same, since the commit that this image was built from
    #[arg(long, value_name = "IMAGE", conflicts_with = "since")]
    since_image: Option<String>,

    /// Keep one part of the rows: 1/3, 2/3 and 3/3 are all of them
    #[arg(long, value_name = "M/N")]
    partition: Option<Partition>,

    /// Print JSON, outputs of a GitHub job (into $GITHUB_OUTPUT, if it is set), or a child pipeline of GitLab
    #[arg(long, value_enum, default_value_t = MatrixFormat::Json)]
    format: MatrixFormat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum MatrixFormat {
    Json,
    Github,
    Gitlab,
}

/// Every `of`-th row, from row number `part` on, which is 1 to `of`.
#[derive(Clone, Copy)]
struct Partition {
    part: usize,
    of: usize,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Partition, String> {
        let numbers = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((part, of)) if (1..=of).contains(&part) => Ok(Partition { part, of }),
            _ => Err("write M/N, such as 1/3, with M from 1 to N".to_owned()),
        }
    }
}

/// As `strategy.matrix` of GitHub takes it.
#[derive(Serialize)]
struct Matrix<'a> {
    include: &'a [Row],
}

impl MatrixArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let mut rows = self.rows(ui, paths)?;
        if let Some(Partition { part, of }) = self.partition {
            rows = rows.into_iter().skip(part - 1).step_by(of).collect();
        }
        ensure!(
            rows.len() <= MOST,
            "the matrix has {} rows, and CI takes {MOST}; take a part of them with --partition, or fewer flavours, toolchains \
             or platforms in [workspace.metadata.image.matrix]",
            rows.len()
        );
        match self.format {
            MatrixFormat::Json => ui::result(&serde_json::to_string_pretty(&Matrix { include: &rows })?),
            MatrixFormat::Github => github(&rows),
            MatrixFormat::Gitlab => ui::result(&serde_json::to_string_pretty(&gitlab(&rows))?),
        }
    }

    /// Those that the change can affect, if a commit is named.
    fn rows(&self, ui: &Ui, paths: &Paths) -> Result<Vec<Row>> {
        let mut rows = matrix::rows(paths, self.kind, &self.platform)?;
        if !self.flavour.is_empty() {
            let known = manifest::read(&paths.root)?.image().matrix.flavours();
            let mut errors = Errors::default();
            for name in self.flavour.iter().filter(|name| !known.contains_key(*name)) {
                let there: Vec<&str> = known.keys().map(String::as_str).collect();
                errors.push(format!("--flavour {name}: there is no such flavour; there are {}", there.join(", ")));
            }
            errors.report("the command line")?;
            rows.retain(|row| self.flavour.contains(&row.flavour));
        }
        if self.since.is_none() && self.since_image.is_none() {
            return Ok(rows);
        }
        match self.affected(ui, paths, rows.clone()) {
            Ok(affected) => {
                let of = rows.len();
                for row in rows.iter().filter(|row| affected.iter().all(|(kept, _)| kept != *row)) {
                    ui.status("Unaffected", &row.id);
                }
                for (row, why) in &affected {
                    ui.status("Affected", format!("{}: {why}", row.id));
                }
                ui.status("Keeping", format!("{} of {of}", affected.len()));
                Ok(affected.into_iter().map(|(row, _)| row).collect())
            }
            Err(error) => {
                ui.warning(format!("what the change affects is not known, so every row stays: {error:#}"));
                Ok(rows)
            }
        }
    }

    fn affected(&self, ui: &Ui, paths: &Paths, rows: Vec<Row>) -> Result<Vec<(Row, String)>> {
        let session = Session::open(ui, &paths.for_matrix())?;
        let commit = match (&self.since, &self.since_image) {
            (_, Some(image)) => since::revision(&session, image)?,
            (reference, None) => reference.clone().unwrap_or_default(),
        };
        Since::read(&session, &commit)?.affected(self.kind, &self.platform, rows)
    }
}

/// Source: <https://docs.github.com/en/actions/reference/workflow-commands#setting-an-output-parameter>.
fn github(rows: &[Row]) -> Result<()> {
    let matrix = serde_json::to_string(&Matrix { include: rows })?;
    let outputs = format!("matrix={matrix}\nempty={}\ncount={}", rows.is_empty(), rows.len());
    let Some(path) = std::env::var_os("GITHUB_OUTPUT").filter(|path| !path.is_empty()) else {
        return ui::result(&outputs);
    };
    let shown = path.display();
    let file = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{outputs}"));
    if let Err(error) = written {
        bail!("writing the outputs to {shown}, which GITHUB_OUTPUT names: {error}");
    }
    Ok(())
}

/// JSON is YAML. GitLab refuses a pipeline without jobs.
/// Source: <https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#dynamic-child-pipelines>.
fn gitlab(rows: &[Row]) -> Value {
    let job = |row: &Row| (row.id.clone(), json!({ "tags": [row.runner], "script": [row.command] }));
    let mut jobs: Map<String, Value> = rows.iter().map(job).collect();
    if jobs.is_empty() {
        jobs.insert("nothing-to-do".to_owned(), json!({ "script": ["true"] }));
    }
    Value::Object(jobs)
}
