//! The table of a provider: the keys that every provider has. The others are left to the plugin.

use super::delivery::{MOST_IN_A_SECOND, MOST_WAITING, RawCircuit, RawRetry};
use super::{Delivering, Reader, join};
use provost_sdk::HumanDuration;
use provost_sdk::config::COMMON_KEYS;
use std::path::PathBuf;
use std::time::Duration;
use toml::Table;

/// More deliveries at a time than any provider's own runtime can serve.
const MOST_DELIVERIES: usize = 10_000;

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
    /// How its messages are delivered.
    pub delivering: Delivering,
    /// What the plugin itself reads.
    pub table: Table,
}

#[provost_sdk::config]
#[serde(default)]
pub struct RawProvider {
    /// The plugin that delivers; without it the one with the provider's name.
    #[serde(rename = "plugin")]
    _plugin: Option<String>,
    /// Time limit of a message: waiting, delivery and further attempts together.
    timeout: HumanDuration,
    /// Number of deliveries that may run at once.
    #[schemars(range(min = 1, max = MOST_DELIVERIES))]
    concurrency: usize,
    /// Number of messages that may wait until a delivery can begin, first come, first served. With 0 none waits.
    #[schemars(range(max = MOST_WAITING))]
    queue: usize,
    /// Number of deliveries that may begin in a second, evenly spaced; without it any number.
    #[schemars(range(min = 1, max = MOST_IN_A_SECOND))]
    rate: Option<u32>,
    /// How a temporary failure is tried again within `timeout`: `attempts` in all, with random pauses of at most `first_delay`, then twice
    /// as long each time, up to `longest_delay`. By default `attempts` is 1, and then nothing is tried again; the delays are 100ms and 5s.
    retry: RawRetry,
    /// After `failures` in a row nothing is delivered for `open_for`, and then one message is tried. By default 20 and 10s; with
    /// `failures = 0` it never happens.
    circuit: RawCircuit,
}

impl Default for RawProvider {
    fn default() -> Self {
        let (retry, circuit) = Default::default();
        let timeout = Duration::from_secs(10).into();
        Self { _plugin: None, timeout, concurrency: 16, queue: 100, rate: None, retry, circuit }
    }
}

impl ProviderConfig {
    /// Reads the table of the provider `name`. Reports what cannot work.
    pub(super) fn read(name: String, mut table: Table, reader: &mut Reader) -> Self {
        let key = format!("providers.{name}");
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            reader.error(&key, "a provider's name may contain only letters, digits, `-` and `_`; rename it");
        }
        let common: Table = COMMON_KEYS.iter().filter_map(|key| table.remove_entry(*key)).collect();
        // Apart from the others: with the plugin known, its own keys can be checked too.
        let plugin = common.get("plugin").and_then(|plugin| plugin.as_str()).unwrap_or(&name).to_owned();
        let raw: RawProvider = reader.section(&key, common).unwrap_or_default();
        if raw.concurrency == 0 || raw.concurrency > MOST_DELIVERIES {
            reader.error(&join(&key, "concurrency"), &format!("must be 1 to {MOST_DELIVERIES}"));
        }
        if raw.queue > MOST_WAITING {
            reader.error(&join(&key, "queue"), &format!("must be at most {MOST_WAITING}"));
        }
        if raw.rate.is_some_and(|rate| rate == 0 || rate > MOST_IN_A_SECOND) {
            reader.error(&join(&key, "rate"), &format!("must be 1 to {MOST_IN_A_SECOND}"));
        }
        let (retry, circuit) = (raw.retry.check(&key, reader), raw.circuit.check(&key, reader));
        let RawProvider { concurrency, queue, rate, .. } = raw;
        let delivering = Delivering { concurrency, queue, rate, retry, circuit };
        Self { file: reader.path.to_owned(), name, plugin, timeout: *raw.timeout, delivering, table }
    }
}
