//! The section `[server]`: its keys, their defaults, and what they may be.

use super::{Anonymous, Reader, STARTUP_DEADLINE, shown};
use provost_sdk::HumanDuration;
use std::net::SocketAddr;
use std::time::Duration;

/// What a host with its whole memory for one message could hold: a gibibyte.
const MOST_BYTES: usize = 1 << 30;

/// Each may take a kilobyte.
const MOST_REMEMBERED: usize = 100_000;

/// What a message may have. Its text is limited by its body.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Recipients.
    pub recipients: usize,
    /// Bytes of a recipient, of the subject, and of a key or value of the metadata.
    pub field: usize,
    /// Pairs of metadata.
    pub metadata: usize,
    /// What is remembered.
    pub idempotency: Idempotency,
}

/// What is remembered of messages that were delivered, for callers who send them again.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    /// How many messages, beside those under way; none turns it off.
    pub most: usize,
    /// How long each.
    pub time: Duration,
}

/// The HTTP API, start and shutdown.
#[provost_sdk::config]
#[serde(default)]
pub struct RawServer {
    /// The address and port of the API.
    pub listen: String,
    /// An address and port of metrics and health alone, where they need no token.
    pub metrics_listen: Option<String>,
    /// Names, without a port, that a request may have in its header `host`; any if the list is empty. It keeps pages in a browser out.
    pub hosts: Vec<String>,
    /// Who needs no token: `nobody`, `loopback` (requests from this machine) or `everyone`. Without it `loopback`, or with clients `nobody`.
    pub anonymous: Option<Anonymous>,
    /// Size limit of a request's body, in bytes.
    #[schemars(range(min = 1, max = MOST_BYTES))]
    pub body_limit: usize,
    /// Size limit of the bodies of all messages under way together, in bytes.
    #[schemars(range(min = 1, max = MOST_BYTES))]
    pub memory_limit: usize,
    /// Number of connections that may be open at once, at most as many as the system lets the host have files. One more takes the place
    /// of the one that has waited longest for its next request.
    #[schemars(range(min = 1))]
    pub connections_limit: usize,
    /// Number of connections that one address may have open at once; of IPv6, one network of 64 bits.
    #[schemars(range(min = 1))]
    pub peer_connections_limit: usize,
    /// Number of recipients of a message.
    pub recipients_limit: usize,
    /// Size limit of the subject, of each recipient, and of each key and value of the metadata, in bytes.
    pub field_limit: usize,
    /// Number of pairs in a message's metadata.
    pub metadata_limit: usize,
    /// Number of delivered messages that are remembered, by the header `idempotency-key` or their `id`: who sends one again gets the first
    /// answer. With 0 all are delivered again.
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
            metrics_listen: None,
            hosts: Vec::new(),
            anonymous: None,
            body_limit: 1024 * 1024,
            memory_limit: 64 * 1024 * 1024,
            connections_limit: 10_000,
            peer_connections_limit: 1000,
            recipients_limit: 1000,
            field_limit: 4096,
            metadata_limit: 100,
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
    /// Reports what cannot work. Returns the address of the API, and that of metrics and health.
    pub fn check(&self, reader: &mut Reader) -> (SocketAddr, Option<SocketAddr>) {
        for (key, value) in [("server.body_limit", self.body_limit), ("server.memory_limit", self.memory_limit)] {
            if value == 0 || value > MOST_BYTES {
                reader.error(key, &format!("must be 1 to {MOST_BYTES}"));
            }
        }
        if self.memory_limit < self.body_limit {
            reader.error("server.memory_limit", "less than `server.body_limit`: no such body could be read");
        }
        for (key, value) in [
            ("server.connections_limit", self.connections_limit),
            ("server.peer_connections_limit", self.peer_connections_limit),
        ] {
            if value == 0 {
                reader.error(key, "must be at least 1");
            }
        }
        if self.idempotency_limit > MOST_REMEMBERED {
            reader.error("server.idempotency_limit", &format!("must be at most {MOST_REMEMBERED}"));
        }
        // An address of IPv6 is in brackets.
        let is_host = |host: &str| !host.is_empty() && (host.starts_with('[') || !host.contains([':', '/']));
        for host in self.hosts.iter().filter(|host| !is_host(host)) {
            let message = format!("`{}` is not a host without a port such as \"example.org\"", shown(host));
            reader.error("server.hosts", &message);
        }
        let metrics = self.metrics_listen.as_ref().map(|text| address("server.metrics_listen", text, reader));
        (address("server.listen", &self.listen, reader), metrics)
    }

    /// What a message may have.
    pub fn limits(&self) -> Limits {
        let idempotency = Idempotency { most: self.idempotency_limit, time: *self.idempotency_time };
        let (recipients, field, metadata) = (self.recipients_limit, self.field_limit, self.metadata_limit);
        Limits { recipients, field, metadata, idempotency }
    }
}

fn address(key: &str, text: &str, reader: &mut Reader) -> SocketAddr {
    text.parse().unwrap_or_else(|_| {
        reader.error(key, &format!("`{}` is not an address with a port such as \"0.0.0.0:8080\"", shown(text)));
        SocketAddr::from(([0, 0, 0, 0], 8080))
    })
}
