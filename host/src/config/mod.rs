//! The configuration: the raw TOML, and its validated form.

mod clients;
mod delivery;
mod include;
mod listen;
mod log;
mod provider;
pub mod schema;
mod server;
mod tls;

use crate::ground::errors::{Errors, LINE};
use clients::RawClient;
pub use clients::{Anonymous, Client, sha256};
pub use delivery::{Circuit, Delivering, Retry};
pub use listen::Listen;
use log::RawLog;
pub use log::{LogFormat, read_filter};
pub use provider::ProviderConfig;
use provider::RawProvider;
use provost_sdk::{SHOWN, excerpt, files};
use serde::de::DeserializeOwned;
use server::RawServer;
pub use server::{Doors, Idempotency, Limits, MESSAGE_MEMORY};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tls::Tls;
use toml::{Table, Value};
use tracing_subscriber::filter::Targets;

/// How long plugins may take to be loaded where nothing else is configured.
pub const STARTUP_DEADLINE: Duration = Duration::from_secs(30);

/// A valid configuration, but for what only the plugins can say.
#[derive(Debug)]
pub struct Config {
    /// Where it was read.
    pub path: PathBuf,
    /// Where it listens.
    pub doors: Doors,
    /// The hosts that requests may be for; all if there is none.
    pub hosts: Vec<String>,
    /// Who needs no token, where somebody said so.
    pub anonymous: Option<Anonymous>,
    /// Who may send messages: those of the file, sorted by name, and that of the environment.
    pub clients: Vec<Client>,
    /// How many connections may be open at a time.
    pub connections_limit: usize,
    /// How many of them one peer may have.
    pub peer_connections_limit: usize,
    /// How many bytes all messages under way may have together.
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
    /// How it is written.
    pub log_format: LogFormat,
    /// The providers, sorted by name.
    pub providers: Vec<ProviderConfig>,
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

impl Config {
    /// Reads the file `path`, and the directory that it includes. What is wrong goes to `errors`; `None` when nothing can be
    /// said of the providers.
    pub fn read(path: &Path, errors: &mut Errors) -> Option<Self> {
        let table = table(path, errors)?;
        let mut reader = Reader { path, errors };
        let raw: RawFile = reader.section("", table)?;
        let server: RawServer = reader.section("server", raw.server).unwrap_or_default();
        let log: RawLog = reader.section("log", raw.log).unwrap_or_default();
        server.check(&mut reader);
        let (doors, limits) = (server.doors(&mut reader), server.limits());
        let filter = log.filter(&mut reader);
        let mut providers = match raw.include {
            Some(dir) => {
                let dir = reader.dir().join(dir);
                include::read(&dir, &raw.providers, &mut reader)
            }
            None => Vec::new(),
        };
        providers.extend(raw.providers.into_iter().map(|(name, table)| ProviderConfig::read(name, table, &mut reader)));
        providers.sort_by(|one, other| one.name.cmp(&other.name));
        let clients = raw.clients.into_iter().filter_map(|(name, table)| {
            let raw: RawClient = reader.section(&format!("clients.{name}"), table)?;
            Some(raw.check(name, &providers, &mut reader))
        });
        let clients = clients.collect();
        let clients = clients::with_environment(clients, &mut reader);
        Some(Self {
            path: path.to_owned(),
            doors,
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
            log_format: log.format,
            providers,
        })
    }

    /// Logs what works, but should not stay so.
    pub fn warn(&self) {
        self.doors.tls.iter().for_each(Tls::warn);
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

impl<'a> Reader<'a> {
    /// Where relative paths of the file begin.
    fn dir(&self) -> &'a Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

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
}

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
