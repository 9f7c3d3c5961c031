//! `cargo xtask matrix`: what CI has to run.

use std::io::Write;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cargo::toolchain;
use crate::plan::matrix::{Axes, Kind, MOST, Row, Set};
use crate::source::checkout::Checkout;
use crate::source::manifest;
use crate::source::matrix::unknown;
use crate::source::selection::Selection;
use crate::support::errors::Errors;
use crate::support::paths::Paths;
use crate::support::ui;

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
    pub fn run(&self, paths: &Paths) -> Result<()> {
        let mut rows = self.rows(paths)?;
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

    fn rows(&self, paths: &Paths) -> Result<Vec<Row>> {
        let workspace = manifest::read(&paths.root)?;
        let spec = workspace.image().matrix.clone();
        let mut errors = spec.errors();
        errors.extend(self.platform.iter().filter_map(|platform| unknown(platform)));
        errors.report("the matrix")?;
        let plugins = |selection: &Selection| -> Result<Vec<String>> {
            let checkout = Checkout::read(paths, manifest::read(&paths.root)?, selection, Vec::new(), false)?;
            Ok(checkout.discovered.packages.into_keys().collect())
        };
        let mut sets = Vec::new();
        let mut errors = Errors::default();
        for (name, selection) in spec.flavours() {
            match plugins(&selection) {
                Ok(plugins) => sets.push(Set { name, selection, plugins }),
                Err(error) => errors.push(format!("the flavour {name}: {error:#}")),
            }
        }
        errors.report("[workspace.metadata.image.matrix]")?;
        let platforms = if self.platform.is_empty() { spec.platforms() } else { self.platform.clone() };
        let (pin, plugins) = (toolchain::pinned(&paths.root)?, plugins(&Selection::default())?);
        let axes = Axes { spec: &spec, platforms: &platforms, pin: &pin, sets: &sets, plugins: &plugins };
        Ok(axes.rows(self.kind))
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
