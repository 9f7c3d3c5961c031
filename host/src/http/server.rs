//! Serves the API until a signal, and then finishes the requests in progress.

use crate::config::Config;
use crate::ground::channel::reports;
use crate::ground::errors::Errors;
use crate::ground::ffi;
use crate::ground::threads::NO_THREAD;
use crate::http::api::Lasting;
use crate::http::connections::{self, Door};
use crate::http::ending::Begun;
use crate::http::generations::{Generation, Generations};
use crate::http::listener::Listener;
use crate::http::reload::Reload;
use crate::providers::Providers;
use crate::telemetry::stderr;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// Serves until SIGTERM or SIGINT, on a runtime that is the API's alone.
///
/// # Errors
///
/// When the address cannot be listened on, and when deliveries were given up at the end.
pub fn serve(config: Config, providers: Providers, reload: Reload) -> Result<(), Errors> {
    let runtime = match runtime(config.startup_deadline) {
        Ok(runtime) => runtime,
        Err(error) => {
            providers.close(Instant::now(), config.shutdown_deadline);
            return Err(Errors::one(format!("starting the API's threads: {error}")));
        }
    };
    let lasting = Lasting::default();
    let ending = Arc::clone(&lasting.ending);
    let generations = Arc::new(Generations::new(Generation::new(config, providers, lasting.clone())));
    let result = runtime.block_on(run(&generations, reload, lasting));
    runtime.shutdown_background();
    // Without a signal, it could not begin to serve.
    let now = || Begun { at: Instant::now(), deadline: generations.current().config.shutdown_deadline };
    let begun = ending.since().unwrap_or_else(now);
    generations.close(begun.at, begun.deadline);
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
async fn run(generations: &Arc<Generations>, reload: Reload, lasting: Lasting) -> Result<usize, Errors> {
    let ending = &Arc::clone(&lasting.ending);
    // Before the line that says it listens: whoever reads it may signal at once.
    let waiting = |error| Errors::one(format!("waiting for signals: {error}"));
    let ended = ended().map_err(waiting)?;
    let reloading = reload.at_signals(generations, lasting).map_err(waiting)?;
    ffi::serves();
    let (api, metrics) = listen(&generations.current()).await?;
    tokio::spawn(reloading);
    let (begin, current) = (Arc::clone(ending), Arc::clone(generations));
    tokio::spawn(async move {
        let signal = ended.await;
        tracing::info!(signal, "shutting down after the requests in flight");
        // First, so that nobody who waits takes a place that becomes free at the end.
        current.end_waiting();
        begin.begin(current.current().config.shutdown_deadline);
    });
    if let Some(listener) = metrics {
        let (generations, ending) = (Arc::clone(generations), Arc::clone(ending));
        tokio::spawn(async move { connections::answer(listener, Door::Metrics, &generations, &ending).await });
    }
    let answering = connections::answer(api, Door::Api, generations, ending);
    let (mut answering, mut open) = (pin!(answering), true);
    let serving = async {
        (&mut answering).await;
        open = false;
        generations.idle().await;
        generations.told().await;
    };
    let begun = tokio::select! {
        () = serving => return Ok(generations.lost()),
        begun = ending.gives_up_deliveries() => begun,
    };
    let lost = generations.give_up();
    tracing::warn!(after = ?begun.patience(), deliveries = lost, "gave up on requests in flight");
    // Callers are told; of one who went away, the log is.
    let told = async {
        if open {
            answering.await;
        }
        generations.told().await;
    };
    let _ = tokio::time::timeout(begun.farewell(), told).await;
    Ok(lost + generations.lost())
}

/// Where the API is answered, and where metrics and health are.
async fn listen(first: &Generation) -> Result<(Listener, Option<Listener>), Errors> {
    let doors = &first.config.doors;
    let failed = |key: &str, listen: &dyn Display, error: String| {
        let path = first.config.path.display();
        Errors::one(format!("{path}: {key}: listening on {listen}: {error}"))
    };
    let (api, address) = Listener::bind(&doors.api, doors.socket_mode)
        .await
        .map_err(|error| failed("server.listen", &doors.api, error))?;
    let metrics = match doors.metrics {
        Some(listen) => {
            Some(Listener::at_address(listen).await.map_err(|error| failed("server.metrics_listen", &listen, error))?)
        }
        None => None,
    };
    stderr::in_background();
    let metrics = metrics.map(|(listener, address)| {
        tracing::info!(%address, "metrics and health");
        listener
    });
    if let Some(tls) = &doors.tls {
        tracing::info!(certificate = %tls.certificate.display(), "the API has TLS");
    }
    tracing::info!(%address, providers = first.providers.len(), "listening");
    Ok((api, metrics))
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
