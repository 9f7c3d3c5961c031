//! The providers: each made by its plugin, checked, and given a runtime of its own.

use crate::config::{Config, ProviderConfig, join};
use crate::delivery::Lane;
use crate::faults::Faults;
use crate::panics;
use crate::plugins::{Loaded, Plugins};
use provost_sdk::config::suggest;
use provost_sdk::plugin::AnyProvider;
use provost_sdk::{ConfigError, Context};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// The running providers.
pub struct Providers {
    by_name: BTreeMap<String, Running>,
}

/// A running provider.
pub struct Running {
    /// The plugin that delivers.
    pub plugin: String,
    /// The version of the plugin.
    pub version: String,
    /// The way in.
    pub lane: Lane,
}

impl Providers {
    /// Starts the providers of `config`. What is wrong goes to `faults`, and then the rest is of no use.
    pub fn start(config: &Config, plugins: &Plugins, faults: &mut Faults) -> Self {
        let mut by_name = BTreeMap::new();
        for provider in &config.providers {
            let Some(loaded) = plugins.get(&provider.plugin) else {
                let message = no_plugin(provider, plugins);
                faults.add_key(&config.path, &format!("providers.{}", provider.name), &message);
                continue;
            };
            if let Some(running) = start(&config.path, provider, loaded, faults) {
                by_name.insert(provider.name.clone(), running);
            }
        }
        Self { by_name }
    }

    /// The provider `name`.
    pub fn get(&self, name: &str) -> Option<&Running> {
        self.by_name.get(name)
    }

    /// All providers by name, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Running)> {
        self.by_name.iter().map(|(name, running)| (name.as_str(), running))
    }

    /// How many providers there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Waits until no delivery is under way.
    pub async fn idle(&self) {
        for running in self.by_name.values() {
            running.lane.idle().await;
        }
    }
}

fn no_plugin(provider: &ProviderConfig, plugins: &Plugins) -> String {
    let plugin = &provider.plugin;
    let given = plugins.names().collect::<Vec<_>>().join(", ");
    let given = if given.is_empty() { "none is given".to_owned() } else { format!("given are {given}") };
    let hint = match suggest(plugin, plugins.names()) {
        Some(meant) => format!("did you mean `plugin = \"{meant}\"`?"),
        None => format!("set `plugin`, or add `--prov {plugin}.prov` to the command"),
    };
    format!("its plugin `{plugin}` is not given ({given}): {hint}")
}

fn start(path: &Path, provider: &ProviderConfig, loaded: &Loaded, faults: &mut Faults) -> Option<Running> {
    let key = format!("providers.{}", provider.name);
    let runtime = match runtime(&provider.name) {
        Ok(runtime) => runtime,
        Err(error) => {
            faults.add(format!("starting the threads of provider `{}`: {error}", provider.name));
            return None;
        }
    };
    let context = Context::new(&provider.name, provider.timeout, runtime.handle().clone());
    match construct(&runtime, provider, loaded, context.clone()) {
        Ok(any) => Some(Running {
            plugin: provider.plugin.clone(),
            version: loaded.version.clone(),
            lane: Lane::new(any, context, runtime, provider.concurrency),
        }),
        Err(error) => {
            for fault in error.faults() {
                faults.add_key(path, &join(&key, &fault.key), &fault.message);
            }
            // Dropping it would wait for what the provider has begun, perhaps for ever.
            runtime.shutdown_background();
            None
        }
    }
}

/// One worker: what a provider blocks is its own.
fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .thread_keep_alive(Duration::from_secs(60))
        .enable_all()
        .build()
}

/// Makes and checks a provider on its own runtime's terms; a panic in its plugin becomes a fault.
fn construct(
    runtime: &Runtime,
    provider: &ProviderConfig,
    loaded: &Loaded,
    context: Context,
) -> Result<Box<dyn AnyProvider>, ConfigError> {
    let _entered = runtime.enter();
    let _span = context.span().clone().entered();
    let made = panics::catch(|| {
        let any = loaded.plugin.construct(provider.table.clone(), context)?;
        any.validate()?;
        Ok(any)
    });
    made.unwrap_or_else(|| {
        let message = format!("the plugin `{}` panicked while the provider was made; see the log", provider.plugin);
        Err(ConfigError::new("", message))
    })
}
