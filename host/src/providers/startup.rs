//! Creates providers, each on a thread of its own runtime. A plugin that never returns must not keep the host from reporting
//! it, and the other errors.

use crate::config::ProviderConfig;
use crate::ground::channel::{Reporter, Reports, reports};
use crate::ground::threads::spawned;
use crate::plugins::{Loaded, why_silent};
use crate::telemetry::counters::Counters;
use crate::telemetry::panics;
use provost_sdk::panics::catch;
use provost_sdk::plugin::{AnyProvider, Plugin};
use provost_sdk::{ConfigError, Context};
use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use toml::Table;

/// A provider that is being made.
pub struct Startup {
    counters: Arc<Counters>,
    context: Context,
    runtime: Runtime,
    reports: Reports<Report>,
}

/// A provider that was made and checked, and what it runs on.
pub struct Started {
    /// The provider.
    pub provider: Box<dyn AnyProvider>,
    /// What it was given.
    pub context: Context,
    /// Its own threads.
    pub runtime: Runtime,
    /// What is counted of it.
    pub counters: Arc<Counters>,
}

/// How far a plugin came.
enum Report {
    /// Its constructor has come back with a provider.
    Constructed,
    /// The plugin is done.
    Ended(Result<Box<dyn AnyProvider>, ConfigError>),
}

impl Startup {
    /// Lets the plugin make and check the provider.
    ///
    /// # Errors
    ///
    /// When the provider's threads cannot be started.
    pub fn begin(config: &ProviderConfig, loaded: &Loaded, counters: Arc<Counters>) -> io::Result<Self> {
        let runtime = spawned(|| runtime(&counters))??;
        let configuration = config.file.parent().unwrap_or(Path::new(""));
        let handle = runtime.handle().clone();
        let context = Context::new(&config.name, config.timeout, &loaded.assets, configuration, handle);
        let (reporter, reports) = reports();
        let (plugin, table, given) = (loaded.plugin, config.table.clone(), context.clone());
        let make = move || {
            let _span = given.span().clone().entered();
            make(plugin, table, given, reporter);
        };
        spawned(|| runtime.spawn_blocking(make))?;
        Ok(Self { counters, context, runtime, reports })
    }

    /// Waits for the provider until it is `deadline` since `begun`.
    ///
    /// # Errors
    ///
    /// What the plugin says, or that it said nothing.
    pub fn end(self, begun: Instant, deadline: Duration) -> Result<Started, ConfigError> {
        let mut step = "constructor";
        let result = loop {
            match self.reports.next(deadline.saturating_sub(begun.elapsed())) {
                Ok(Report::Constructed) => step = "validation",
                Ok(Report::Ended(result)) => break result.map_err(|error| of_plugin(error, &self.counters)),
                Err(silence) => {
                    break Err(ConfigError::new("", why_silent(silence, self.counters.plugin(), step, deadline)));
                }
            }
        };
        // A provider that comes too late stays: to drop it is the plugin's code, and need not come back.
        mem::forget(self.reports);
        match result {
            Ok(provider) => {
                Ok(Started { provider, context: self.context, runtime: self.runtime, counters: self.counters })
            }
            Err(error) => {
                // Dropping it would wait for what the provider has begun, perhaps for ever.
                self.runtime.shutdown_background();
                Err(error)
            }
        }
    }
}

/// What a plugin says about a provider, with the plugin's name if the provider has another.
fn of_plugin(error: ConfigError, counters: &Counters) -> ConfigError {
    if counters.provider() == counters.plugin() {
        return error;
    }
    error.map_messages(|message| format!("{message} (plugin `{}`)", counters.plugin()))
}

/// Reports before it drops what is of no use: that is the plugin's code too, and need not come back.
fn make(plugin: &Plugin, table: Table, context: Context, reporter: Reporter<Report>) {
    catch(move || {
        let provider = match plugin.construct(table, context) {
            Ok(provider) => provider,
            Err(error) => return reporter.report(Report::Ended(Err(error))),
        };
        reporter.report(Report::Constructed);
        match provider.validate() {
            Ok(()) => reporter.report(Report::Ended(Ok(provider))),
            Err(error) => reporter.report(Report::Ended(Err(error))),
        }
    });
}

/// One worker: what a provider blocks is its own.
fn runtime(owner: &Arc<Counters>) -> io::Result<Runtime> {
    let name = owner.provider();
    let whose = kept(format!("the plugin `{}` of the provider `{name}`", owner.plugin()));
    let owner = Arc::clone(owner);
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .on_thread_start(move || {
            panics::own(&owner);
            panics::whose(whose);
        })
        .thread_keep_alive(Duration::from_secs(60))
        .enable_all()
        .build()
}

/// Keeps a text for good, once: each reading of the configuration makes all providers anew. It cannot be dropped with
/// its provider, since a thread may call exit(3) when what it owns is gone already.
fn kept(text: String) -> &'static str {
    static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&known) = kept.get(text.as_str()) {
        return known;
    }
    let text: &'static str = text.leak();
    kept.insert(text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    #[test]
    fn a_text_is_kept_once() {
        let [one, same, other] = ["a plugin", "a plugin", "another"].map(|text| kept(text.to_owned()));
        assert_eq!((one, other), ("a plugin", "another"));
        assert!(ptr::eq(one, same));
    }
}
