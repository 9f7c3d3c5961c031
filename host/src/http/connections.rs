//! The connections of the API, each a task.

use crate::config::Config;
use crate::http::ending::Ending;
use crate::http::hosts::Hosts;
use crate::http::refusals;
use crate::http::wire::Wire;
use axum::Router;
use axum::response::IntoResponse;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How often it is looked for connections without a request, at the end.
const TICK: Duration = Duration::from_millis(20);

/// Connections that are open.
struct Connections {
    protocol: http1::Builder,
    router: Router,
    hosts: Arc<Hosts>,
    /// How long a caller may not read its answer.
    patience: Duration,
    /// How many may be open.
    most: usize,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
}

/// One of them.
struct Connection {
    task: AbortHandle,
    since: Instant,
    /// Whether a request has arrived that is not answered.
    busy: Arc<AtomicBool>,
    /// How often in a row it was not.
    idle: u8,
}

/// Answers requests until the end begins, and then those in flight.
///
/// `axum::serve` would do the same, but wait for ever for a request's headers.
/// At most `most` connections are open.
pub async fn answer(mut listener: TcpListener, router: Router, config: &Config, most: usize, ending: &Ending) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(config.request_timeout);
    let (tasks, open, graceful) = (JoinSet::new(), HashMap::new(), GracefulShutdown::new());
    let hosts = Arc::new(Hosts::new(config.hosts.clone()));
    let patience = config.request_timeout;
    let mut connections = Connections { protocol, router, hosts, patience, most, graceful, tasks, open };
    let mut begun = pin!(ending.begun());
    loop {
        tokio::select! {
            (stream, _) = Listener::accept(&mut listener) => connections.take(stream),
            Some(closed) = connections.tasks.join_next_with_id() => connections.closed(closed.map_or_else(|error| error.id(), |(id, ())| id)),
            () = &mut begun => break,
        }
    }
    drop(listener);
    connections.end(ending).await;
}

impl Connections {
    /// Opens a connection, if need be in the place of one that waits for its next request. So health can always be asked.
    fn take(&mut self, stream: TcpStream) {
        if self.open.len() >= self.most {
            let waits = |(_, connection): &(&Id, &Connection)| !connection.busy.load(Ordering::Relaxed);
            let oldest = self.open.iter().filter(waits).min_by_key(|(_, connection)| connection.since);
            refusals::cut();
            // Without any, this one has to go.
            let Some(id) = oldest.map(|(id, _)| *id) else { return };
            if let Some(connection) = self.open.remove(&id) {
                connection.task.abort();
            }
        }
        self.open(stream);
    }

    fn open(&mut self, stream: TcpStream) {
        let busy = Arc::new(AtomicBool::new(false));
        let (router, in_flight) = (TowerToHyperService::new(self.router.clone()), Arc::clone(&busy));
        let hosts = Arc::clone(&self.hosts);
        let service = service_fn(move |request| {
            in_flight.store(true, Ordering::Relaxed);
            let answer = hosts.check(&request).map(|()| router.call(request));
            let in_flight = Arc::clone(&in_flight);
            async move {
                let answer = match answer {
                    Ok(answer) => answer.await,
                    Err(problem) => Ok(problem.into_response()),
                };
                in_flight.store(false, Ordering::Relaxed);
                answer
            }
        });
        let connection = self
            .graceful
            .watch(self.protocol.serve_connection(TokioIo::new(Wire::new(stream, self.patience)), service));
        // How a connection ends is the caller's affair.
        let task = self.tasks.spawn(async { drop(connection.await) });
        self.open.insert(task.id(), Connection { task, since: Instant::now(), busy, idle: 0 });
    }

    fn closed(&mut self, id: Id) {
        self.open.remove(&id);
    }

    /// Lets each connection finish the request in flight. One without any, whose caller has sent half of it or reads no answer, is cut.
    async fn end(self, ending: &Ending) {
        let mut open = self.open;
        let cut = async {
            ending.gives_up_arrivals().await;
            loop {
                // Twice in a row: an answer is written a moment after the request is done.
                open.values_mut().for_each(Connection::look);
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = self.graceful.shutdown() => {}
            () = cut => {}
        }
    }
}

impl Connection {
    fn look(&mut self) {
        self.idle = if self.busy.load(Ordering::Relaxed) { 0 } else { self.idle.saturating_add(1) };
        if self.idle == 2 {
            self.task.abort();
        }
    }
}
