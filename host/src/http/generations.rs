//! What each reading of the configuration made: providers, and the API in front of them. A reading replaces all of it at once.

use crate::config::Config;
use crate::ground::ffi;
use crate::http::access::Access;
use crate::http::api::{self, Lasting};
use crate::http::hosts::Hosts;
use crate::providers::Providers;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use hyper_util::service::TowerToHyperService;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How many files are left to the host itself, for metrics and health too, and to each provider's runtime, beside those of its connections.
const OWN_FILES: usize = 256;

/// How many connections may be open where there are hardly any files.
const LEAST: usize = 16;

/// The most bytes that a request's line and headers may have together.
const BUFFER: usize = 16 * 1024;

/// How often it is looked for requests to one that was replaced.
const TICK: Duration = Duration::from_millis(20);

/// What one reading made.
pub struct Generation {
    /// What was read.
    pub config: Config,
    /// The providers.
    pub providers: Arc<Providers>,
    /// Whom requests may be for.
    pub hosts: Hosts,
    /// Who may ask.
    pub access: Access,
    /// How connections are served that are opened meanwhile.
    pub protocol: http1::Builder,
    /// How many connections may be open.
    pub most: usize,
    /// What answers.
    pub router: TowerToHyperService<Router>,
}

impl Generation {
    /// Of these, with what lasts.
    pub fn new(config: Config, providers: Providers, lasting: Lasting) -> Self {
        let (hosts, access) = (Hosts::new(config.hosts.clone()), Access::new(&config));
        let providers = Arc::new(providers);
        let router = TowerToHyperService::new(api::router(&config, Arc::clone(&providers), lasting));
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(config.request_timeout).max_buf_size(BUFFER);
        let files = usize::try_from(ffi::raise_file_limit()).unwrap_or(usize::MAX);
        // Each delivery may have a connection. Where there are not enough files for all, both sides have half.
        let deliveries: usize = config.providers.iter().map(|provider| provider.delivering.concurrency).sum();
        let most = files.saturating_sub(OWN_FILES).saturating_sub(deliveries.min(files / 2));
        let most = config.connections_limit.min(most.max(LEAST));
        Self { config, providers, hosts, access, protocol, most, router }
    }
}

/// The one in force, and those that still have deliveries under way.
pub struct Generations {
    current: RwLock<Arc<Generation>>,
    replaced: Mutex<Vec<Arc<Providers>>>,
    /// What [`Generations::lost`] counts of those that are gone.
    lost: AtomicUsize,
}

impl Generations {
    /// With the first.
    pub fn new(first: Generation) -> Self {
        Self { current: RwLock::new(Arc::new(first)), replaced: Mutex::default(), lost: AtomicUsize::new(0) }
    }

    /// The one in force.
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts `next` into force, and returns the one before.
    pub fn replace(&self, next: Generation) -> Arc<Generation> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        // First, so that it is among all at each moment.
        self.replaced().push(Arc::clone(&current.providers));
        std::mem::replace(&mut *current, Arc::new(next))
    }

    /// Ends the providers of one that was replaced, after its requests and their deliveries.
    pub async fn end(&self, before: Arc<Generation>) {
        // A request has it until it is answered.
        while Arc::strong_count(&before) > 1 {
            tokio::time::sleep(TICK).await;
        }
        before.providers.done().await;
        let (providers, deadline) = (Arc::clone(&before.providers), before.config.shutdown_deadline);
        // It waits for code of plugins. An error would say that the host has ended.
        let _ = tokio::task::spawn_blocking(move || providers.close(Instant::now(), deadline)).await;
        let mut replaced = self.replaced();
        self.lost.fetch_add(before.providers.lost(), Ordering::Relaxed);
        replaced.retain(|replaced| !Arc::ptr_eq(replaced, &before.providers));
    }

    /// Waits until no delivery is under way, and lets none begin.
    pub async fn idle(&self) {
        for providers in self.all() {
            // A caller who went away does not end its delivery.
            providers.idle().await;
        }
    }

    /// Lets no message wait: who does is told that the host ends.
    pub fn end_waiting(&self) {
        self.all().iter().for_each(|providers| providers.end_waiting());
    }

    /// Gives up the deliveries under way, and returns how many there are.
    pub fn give_up(&self) -> usize {
        self.all().iter().map(|providers| providers.give_up()).sum()
    }

    /// How many messages that nobody waited for were not tried, or not again, since the host ends.
    pub fn lost(&self) -> usize {
        let (current, replaced) = (self.current(), self.replaced());
        let of_replaced: usize = replaced.iter().map(|providers| providers.lost()).sum();
        current.providers.lost() + of_replaced + self.lost.load(Ordering::Relaxed)
    }

    /// Waits until all that were given up are logged.
    pub async fn told(&self) {
        for providers in self.all() {
            providers.told().await;
        }
    }

    /// Lets go of all providers, and waits for that until it is `deadline` since `begun`.
    pub fn close(&self, begun: Instant, deadline: Duration) {
        for providers in self.all() {
            providers.close(begun, deadline);
        }
    }

    fn all(&self) -> Vec<Arc<Providers>> {
        let current = Arc::clone(&self.current().providers);
        self.replaced().iter().cloned().chain([current]).collect()
    }

    fn replaced(&self) -> MutexGuard<'_, Vec<Arc<Providers>>> {
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
