//! What the API says of providers, to a caller who may use them.

use crate::http::access::Caller;
use crate::providers::{Providers, Running};
use provost_record::Record;
use provost_sdk::schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// The providers that you may use.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct ProviderList {
    /// Sorted by name.
    providers: Vec<ListedProvider>,
}

/// A provider.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
struct ListedProvider {
    /// Its name.
    name: String,
    /// The plugin that delivers.
    plugin: String,
    /// The version of the plugin.
    version: String,
    /// How many deliveries may run at a time.
    concurrency: usize,
    /// How long a delivery may take, in seconds.
    timeout_seconds: f64,
}

/// A provider, and what it does.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct ProviderState {
    #[serde(flatten)]
    provider: ListedProvider,
    /// Deliveries under way.
    in_flight: usize,
    /// Messages that wait.
    waiting: usize,
    /// How many may.
    queue: usize,
    /// How many deliveries may begin in a second.
    rate: Option<u32>,
    retry: RetryLimits,
    circuit: CircuitState,
    /// How the plugin was built.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    record: Record,
    /// How many ended in each way, since the start.
    deliveries: BTreeMap<&'static str, u64>,
}

/// What is tried again.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
struct RetryLimits {
    attempts: u32,
    first_delay_seconds: f64,
    longest_delay_seconds: f64,
}

/// The circuit breaker.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
struct CircuitState {
    state: &'static str,
    failures: u32,
    open_for_seconds: f64,
}

/// All that `caller` may use.
pub fn all(providers: &Providers, caller: Option<&Caller>) -> ProviderList {
    ProviderList { providers: seen(providers, caller).map(|(name, running)| listed(name, running)).collect() }
}

/// Those that `caller` may use; of the others it is told nothing.
pub fn seen<'a>(providers: &'a Providers, caller: Option<&'a Caller>) -> impl Iterator<Item = (&'a str, &'a Running)> {
    providers.iter().filter(move |(name, _)| caller.is_none_or(|caller| caller.may_use(name)))
}

/// The provider `name`, if there is one that `caller` may use.
pub fn one(providers: &Providers, caller: Option<&Caller>, name: &str) -> Option<ProviderState> {
    let (name, running) = seen(providers, caller).find(|(known, _)| *known == name)?;
    let (shared, delivering) = (running.dispatcher.shared(), running.dispatcher.shared().delivering);
    let (retry, circuit) = (delivering.retry, delivering.circuit);
    Some(ProviderState {
        provider: listed(name, running),
        in_flight: shared.queue.taken(),
        waiting: shared.queue.waiting(),
        queue: delivering.queue,
        rate: delivering.rate,
        retry: RetryLimits {
            attempts: retry.attempts,
            first_delay_seconds: retry.first_delay.as_secs_f64(),
            longest_delay_seconds: retry.longest_delay.as_secs_f64(),
        },
        circuit: CircuitState {
            state: shared.circuit.name(Instant::now()),
            failures: circuit.failures,
            open_for_seconds: circuit.open_for.as_secs_f64(),
        },
        record: running.record.clone(),
        deliveries: shared.counters.deliveries().collect(),
    })
}

fn listed(name: &str, running: &Running) -> ListedProvider {
    ListedProvider {
        name: name.to_owned(),
        plugin: running.plugin.clone(),
        version: running.record.version.clone(),
        concurrency: running.dispatcher.shared().delivering.concurrency,
        timeout_seconds: running.dispatcher.timeout().as_secs_f64(),
    }
}
