//! What the host gives to a provider.

use crate::panics::Caught;
use crate::{ConfigError, http, tls};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::{Instrument, Span};

/// What the host gives to a provider. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    provider: String,
    timeout: Duration,
    assets: PathBuf,
    configuration: PathBuf,
    span: Span,
    runtime: Handle,
    http: OnceLock<reqwest::Client>,
}

impl Context {
    /// The context of the provider `provider` whose deliveries may take `timeout` and run on `runtime`, whose plugin finds its
    /// files in `assets`, and whose configuration lies in the directory `configuration`.
    ///
    /// The host makes it; a plugin's unit tests do too, with `Handle::current()`.
    pub fn new(
        provider: impl Into<String>,
        timeout: Duration,
        assets: impl Into<PathBuf>,
        configuration: impl Into<PathBuf>,
        runtime: Handle,
    ) -> Self {
        // For unit tests of plugins, where no host did it.
        tls::install();
        let (provider, assets, configuration) = (provider.into(), assets.into(), configuration.into());
        let (span, http) = (tracing::info_span!("provider", provider), OnceLock::new());
        Self { shared: Arc::new(Shared { provider, timeout, assets, configuration, span, runtime, http }) }
    }

    /// The provider's name in the configuration.
    pub fn provider(&self) -> &str {
        &self.shared.provider
    }

    /// How long a delivery may take before the host gives it up.
    pub fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// How long opening a connection may take: half of [`Self::timeout`]. What was not connected has sent nothing, so another provider may
    /// deliver the message; when the whole time is over, nobody knows.
    pub fn connect_timeout(&self) -> Duration {
        self.timeout() / 2
    }

    /// The directory of the files that the plugin ships: `assets/NAME` beside `NAME.prov`. Absolute, or relative to the
    /// working directory, as the plugin's file was named; it is not there when the plugin ships none.
    pub fn assets(&self) -> &Path {
        &self.shared.assets
    }

    /// Where a path of the configuration leads: a relative one begins in the directory of the file that has it, wherever the host
    /// was started.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.shared.configuration.join(path)
    }

    /// The span that the provider's log lines belong to. Deliveries and spawned tasks are in it already.
    pub fn span(&self) -> &Span {
        &self.shared.span
    }

    /// Starts a task in the background, on the provider's own runtime and in its span. It ends with the host.
    ///
    /// When it panics, that is logged and counted, and the error of its handle is a panic. It has no output, since one that
    /// nobody takes would be dropped where no panic is caught: send it through a channel.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let task = Caught::new(Box::pin(task));
        let task = async {
            if task.await.is_none() {
                // Past the hook, which has seen the panic itself; and with what can be dropped anywhere.
                resume_unwind(Box::new("the task panicked; see the log"));
            }
        };
        self.shared.runtime.spawn(task.instrument(self.shared.span.clone()))
    }

    /// The provider's HTTP client: TLS by rustls with the roots of [`TlsRoots`](crate::tls::TlsRoots), no redirects
    /// followed, no limits but those of the delivery and of [`Self::connect_timeout`]. Made at the first call; clones share its connections.
    ///
    /// Each provider has its own, since a connection is driven by the runtime that opened it.
    ///
    /// # Errors
    ///
    /// When the roots cannot be read.
    pub fn http(&self) -> Result<reqwest::Client, ConfigError> {
        if let Some(client) = self.shared.http.get() {
            return Ok(client.clone());
        }
        let client = http::client(|builder| builder.connect_timeout(self.connect_timeout()))?;
        Ok(self.shared.http.get_or_init(|| client).clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn paths_begin_where_the_configuration_is() {
        let context = Context::new("a", Duration::from_secs(1), "assets", "/etc/provost", Handle::current());
        for (path, expected) in [("secret", "/etc/provost/secret"), ("../b", "/etc/provost/../b"), ("/a/b", "/a/b")] {
            assert_eq!(context.path(path), Path::new(expected));
        }
    }

    #[tokio::test]
    async fn the_handle_of_a_task_says_how_it_ended() {
        let context = Context::new("a", Duration::from_secs(1), "assets", "configuration", Handle::current());
        assert!(context.spawn(async {}).await.is_ok());
        let error = context.spawn(async { panic!("as told") }).await.expect_err("it panicked");
        assert!(error.is_panic() && error.to_string().ends_with("the task panicked; see the log\""), "{error}");
        let pending = context.spawn(std::future::pending());
        pending.abort();
        assert!(pending.await.is_err_and(|error| error.is_cancelled()));
    }
}
