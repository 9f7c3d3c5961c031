//! Serves the API until a signal, and then finishes the requests in progress.

use crate::config::Config;
use crate::ground::channel::reports;
use crate::ground::errors::Errors;
use crate::ground::ffi;
use crate::ground::threads::NO_THREAD;
use crate::http::ending::Ending;
use crate::http::{api, connections};
use crate::providers::Providers;
use crate::telemetry::stderr;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// How many files are left to providers, for their own connections, and to the host itself.
const OWN_FILES: usize = 256;

/// Serves until SIGTERM or SIGINT, on a runtime that is the API's alone.
///
/// # Errors
///
/// When the address cannot be listened on, and when deliveries were given up at the end.
pub fn serve(config: &Config, providers: Providers) -> Result<(), Errors> {
    let runtime = match runtime(config.startup_deadline) {
        Ok(runtime) => runtime,
        Err(error) => {
            providers.close(Instant::now(), config.shutdown_deadline);
            return Err(Errors::one(format!("starting the API's threads: {error}")));
        }
    };
    let providers = Arc::new(providers);
    let ending = Arc::new(Ending::new(config.shutdown_deadline));
    let result = runtime.block_on(run(config, &providers, &ending));
    runtime.shutdown_background();
    providers.close(ending.since().unwrap_or_else(Instant::now), config.shutdown_deadline);
    match result? {
        0 => Ok(()),
        1 => Err(Errors::one("1 delivery was given up at the end; the log names it")),
        lost => Err(Errors::one(format!("{lost} deliveries were given up at the end; the log names them"))),
    }
}

/// On a thread of its own: where tokio gets one thread and not the next, it panics, and waits for the first for ever.
fn runtime(deadline: Duration) -> io::Result<Runtime> {
    let (reporter, reports) = reports();
    let build = move || reporter.report(Builder::new_multi_thread().thread_name("api").enable_all().build());
    thread::Builder::new().spawn(build)?;
    reports.next(deadline).unwrap_or_else(|_| Err(io::Error::other(NO_THREAD)))
}

/// Returns how many deliveries were given up.
async fn run(config: &Config, providers: &Arc<Providers>, ending: &Arc<Ending>) -> Result<usize, Errors> {
    // Before the line that says it listens: whoever reads it may signal at once.
    let ended = ended().map_err(|error| Errors::one(format!("waiting for signals: {error}")))?;
    ffi::serves();
    let files = usize::try_from(ffi::raise_file_limit()).unwrap_or(usize::MAX);
    let most = config.connections_limit.min(files.saturating_sub(OWN_FILES).max(1));
    let listener = TcpListener::bind(config.listen).await.map_err(|error| in_use(config, &error))?;
    let address = listener.local_addr().map_err(|error| in_use(config, &error))?;
    stderr::in_background();
    tracing::info!(%address, providers = providers.len(), "listening");

    let begin = Arc::clone(ending);
    tokio::spawn(async move {
        let signal = ended.await;
        tracing::info!(signal, "shutting down after the requests in flight");
        begin.begin();
    });
    let router = api::router(config, Arc::clone(providers), Arc::clone(ending));
    let (mut answering, mut open) = (pin!(connections::answer(listener, router, config, most, ending)), true);
    let serving = async {
        (&mut answering).await;
        open = false;
        // A caller who went away does not end its delivery.
        providers.idle().await;
    };
    tokio::select! {
        () = serving => return Ok(0),
        () = ending.gives_up_deliveries() => {}
    }
    let lost = providers.give_up();
    tracing::warn!(after = ?ending.patience(), deliveries = lost, "gave up on requests in flight");
    // Callers are told; of one who went away, the log is.
    let told = async {
        if open {
            answering.await;
        }
        providers.told().await;
    };
    let _ = tokio::time::timeout(ending.farewell(), told).await;
    Ok(lost)
}

/// Resolves to the name of the signal that tells the process to end.
fn ended() -> io::Result<impl Future<Output = &'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        }
    })
}

fn in_use(config: &Config, error: &io::Error) -> Errors {
    let (path, listen) = (config.path.display(), config.listen);
    let fix = match error.kind() {
        io::ErrorKind::AddrInUse => ": stop the program that listens there, or choose another port",
        io::ErrorKind::AddrNotAvailable => ": it is not an address of this machine",
        io::ErrorKind::PermissionDenied => ": choose a port from 1024 on",
        _ => "",
    };
    Errors::one(format!("{path}: server.listen: listening on {listen}: {error}{fix}"))
}
