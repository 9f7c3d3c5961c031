//! The providers: each one is created by its plugin, validated, and runs on a runtime of its own.

mod circuit;
mod delivery;
mod dispatcher;
pub mod failure;
mod measured;
mod queue;
mod retry;
mod startup;

use crate::config::{Config, ProviderConfig, join};
use crate::ground::channel::Silence;
use crate::ground::errors::Errors;
use crate::plugins::Plugins;
use crate::providers::dispatcher::{Dispatcher, Shared};
pub use crate::providers::measured::Measured;
use crate::providers::startup::Startup;
use crate::telemetry::counters::Counters;
use provost_record::Record;
use provost_sdk::ConfigError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often it is looked for messages that have not come to their end.
const TICK: Duration = Duration::from_millis(20);

/// The running providers.
pub struct Providers {
    by_name: BTreeMap<String, Running>,
    /// Those of all readings of the configuration, as long as they are there.
    all: Arc<Mutex<Vec<Weak<Shared>>>>,
    /// Cloned for each message that may still go to one of them.
    in_use: Arc<InUse>,
}

/// As long as it is there, a message may still go to one of the providers.
pub struct InUse;

/// A running provider.
pub struct Running {
    /// The plugin that delivers.
    pub plugin: String,
    /// How the plugin was built.
    pub record: Record,
    /// The way in.
    pub dispatcher: Dispatcher,
}

impl Providers {
    /// Starts the providers of `config`, all at once, in a start that has `begun`. They go on counting where those of the same names
    /// `before` them are. What is wrong goes to `errors`, and then the rest is of no use.
    pub fn start(
        config: &Config,
        plugins: &Plugins,
        before: Option<&Self>,
        begun: Instant,
        errors: &mut Errors,
    ) -> Self {
        let counters = |provider: &ProviderConfig| {
            let there = before.and_then(|before| before.get(&provider.name));
            let there = there.filter(|running| running.plugin == provider.plugin);
            let new = || Arc::new(Counters::new(&provider.name, &provider.plugin));
            there.map_or_else(new, |running| Arc::clone(running.dispatcher.counters()))
        };
        let begin = |provider| (provider, begin(provider, plugins, counters(provider)));
        let starting: Vec<_> = config.providers.iter().map(begin).collect();
        let mut by_name = BTreeMap::new();
        for (provider, startup) in starting {
            match startup.and_then(|(record, startup)| Ok((record, startup.end(begun, config.startup_deadline)?))) {
                Ok((record, started)) => {
                    let dispatcher = Dispatcher::new(started, provider.delivering);
                    let running = Running { plugin: provider.plugin.clone(), record, dispatcher };
                    by_name.insert(provider.name.clone(), running);
                }
                Err(error) => {
                    let key = format!("providers.{}", provider.name);
                    for error in error.errors() {
                        errors.add_key(&provider.file, &join(&key, &error.key), &error.message);
                    }
                }
            }
        }
        let all = before.map(|before| Arc::clone(&before.all)).unwrap_or_default();
        let mut shared = all.lock().unwrap_or_else(PoisonError::into_inner);
        shared.retain(|shared| shared.strong_count() > 0);
        shared.extend(by_name.values().map(|running| Arc::downgrade(running.dispatcher.shared())));
        drop(shared);
        Self { by_name, all, in_use: Arc::new(InUse) }
    }

    /// The provider `name`.
    pub fn get(&self, name: &str) -> Option<&Running> {
        self.by_name.get(name)
    }

    /// All providers by name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Running)> {
        self.by_name.iter().map(|(name, running)| (name.as_str(), running))
    }

    /// What is measured of them, and of those that were replaced and still deliver.
    pub fn measured(&self) -> BTreeMap<String, Measured> {
        let current = self.by_name.values().map(|running| Arc::clone(running.dispatcher.shared()));
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        measured::all(current.collect(), all.iter().filter_map(Weak::upgrade).collect())
    }

    /// Lets no message wait.
    pub fn end_waiting(&self) {
        self.by_name.values().for_each(|running| running.dispatcher.end_waiting());
    }

    /// How many providers there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// For a message that may go to one of them later than to another, or when its caller has gone.
    pub fn keep(&self) -> Arc<InUse> {
        Arc::clone(&self.in_use)
    }

    /// Waits until all messages have come to their end, those that are tried again and those that go on along a route included.
    pub async fn done(&self) {
        while Arc::strong_count(&self.in_use) > 1 || !self.is_told() {
            tokio::time::sleep(TICK).await;
        }
        // Some were given up, and the plugin's code still runs.
        self.idle().await;
    }

    /// Waits until no delivery is under way, and lets none begin.
    pub async fn idle(&self) {
        for running in self.by_name.values() {
            running.dispatcher.idle().await;
        }
    }

    /// Gives up the deliveries under way, and returns how many there are.
    pub fn give_up(&self) -> usize {
        self.by_name.values().map(|running| running.dispatcher.give_up()).sum()
    }

    /// How many messages that nobody waited for were not tried, or not again, since the host ends.
    pub fn lost(&self) -> usize {
        self.by_name.values().map(|running| running.dispatcher.lost()).sum()
    }

    /// Waits until all that were given up are logged.
    pub async fn told(&self) {
        while !self.is_told() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn is_told(&self) -> bool {
        self.by_name.values().all(|running| running.dispatcher.is_told())
    }

    /// Lets go of all providers at once, and waits for that until it is `deadline` since `begun`.
    pub fn close(&self, begun: Instant, deadline: Duration) {
        let closing: Vec<_> = self.iter().map(|(name, running)| (name, running, running.dispatcher.close())).collect();
        for (provider, running, closing) in closing {
            let rest = deadline.saturating_sub(begun.elapsed());
            if closing.next(rest) == Err(Silence::Deadline) {
                tracing::warn!(provider, plugin = running.plugin, "its plugin did not stop before the deadline");
            }
        }
    }
}

/// How the provider's plugin was built, and what it makes.
fn begin(
    provider: &ProviderConfig,
    plugins: &Plugins,
    counters: Arc<Counters>,
) -> Result<(Record, Startup), ConfigError> {
    let loaded = plugins.get(&provider.plugin).ok_or_else(|| {
        ConfigError::new(
            "",
            format!("its {}", plugins.not_loaded(&provider.plugin, ("plugin = \"", "\""), "set `plugin`")),
        )
    })?;
    let startup = Startup::begin(provider, loaded, counters)
        .map_err(|error| ConfigError::new("", format!("starting the provider's threads: {error}")))?;
    Ok((loaded.record.clone(), startup))
}
