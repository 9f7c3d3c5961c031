//! `cargo xtask list`: the plugins of the tree.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::cargo::query;
use crate::commands::Format;
use crate::compile::schemas;
use crate::outside;
use crate::plan::last_image::LastImage;
use crate::source::added::Sources;
use crate::source::checkout::Checkout;
use crate::source::outside::PluginOrigin;
use crate::source::plugins::Found;
use crate::source::selection::Selection;
use crate::source::{copy, plugins};
use crate::support::errors::Errors;
use crate::support::files;
use crate::support::paths::Paths;
use crate::support::session::Session;
use crate::support::ui::{self, Ui, size};

#[derive(Args)]
pub struct ListArgs {
    /// Print a table or JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Print the JSON Schemas of the plugins' configurations instead, by plugin, as they were built last
    #[arg(long, conflicts_with = "format")]
    schemas: bool,
}

/// A plugin of the tree.
#[derive(Serialize)]
struct Row {
    name: String,
    version: String,
    path: String,
    /// Of its file in the last image, in bytes.
    size: Option<u64>,
    /// Where it was added from.
    origin: Option<PluginOrigin>,
    /// Whether it was changed since it was added.
    edited: bool,
    /// The tables of its default configuration: `providers.log`.
    defines: Vec<String>,
}

impl ListArgs {
    pub fn run(&self, ui: &Ui, paths: &Paths) -> Result<()> {
        let session = Session::open(ui, paths)?;
        let checkout = outside::checkout(&session, &Selection::default(), false)?;
        copy::sync(paths, &checkout.workspace, &checkout.discovered)?;
        if self.schemas {
            return ui::result(&serde_json::to_string_pretty(&schemas(paths, &checkout)?)?);
        }
        let rows = rows(&session, &checkout)?;
        match self.format {
            Format::Human => ui::result(table(&rows).trim_end()),
            Format::Json => ui::result(&serde_json::to_string_pretty(&rows)?),
        }
    }
}

fn rows(session: &Session, checkout: &Checkout) -> Result<Vec<Row>> {
    let (paths, host) = (&session.paths, checkout.workspace.image());
    let metadata = query::members(session)?;
    let (sources, last) = (Sources::read(paths)?, LastImage::read(paths));
    let plugins = checkout.discovered.packages.iter().map(|(name, found)| {
        let package = metadata.workspace_packages().into_iter().find(|package| package.name == *name);
        let package = package.with_context(|| format!("cargo names no package `{name}`"))?;
        let added = sources.find(paths, found.dir.file_name().unwrap_or_default())?;
        Ok(Row {
            name: name.clone(),
            version: package.version.to_string(),
            path: found.dir.to_string(),
            size: last
                .as_ref()
                .and_then(|last| last.size_of(&host.working_dir.join(format!("{name}.{}", host.extension)))),
            edited: added.as_ref().is_some_and(|added| added.edited),
            origin: added.map(|added| added.record),
            defines: defines(paths, found)?,
        })
    });
    plugins.collect()
}

/// By plugin.
fn schemas(paths: &Paths, checkout: &Checkout) -> Result<BTreeMap<String, Value>> {
    let mut errors = Errors::default();
    let mut schemas = BTreeMap::new();
    for name in checkout.discovered.packages.keys() {
        let path = paths.dist().join(schemas::DIR).join(format!("{name}.json"));
        if path.exists() {
            let schema = serde_json::from_str(&files::read_text(&path)?).with_context(|| format!("reading {path}"))?;
            schemas.insert(name.clone(), schema);
        } else {
            errors.push(format!("the plugin {name} has none yet, as it was not built: run `cargo xtask build`"));
        }
    }
    errors.report("the plugins' schemas")?;
    Ok(schemas)
}

/// `providers.log` for a `[providers.log]` in the default configuration.
fn defines(paths: &Paths, found: &Found) -> Result<Vec<String>> {
    let Some(config) = &found.assets.config else { return Ok(Vec::new()) };
    let path = paths.root.join(&found.dir).join(config);
    let text = files::read_text(&path)?;
    let table: toml::Table = text.parse().with_context(|| format!("reading {path}"))?;
    let tables = table.iter().filter_map(|(outer, value)| Some((outer, value.as_table()?)));
    Ok(tables.flat_map(|(outer, inner)| inner.keys().map(move |name| format!("{outer}.{name}"))).collect())
}

fn table(rows: &[Row]) -> String {
    let head = ["NAME", "VERSION", "SIZE", "ORIGIN", "DEFINES"].map(str::to_owned);
    let body = rows.iter().map(|row| {
        let origin = row.origin.as_ref().map_or_else(|| row.path.clone(), |record| record.source.clone());
        let edited = if row.edited { " (edited)" } else { "" };
        let size = row.size.map_or("-".to_owned(), size);
        let defines = if row.defines.is_empty() { "-".to_owned() } else { row.defines.join(", ") };
        [row.name.clone(), row.version.clone(), size, format!("{origin}{edited}"), defines]
    });
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(body).collect();
    let widths: [usize; 5] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default());
    let text = |line: &[String; 5]| {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    if rows.is_empty() {
        format!("there are no plugins in {}/\n", plugins::DIR)
    } else {
        lines.iter().map(text).collect()
    }
}
