//! Serves the API until a signal, and then finishes the requests in progress.

use crate::config::Config;
use crate::ground::channel::reports;
use crate::ground::errors::Errors;
use crate::ground::threads::NO_THREAD;
use crate::http::api;
use crate::providers::Providers;
use crate::telemetry::stderr;
use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::SetOnce;

/// Serves until SIGTERM or SIGINT, on a runtime that is the API's alone.
///
/// # Errors
///
/// When the address cannot be listened on.
pub fn serve(config: &Config, providers: Providers) -> Result<(), Errors> {
    let runtime = match runtime(config.startup_deadline) {
        Ok(runtime) => runtime,
        Err(error) => {
            providers.close(Instant::now(), config.shutdown_deadline);
            return Err(Errors::one(format!("starting the API's threads: {error}")));
        }
    };
    let providers = Arc::new(providers);
    let result = runtime.block_on(run(config, &providers));
    runtime.shutdown_background();
    let begun = result.as_ref().copied().unwrap_or_else(|_| Instant::now());
    providers.close(begun, config.shutdown_deadline);
    result.map(drop)
}

/// On a thread of its own: where tokio gets one thread and not the next, it panics, and waits for the first for ever.
fn runtime(deadline: Duration) -> io::Result<Runtime> {
    let (reporter, reports) = reports();
    let build = move || reporter.report(Builder::new_multi_thread().thread_name("api").enable_all().build());
    thread::Builder::new().spawn(build)?;
    reports.next(deadline).unwrap_or_else(|_| Err(io::Error::other(NO_THREAD)))
}

/// Returns since when the process ends.
async fn run(config: &Config, providers: &Arc<Providers>) -> Result<Instant, Errors> {
    // Before the line that says it listens: whoever reads it may signal at once.
    let ended = ended().map_err(|error| Errors::one(format!("waiting for signals: {error}")))?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| in_use(config, &error))?;
    let address = listener.local_addr().map_err(|error| in_use(config, &error))?;
    stderr::in_background();
    tracing::info!(%address, providers = providers.len(), "listening");

    let begun = SetOnce::new();
    let graceful = async {
        let signal = ended.await;
        tracing::info!(signal, "shutting down after the requests in flight");
        // An error would say that it was told twice.
        let _ = begun.set(Instant::now());
    };
    let router = api::router(config, Arc::clone(providers));
    let serving = async {
        answer(listener, router, config.request_timeout, graceful).await;
        // A caller who went away does not end its delivery.
        providers.idle().await;
    };
    // The rest is for the providers: one that is stuck must not cost the others their orderly end.
    let patience = config.shutdown_deadline - config.shutdown_deadline / 8;
    let given_up = async {
        begun.wait().await;
        tokio::time::sleep(patience).await;
    };
    tokio::select! {
        () = serving => {}
        () = given_up => tracing::warn!(after = ?patience, "gave up on requests in flight"),
    }
    Ok(begun.get().copied().unwrap_or_else(Instant::now))
}

/// Answers requests until `end`, and then those in flight.
///
/// `axum::serve` would do the same, but wait for ever for a request's headers.
async fn answer(mut listener: TcpListener, router: Router, timeout: Duration, end: impl Future<Output = ()>) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(timeout);
    let connections = GracefulShutdown::new();
    let mut end = pin!(end);
    loop {
        let (stream, _) = tokio::select! {
            accepted = Listener::accept(&mut listener) => accepted,
            () = &mut end => break,
        };
        let service = TowerToHyperService::new(router.clone());
        // How a connection ends is the caller's affair.
        tokio::spawn(connections.watch(protocol.serve_connection(TokioIo::new(stream), service)));
    }
    drop(listener);
    connections.shutdown().await;
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
