//! The configuration: the raw TOML, and its validated form.
//!
//! It splits a provider's table: it reads the keys that every provider has, and leaves the others to the plugin.

mod clients;
mod include;
pub mod schema;
mod server;

use crate::ground::errors::{Errors, LINE};
use clients::RawClient;
pub use clients::{Anonymous, Client};
use provost_sdk::config::COMMON_KEYS;
use provost_sdk::{HumanDuration, SHOWN, excerpt, files};
use serde::de::DeserializeOwned;
use server::RawServer;
pub use server::{Idempotency, Limits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Table, Value};
use tracing_subscriber::filter::Targets;

/// How long plugins may take to be loaded where nothing else is configured.
pub const STARTUP_DEADLINE: Duration = Duration::from_secs(30);

/// A valid configuration, but for what only the plugins can say.
#[derive(Debug)]
pub struct Config {
    /// Where it was read.
    pub path: PathBuf,
    /// The address the API listens on.
    pub listen: SocketAddr,
    /// The address of metrics and health alone, if they have one.
    pub metrics_listen: Option<SocketAddr>,
    /// The hosts that requests may be for; all if there is none.
    pub hosts: Vec<String>,
    /// Who needs no token, where somebody said so.
    pub anonymous: Option<Anonymous>,
    /// Who may send messages, sorted by name.
    pub clients: Vec<Client>,
    /// How many connections may be open at a time.
    pub connections_limit: usize,
    /// How many of them one peer may have.
    pub peer_connections_limit: usize,
    /// How many bytes the bodies of all messages under way may have together.
    pub memory_limit: usize,
    /// The most bytes that a request's body may have.
    pub body_limit: usize,
    /// What a message may have.
    pub limits: Limits,
    /// How long a caller may take to send a request's headers, and then its body.
    pub request_timeout: Duration,
    /// How long all plugins together may take to be loaded, and then to make and check their providers.
    pub startup_deadline: Duration,
    /// How long the end may take: requests in flight, then the providers.
    pub shutdown_deadline: Duration,
    /// What is logged.
    pub log: Targets,
    /// The providers, sorted by name.
    pub providers: Vec<ProviderConfig>,
}

/// The configuration of one provider.
#[derive(Debug)]
pub struct ProviderConfig {
    /// The file that defines it.
    pub file: PathBuf,
    /// The name that callers use.
    pub name: String,
    /// The plugin that delivers.
    pub plugin: String,
    /// How long a delivery may take.
    pub timeout: Duration,
    /// How many deliveries may run at a time.
    pub concurrency: usize,
    /// What the plugin itself reads.
    pub table: Table,
}

#[provost_sdk::config]
struct RawFile {
    /// A directory with more definitions of providers, relative to that of this file. A provider of this file replaces one
    /// with the same name there.
    include: Option<PathBuf>,
    #[serde(default)]
    #[schemars(with = "RawServer")]
    server: Table,
    #[serde(default)]
    #[schemars(with = "RawLog")]
    log: Table,
    /// One table for each client, under a name for the log.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, RawClient>")]
    clients: BTreeMap<String, Table>,
    /// One table for each provider, named as callers name it.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, RawProvider>")]
    providers: BTreeMap<String, Table>,
}

/// What is logged.
#[provost_sdk::config]
#[serde(default)]
struct RawLog {
    /// Which events are logged, such as `info,smtp=debug`.
    filter: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { filter: "info".to_owned() }
    }
}

#[provost_sdk::config]
#[serde(default)]
struct RawProvider {
    /// The plugin that delivers; without it the one with the provider's name.
    #[serde(rename = "plugin")]
    _plugin: Option<String>,
    /// Time limit of a delivery.
    timeout: HumanDuration,
    /// Number of deliveries that may run at once.
    #[schemars(range(min = 1, max = MOST_DELIVERIES))]
    concurrency: usize,
}

impl Default for RawProvider {
    fn default() -> Self {
        Self { _plugin: None, timeout: Duration::from_secs(10).into(), concurrency: 16 }
    }
}

impl Config {
    /// Reads the file `path`, and the directory that it includes. What is wrong goes to `errors`; `None` when nothing can be
    /// said of the providers.
    pub fn read(path: &Path, errors: &mut Errors) -> Option<Self> {
        let table = table(path, errors)?;
        let mut reader = Reader { path, errors };
        let raw: RawFile = reader.section("", table)?;
        let server: RawServer = reader.section("server", raw.server).unwrap_or_default();
        let log: RawLog = reader.section("log", raw.log).unwrap_or_default();
        let ((listen, metrics_listen), limits) = (server.check(&mut reader), server.limits());
        let filter = log.filter.parse().unwrap_or_else(|error| {
            let message = format!("`{}` is not a filter such as \"info,smtp=debug\": {error}", shown(&log.filter));
            reader.error("log.filter", &message);
            Targets::new()
        });
        let mut providers = match raw.include {
            Some(dir) => {
                let dir = path.parent().unwrap_or(Path::new("")).join(dir);
                include::read(&dir, &raw.providers, &mut reader)
            }
            None => Vec::new(),
        };
        providers.extend(raw.providers.into_iter().map(|(name, table)| reader.provider(name, table)));
        providers.sort_by(|one, other| one.name.cmp(&other.name));
        let clients = raw.clients.into_iter().filter_map(|(name, table)| {
            let raw: RawClient = reader.section(&format!("clients.{name}"), table)?;
            Some(raw.check(name, &providers, &mut reader))
        });
        let clients = clients.collect();
        Some(Self {
            path: path.to_owned(),
            listen,
            metrics_listen,
            hosts: server.hosts,
            anonymous: server.anonymous,
            clients,
            connections_limit: server.connections_limit,
            peer_connections_limit: server.peer_connections_limit,
            memory_limit: server.memory_limit,
            body_limit: server.body_limit,
            limits,
            request_timeout: *server.request_timeout,
            startup_deadline: *server.startup_deadline,
            shutdown_deadline: *server.shutdown_deadline,
            log: filter,
            providers,
        })
    }
}

/// What is in the file `path`.
fn table(path: &Path, errors: &mut Errors) -> Option<Table> {
    let text = match files::read_text(path) {
        Ok(text) => text,
        Err(error) => {
            errors.add(format!("reading the configuration {}: {error}", path.display()));
            return None;
        }
    };
    match text.parse::<Table>() {
        Ok(table) => {
            table.iter().for_each(|(key, value)| no_variables(path, key, value, errors));
            Some(table)
        }
        Err(error) => {
            errors.add(syntax_error(path, &text, &error));
            None
        }
    }
}

/// Whoever writes `${NAME}` expects it to be replaced.
fn no_variables(path: &Path, key: &str, value: &Value, errors: &mut Errors) {
    match value {
        Value::String(text) if text.contains("${") => {
            errors.add_key(path, key, "`${...}` is not replaced here; write the value, or for a secret `env:NAME`");
        }
        Value::Array(values) => values.iter().for_each(|value| no_variables(path, key, value, errors)),
        Value::Table(table) => {
            table.iter().for_each(|(name, value)| no_variables(path, &join(key, name), value, errors));
        }
        _ => {}
    }
}

/// Reads sections and keeps what is wrong with them.
struct Reader<'a> {
    path: &'a Path,
    errors: &'a mut Errors,
}

impl Reader<'_> {
    fn error(&mut self, key: &str, message: &str) {
        self.errors.add_key(self.path, key, message);
    }

    /// What can be read of a section.
    fn section<T: DeserializeOwned>(&mut self, section: &str, table: Table) -> Option<T> {
        let (value, errors) = provost_sdk::config::read(table, &[]);
        for error in errors {
            self.error(&join(section, &error.key), &error.message);
        }
        value
    }

    fn provider(&mut self, name: String, mut table: Table) -> ProviderConfig {
        let key = format!("providers.{name}");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            self.error(&key, "a provider's name may contain only letters, digits, `-` and `_`; rename it");
        }
        let common: Table = COMMON_KEYS.iter().filter_map(|key| table.remove_entry(*key)).collect();
        // Apart from the others: with the plugin known, its own keys can be checked too.
        let plugin = common.get("plugin").and_then(|plugin| plugin.as_str()).unwrap_or(&name).to_owned();
        let raw: RawProvider = self.section(&key, common).unwrap_or_default();
        if raw.concurrency == 0 || raw.concurrency > MOST_DELIVERIES {
            self.error(&join(&key, "concurrency"), &format!("must be 1 to {MOST_DELIVERIES}"));
        }
        let (timeout, concurrency) = (*raw.timeout, raw.concurrency);
        ProviderConfig { file: self.path.to_owned(), name, plugin, timeout, concurrency, table }
    }
}

/// More deliveries at a time than any provider's own runtime can serve.
const MOST_DELIVERIES: usize = 10_000;

/// As much of a value as a message repeats.
fn shown(value: &str) -> String {
    excerpt(value, SHOWN)
}

/// A key below a section; either may be empty.
pub fn join(section: &str, key: &str) -> String {
    let dot = if section.is_empty() || key.is_empty() { "" } else { "." };
    format!("{section}{dot}{key}")
}

/// TOML's own text shows the line, and the line may hold a secret.
fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{}:{line}:{column}: {}", path.display(), excerpt(error.message(), LINE))
}
