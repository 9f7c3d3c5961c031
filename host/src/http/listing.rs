//! What the API says of providers, to a caller who may use them.

use crate::http::access::Caller;
use crate::providers::{Providers, Running};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `GET /v1/providers`.
#[derive(Serialize)]
pub struct ProviderList {
    providers: Vec<ListedProvider>,
}

/// A provider in the list.
#[derive(Serialize)]
struct ListedProvider {
    name: String,
    plugin: String,
    version: String,
    concurrency: usize,
    timeout_seconds: f64,
}

/// The answer of `GET /v1/providers/NAME`.
#[derive(Serialize)]
pub struct ProviderState {
    #[serde(flatten)]
    provider: ListedProvider,
    /// Deliveries under way.
    in_flight: usize,
    /// How many ended in each way, since the start.
    deliveries: BTreeMap<&'static str, u64>,
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
    let deliveries = running.dispatcher.counters().deliveries().collect();
    Some(ProviderState { provider: listed(name, running), in_flight: running.dispatcher.in_flight(), deliveries })
}

fn listed(name: &str, running: &Running) -> ListedProvider {
    ListedProvider {
        name: name.to_owned(),
        plugin: running.plugin.clone(),
        version: running.version.clone(),
        concurrency: running.dispatcher.concurrency(),
        timeout_seconds: running.dispatcher.timeout().as_secs_f64(),
    }
}
