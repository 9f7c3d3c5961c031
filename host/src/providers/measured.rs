//! What is measured of providers, with those of configurations that were replaced.

use crate::providers::dispatcher::Shared;
use crate::telemetry::counters::Counters;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Instant;

/// What is measured of a provider.
pub struct Measured {
    /// What was counted.
    pub counters: Arc<Counters>,
    /// Deliveries under way.
    pub in_flight: usize,
    /// How many may be.
    pub concurrency: usize,
    /// Messages that wait.
    pub waiting: usize,
    /// The state of the circuit breaker.
    pub circuit: &'static str,
}

impl Measured {
    /// Of one.
    fn of(shared: &Shared) -> Self {
        Self {
            counters: Arc::clone(&shared.counters),
            in_flight: shared.queue.taken(),
            concurrency: shared.delivering.concurrency,
            waiting: shared.queue.waiting(),
            circuit: shared.circuit.name(Instant::now()),
        }
    }
}

/// By name: of those in force, and of the others among `all`, whose deliveries are added.
pub fn all(current: Vec<Arc<Shared>>, all: Vec<Arc<Shared>>) -> BTreeMap<String, Measured> {
    let name = |shared: &Shared| shared.counters.provider().to_owned();
    let mut by_name: BTreeMap<_, _> = current.iter().map(|shared| (name(shared), Measured::of(shared))).collect();
    for shared in all.iter().filter(|shared| current.iter().all(|current| !Arc::ptr_eq(current, shared))) {
        let measured = Measured::of(shared);
        match by_name.entry(name(shared)) {
            Entry::Vacant(entry) => {
                entry.insert(measured);
            }
            Entry::Occupied(mut entry) => {
                entry.get_mut().in_flight += measured.in_flight;
                entry.get_mut().waiting += measured.waiting;
            }
        }
    }
    by_name
}
