//! `cargo xtask send`: one message to a running host, through its HTTP API.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::commands::Format;
use crate::source::manifest::{self, HostSpec};
use crate::support::paths::Paths;
use crate::support::{files, ui};

/// How long the host may take, in seconds: longer than its own limits for a delivery.
const TIMEOUT: u64 = 300;

#[derive(Args)]
#[command(after_help = "\
Examples:
  cargo xtask send file --text 'Hello'
  cargo xtask send alerts --to a@example.org --subject Disk --text 'The disk is full'
  cargo xtask send mail --to a@example.org --text 'See the report' --attach report.pdf
  cargo xtask send alerts --json message.json --url http://gateway.example.org:8080")]
pub struct SendArgs {
    /// Name of a provider in the host's configuration
    provider: String,

    /// Text of the message
    #[arg(long, required_unless_present = "json")]
    text: Option<String>,

    /// Subject of the message
    #[arg(long)]
    subject: Option<String>,

    /// Recipient, in the form that the plugin expects; can be repeated
    #[arg(long)]
    to: Vec<String>,

    /// File with the text as HTML
    #[arg(long, value_name = "FILE")]
    html: Option<Utf8PathBuf>,

    /// File to attach; can be repeated
    #[arg(long, value_name = "FILE")]
    attach: Vec<Utf8PathBuf>,

    /// Key and value for the plugin; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,

    /// Id of the message; the same when you send it again [default: the host generates one]
    #[arg(long)]
    id: Option<String>,

    /// Read the message as JSON from this file, or with `-` from standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["text", "subject", "to", "html", "attach", "metadata", "id"])]
    json: Option<Utf8PathBuf>,

    /// Address of the host [default: the host's port on this machine]
    #[arg(long)]
    url: Option<String>,

    /// Token of a client of the host, where it wants one
    #[arg(long)]
    token: Option<String>,

    /// Print the receipt as text or as JSON
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

/// The answer to a message that was delivered.
#[derive(Deserialize)]
struct Delivered {
    id: String,
    receipt: Receipt,
}

#[derive(Deserialize)]
struct Receipt {
    reference: Option<String>,
}

/// The answer to one that was not. Source: RFC 9457.
#[derive(Deserialize)]
struct Problem {
    title: String,
    detail: String,
    id: Option<String>,
}

impl SendArgs {
    pub fn run(&self, paths: &Paths) -> Result<()> {
        let workspace = manifest::read(&paths.root)?;
        let url = self.address(workspace.image())?;
        let body = Value::Object(self.message()?).to_string();
        let mut request = minreq::post(&url).with_header("content-type", "application/json").with_body(body);
        if let Some(token) = &self.token {
            request = request.with_header("authorization", format!("Bearer {token}"));
        }
        let answer = request.with_timeout(TIMEOUT).send().map_err(|error| unreachable(&url, &error))?;
        let text = answer.as_str().with_context(|| format!("reading the answer of {url}"))?;
        if answer.status_code == 200 {
            let delivered: Delivered = serde_json::from_str(text).with_context(|| not_a_host(&url, text))?;
            return match self.format {
                Format::Json => ui::result(text.trim_end()),
                Format::Human => {
                    let reference =
                        delivered.receipt.reference.map(|reference| format!(": {reference}")).unwrap_or_default();
                    ui::result(&format!("{} delivered {}{reference}", self.provider, delivered.id))
                }
            };
        }
        let problem: Problem = serde_json::from_str(text).with_context(|| not_a_host(&url, text))?;
        let id = problem.id.as_deref().or(self.id.as_deref());
        let advice = advice(answer.status_code, answer.headers.get("retry-after").map(String::as_str), id);
        bail!("{} did not deliver the message: {} ({}){advice}", self.provider, problem.detail, problem.title)
    }

    fn address(&self, host: &HostSpec) -> Result<String> {
        let path = host.send_path.as_ref().context(
            "this host takes no messages; set `send-path` in [workspace.metadata.image] to the path of its HTTP API",
        )?;
        let url = self.url.clone().unwrap_or_else(|| format!("http://127.0.0.1:{}", host.port));
        ensure!(url.starts_with("http://"), "`{url}` does not begin with `http://`; messages are sent without TLS");
        Ok(format!("{}{path}", url.trim_end_matches('/')))
    }

    fn message(&self) -> Result<Map<String, Value>> {
        let mut message = match &self.json {
            Some(path) => read(path)?,
            None => {
                let metadata: BTreeMap<_, _> = self.metadata.iter().cloned().collect();
                let mut message = Map::new();
                message.insert("text".to_owned(), self.text.clone().into());
                let fields = [("subject", &self.subject), ("id", &self.id)];
                let fields =
                    fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.clone()?.into())));
                message.extend(fields);
                message.insert("to".to_owned(), self.to.clone().into());
                message.insert("metadata".to_owned(), serde_json::to_value(metadata)?);
                if let Some(path) = &self.html {
                    message.insert("html".to_owned(), files::read_text(path)?.into());
                }
                if !self.attach.is_empty() {
                    let attachments: Result<Vec<Value>> = self.attach.iter().map(|path| attachment(path)).collect();
                    message.insert("attachments".to_owned(), attachments?.into());
                }
                message
            }
        };
        if let Some(other) = message.insert("provider".to_owned(), self.provider.clone().into()) {
            ensure!(
                other == self.provider.as_str(),
                "the message is for the provider {other}, not for `{}`",
                self.provider
            );
        }
        Ok(message)
    }
}

fn read(path: &Utf8PathBuf) -> Result<Map<String, Value>> {
    let (text, name) = match path.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
            (text, "standard input")
        }
        name => (files::read_text(path)?, name),
    };
    serde_json::from_str(&text).with_context(|| format!("{name} is not a message: a JSON object is expected"))
}

/// Source: docs/http-api.md.
fn attachment(path: &Utf8Path) -> Result<Value> {
    let name = path.file_name().with_context(|| format!("{path} is not a file"))?;
    let content = STANDARD.encode(files::read(path)?);
    Ok(json!({ "name": name, "content_type": content_type(path), "content": content }))
}

/// What a file is by its name. Whoever needs another type writes the message as JSON.
fn content_type(path: &Utf8Path) -> &'static str {
    match path.extension().unwrap_or_default().to_ascii_lowercase().as_str() {
        "csv" => "text/csv",
        "gif" => "image/gif",
        "html" => "text/html",
        "jpeg" | "jpg" => "image/jpeg",
        "json" => "application/json",
        "log" | "txt" => "text/plain",
        "pdf" => "application/pdf",
        "png" => "image/png",
        "zip" => "application/zip",
        _ => "application/octet-stream",
    }
}

fn unreachable(url: &str, error: &minreq::Error) -> anyhow::Error {
    anyhow::anyhow!("no host answers at {url}: {error}; start one with `cargo xtask run`, or name another with --url")
}

fn not_a_host(url: &str, text: &str) -> String {
    let first: String = text.lines().next().unwrap_or_default().chars().take(80).collect();
    format!("{url} does not answer as a host does: `{first}`")
}

/// Whether sending it again helps. Source: docs/http-api.md.
fn advice(status: i32, retry_after: Option<&str>, id: Option<&str>) -> String {
    let again = id.map(|id| format!(" with --id {id}")).unwrap_or_default();
    match (status, retry_after) {
        (429 | 503, Some(seconds)) => format!("; send it again{again} in {seconds} s"),
        (401, _) => "; name a client's token with --token".to_owned(),
        (408 | 429 | 503, _) => format!("; send it again{again} later"),
        (500 | 504, _) => format!("; it may have arrived: to send it again, use the same id{again}"),
        _ => String::new(),
    }
}
