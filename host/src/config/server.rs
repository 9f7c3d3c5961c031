//! The section `[server]`: its keys, their defaults, and what they may be.

use super::listen::{self, Listen};
use super::tls::{self, RawTls, Tls};
use super::{Anonymous, Reader, STARTUP_DEADLINE, shown};
use provost_sdk::HumanDuration;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use toml::Table;

/// What a host with its whole memory for one message could hold: a gibibyte.
const MOST_BYTES: usize = 1 << 30;

/// What a message under way takes beside its texts, in bytes: its delivery, its place in a queue, and what is known of it. Measured: 3.8 to
/// 4.7 kB of a host for each of 8,000 and of 2,000 messages of `webhook` between two attempts.
pub const MESSAGE_MEMORY: usize = 4096;

/// Enough for a message.
const LEAST_MEMORY: usize = MESSAGE_MEMORY + 1;

/// More than a mail server takes.
const MOST_RECIPIENTS: usize = 1_000_000;

/// Each is a file, or a field that a template may name.
const MOST_PARTS: usize = 10_000;

/// Each is answered by a few hundred bytes.
const MOST_IN_BATCH: usize = 10_000;

/// Each may take a kilobyte.
const MOST_REMEMBERED: usize = 100_000;

/// What a message may have. Its text is limited by its body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Recipients.
    pub recipients: usize,
    /// Bytes of a recipient, of the subject, and of a key or value of the metadata.
    pub field: usize,
    /// Files beside the text.
    pub attachments: usize,
    /// Pairs of metadata.
    pub metadata: usize,
    /// Messages of one request.
    pub batch: usize,
    /// What is remembered.
    pub idempotency: Idempotency,
}

/// What is remembered of messages that were delivered, for callers who send them again.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    /// How many keys of those that were delivered, and of those that were not; none turns it off.
    pub most: usize,
    /// How long each.
    pub time: Duration,
}

/// Where the host listens.
#[derive(Debug)]
pub struct Doors {
    /// The place of the API.
    pub api: Listen,
    /// The permissions of its unix socket.
    pub socket_mode: u32,
    /// Its TLS, if it has any.
    pub tls: Option<Tls>,
    /// Whether it is to have TLS, also where something is wrong with that.
    pub has_tls: bool,
    /// The address of metrics and health alone, if they have one.
    pub metrics: Option<SocketAddr>,
}

/// The HTTP API, start and shutdown.
#[provost_sdk::config]
#[serde(default)]
pub struct RawServer {
    /// The address and port of the API, or a unix socket such as `unix:/run/provost.sock`.
    pub listen: String,
    /// Permissions of the unix socket, in octal digits: who may write may send requests.
    pub socket_mode: String,
    /// TLS of the API, versions 1.2 and 1.3. Without it, it speaks plain HTTP.
    #[schemars(with = "RawTls")]
    pub tls: Option<Table>,
    /// An address and port of metrics and health alone, where they need no token. It has no TLS, and 64 connections may be open there.
    pub metrics_listen: Option<String>,
    /// Names, without a port, that a request may have in its header `host`; any if the list is empty. It keeps pages in a browser out.
    pub hosts: Vec<String>,
    /// Who needs no token: `nobody`, `loopback` (requests from this machine, also by its unix socket) or `everyone`. Without it `loopback`, or with clients `nobody`.
    pub anonymous: Option<Anonymous>,
    /// Size limit of a request's body, in bytes.
    #[schemars(range(min = 1, max = MOST_BYTES))]
    pub body_limit: usize,
    /// Size limit of all messages under way together, in bytes: of their bodies, or of what they take in memory if that is more,
    /// which is some 4 KiB for the smallest.
    #[schemars(range(min = LEAST_MEMORY, max = MOST_BYTES))]
    pub memory_limit: usize,
    /// Number of connections that may be open at once, at most as many as the system lets the host have files. One more takes the place
    /// of the one that has waited longest for its next request. Where each waits for its answer, it is asked for health and metrics alone.
    #[schemars(range(min = 1))]
    pub connections_limit: usize,
    /// Number of connections that one address may have open at once; of IPv6, one network of 64 bits. One more takes the place of one of
    /// them, as above. Those to the unix socket do not count.
    #[schemars(range(min = 1))]
    pub peer_connections_limit: usize,
    /// Number of recipients of a message.
    #[schemars(range(max = MOST_RECIPIENTS))]
    pub recipients_limit: usize,
    /// Size limit of the subject, of each recipient, and of each key and value of the metadata, in bytes.
    #[schemars(range(max = MOST_BYTES))]
    pub field_limit: usize,
    /// Number of attachments of a message. Their bytes count to `body_limit`, as base64.
    #[schemars(range(max = MOST_PARTS))]
    pub attachments_limit: usize,
    /// Number of pairs in a message's metadata.
    #[schemars(range(max = MOST_PARTS))]
    pub metadata_limit: usize,
    /// Number of messages in one request to `/v1/messages:batch`.
    #[schemars(range(min = 1, max = MOST_IN_BATCH))]
    pub batch_limit: usize,
    /// Number of keys of delivered messages that are remembered, each a header `idempotency-key` or an `id`: who sends one again gets the
    /// first answer. As many are remembered of messages that were not delivered: with such a key no other message is. With 0 none are.
    #[schemars(range(max = MOST_REMEMBERED))]
    pub idempotency_limit: usize,
    /// How long each is remembered.
    pub idempotency_time: HumanDuration,
    /// Time limit for the headers of a request, and then for its body.
    pub request_timeout: HumanDuration,
    /// Time limit for loading all plugins and creating all providers.
    pub startup_deadline: HumanDuration,
    /// Time limit for the whole shutdown: seven eighths for requests in progress, the rest for providers.
    pub shutdown_deadline: HumanDuration,
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:8080".to_owned(),
            socket_mode: "0660".to_owned(),
            tls: None,
            metrics_listen: None,
            hosts: Vec::new(),
            anonymous: None,
            body_limit: 1024 * 1024,
            memory_limit: 64 * 1024 * 1024,
            connections_limit: 10_000,
            peer_connections_limit: 1000,
            recipients_limit: 1000,
            field_limit: 4096,
            attachments_limit: 20,
            metadata_limit: 100,
            batch_limit: 100,
            idempotency_limit: 10_000,
            idempotency_time: Duration::from_secs(24 * 60 * 60).into(),
            request_timeout: Duration::from_secs(30).into(),
            startup_deadline: STARTUP_DEADLINE.into(),
            // `docker stop` kills after 10 s.
            shutdown_deadline: Duration::from_secs(8).into(),
        }
    }
}

impl RawServer {
    /// Reports what cannot work.
    pub fn check(&self, reader: &mut Reader) {
        for (key, value, least, most) in [
            ("server.body_limit", self.body_limit, 1, MOST_BYTES),
            ("server.memory_limit", self.memory_limit, LEAST_MEMORY, MOST_BYTES),
            ("server.connections_limit", self.connections_limit, 1, usize::MAX),
            ("server.peer_connections_limit", self.peer_connections_limit, 1, usize::MAX),
            ("server.recipients_limit", self.recipients_limit, 0, MOST_RECIPIENTS),
            ("server.field_limit", self.field_limit, 0, MOST_BYTES),
            ("server.attachments_limit", self.attachments_limit, 0, MOST_PARTS),
            ("server.metadata_limit", self.metadata_limit, 0, MOST_PARTS),
            ("server.batch_limit", self.batch_limit, 1, MOST_IN_BATCH),
            ("server.idempotency_limit", self.idempotency_limit, 0, MOST_REMEMBERED),
        ] {
            match most {
                _ if (least..=most).contains(&value) => {}
                usize::MAX => reader.error(key, &format!("must be at least {least}")),
                most => reader.error(key, &format!("must be {least} to {most}")),
            }
        }
        if self.memory_limit < self.body_limit.saturating_add(MESSAGE_MEMORY) {
            let message = format!(
                "less than `server.body_limit` and {MESSAGE_MEMORY} more: no message of such a body would have room"
            );
            reader.error("server.memory_limit", &message);
        }
        for host in self.hosts.iter().filter(|host| !is_host(host)) {
            let message = format!("`{}` is not a host without a port such as \"example.org\"", shown(host));
            reader.error("server.hosts", &message);
        }
    }

    /// Where it listens, and how. Reports what cannot work.
    pub fn doors(&self, reader: &mut Reader) -> Doors {
        let api = Listen::read("server.listen", &self.listen, reader);
        let metrics = self.metrics_listen.as_ref();
        let metrics = metrics.map(|text| listen::address("server.metrics_listen", text, "\"0.0.0.0:9090\"", reader));
        if let (Listen::Address(api), Some(metrics)) = (&api, metrics)
            && listen::overlap(*api, metrics)
        {
            reader.error("server.metrics_listen", "`server.listen` is there too: choose another port");
        }
        let socket_mode = listen::mode("server.socket_mode", &self.socket_mode, reader);
        let tls = self.tls.clone().and_then(|table| reader.section::<RawTls>(tls::SECTION, table)?.check(reader));
        if let (Some(_), Listen::Socket(_)) = (&self.tls, &api) {
            reader.error(tls::SECTION, "a unix socket has no TLS: remove it, or let `server.listen` be an address");
        }
        Doors { api, socket_mode, tls, has_tls: self.tls.is_some(), metrics }
    }

    /// What a message may have.
    pub fn limits(&self) -> Limits {
        let idempotency = Idempotency { most: self.idempotency_limit, time: *self.idempotency_time };
        let (recipients, field, metadata) = (self.recipients_limit, self.field_limit, self.metadata_limit);
        let (attachments, batch) = (self.attachments_limit, self.batch_limit);
        Limits { recipients, field, attachments, metadata, batch, idempotency }
    }
}

/// Whether a request can have this in its header `host`, beside a port. An address of IPv6 is in brackets.
fn is_host(host: &str) -> bool {
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    // A dot behind the last part is that of the root.
    let mut parts = host.strip_suffix('.').unwrap_or(host).split('.');
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => parts.all(|part| part.bytes().any(|byte| byte.is_ascii_alphanumeric()) && part.bytes().all(is_letter)),
    }
}
