//! Reads the configuration again at SIGHUP. One that is wrong is refused whole, and the one before stays in force.

use crate::config::Config;
use crate::ground::errors::Errors;
use crate::ground::ffi;
use crate::http::api::Lasting;
use crate::http::generations::{Generation, Generations};
use crate::plugins::Plugins;
use crate::providers::Providers;
use crate::telemetry::log;
use provost_sdk::tls;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is needed to read it again.
pub struct Reload {
    /// The configuration's file.
    pub path: PathBuf,
    /// The plugins; there will be no others.
    pub plugins: Plugins,
    /// Whether the configuration says what is logged, and not the command.
    pub logs: bool,
    /// Whether it says how, and not the command.
    pub log_format: bool,
}

/// How often it was read again, and how often what was read was refused.
static DONE: AtomicU64 = AtomicU64::new(0);
static REFUSED: AtomicU64 = AtomicU64::new(0);

/// The two numbers, by result.
pub fn counts() -> [(&'static str, u64); 2] {
    [("done", &DONE), ("refused", &REFUSED)].map(|(result, count)| (result, count.load(Ordering::Relaxed)))
}

impl Reload {
    /// Reads it at each signal, until the end begins.
    ///
    /// # Errors
    ///
    /// When the system lets nobody wait for the signal.
    pub fn at_signals(
        self,
        generations: &Arc<Generations>,
        lasting: Lasting,
    ) -> io::Result<impl Future<Output = ()> + use<>> {
        let (hang_ups, this) = (signal(SignalKind::hangup())?, Arc::new(self));
        let generations = Arc::clone(generations);
        Ok(async move {
            tokio::select! {
                () = lasting.ending.begun() => {}
                () = this.read_at(hang_ups, &generations, &lasting) => {}
            }
        })
    }

    async fn read_at(self: &Arc<Self>, mut hang_ups: Signal, generations: &Arc<Generations>, lasting: &Lasting) {
        // One may have come before anybody waited.
        let mut due = ffi::take_hang_up();
        while std::mem::take(&mut due) || hang_ups.recv().await.is_some() {
            tracing::info!(path = %self.path.display(), "reading the configuration again");
            let (this, current) = (Arc::clone(self), generations.current());
            let read = tokio::task::spawn_blocking(move || this.read(&current)).await;
            match read.unwrap_or_else(|error| Err(Errors::one(error.to_string()))) {
                Ok((config, providers)) => {
                    if self.logs {
                        log::select(&config.log);
                    }
                    if self.log_format {
                        log::set_format(config.log_format);
                    }
                    config.warn();
                    let count = providers.len();
                    let before = generations.replace(Generation::new(config, providers, lasting.clone()));
                    DONE.fetch_add(1, Ordering::Relaxed);
                    tracing::info!(providers = count, "the configuration is in force");
                    // The next signal does not wait for the deliveries under way.
                    let generations = Arc::clone(generations);
                    tokio::spawn(async move { generations.end(before).await });
                }
                Err(errors) => {
                    for error in errors.iter() {
                        tracing::error!("the configuration from before stays in force: {error}");
                    }
                    REFUSED.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// Reads it, and makes its providers.
    fn read(&self, before: &Generation) -> Result<(Config, Providers), Errors> {
        let (begun, mut errors) = (Instant::now(), Errors::default());
        let Some(config) = Config::read(&self.path, &mut errors) else { return Err(errors) };
        let fixed = [
            ("server.listen", config.doors.api == before.config.doors.api),
            ("server.socket_mode", config.doors.socket_mode == before.config.doors.socket_mode),
            ("server.metrics_listen", config.doors.metrics == before.config.doors.metrics),
        ];
        for (key, _) in fixed.iter().filter(|(_, is_same)| !is_same) {
            let message = "it cannot change while the host runs: start the host again, or change it back";
            errors.add_key(&config.path, key, message);
        }
        tls::forget();
        let providers = Providers::start(&config, &self.plugins, Some(&before.providers), begun, &mut errors);
        if errors.is_empty() {
            return Ok((config, providers));
        }
        providers.close(Instant::now(), config.shutdown_deadline);
        Err(errors)
    }
}
