//! The connections of the API, each a task.

use crate::http::ending::Ending;
use axum::Router;
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
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How often it is looked for connections without a request, at the end.
const TICK: Duration = Duration::from_millis(20);

/// Connections that are open.
struct Connections {
    protocol: http1::Builder,
    router: Router,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
}

/// One of them.
struct Connection {
    task: AbortHandle,
    /// Whether a request has arrived that is not answered.
    busy: Arc<AtomicBool>,
    /// How often in a row it was not.
    idle: u8,
}

/// Answers requests until the end begins, and then those in flight.
///
/// `axum::serve` would do the same, but wait for ever for a request's headers.
pub async fn answer(mut listener: TcpListener, router: Router, timeout: Duration, ending: &Ending) {
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(timeout);
    let (tasks, open, graceful) = (JoinSet::new(), HashMap::new(), GracefulShutdown::new());
    let mut connections = Connections { protocol, router, graceful, tasks, open };
    let mut begun = pin!(ending.begun());
    loop {
        tokio::select! {
            (stream, _) = Listener::accept(&mut listener) => connections.open(stream),
            Some(closed) = connections.tasks.join_next_with_id() => connections.closed(closed.map_or_else(|error| error.id(), |(id, ())| id)),
            () = &mut begun => break,
        }
    }
    drop(listener);
    connections.end(ending).await;
}

impl Connections {
    fn open(&mut self, stream: TcpStream) {
        let busy = Arc::new(AtomicBool::new(false));
        let (router, in_flight) = (TowerToHyperService::new(self.router.clone()), Arc::clone(&busy));
        let service = service_fn(move |request| {
            in_flight.store(true, Ordering::Relaxed);
            let (answer, in_flight) = (router.call(request), Arc::clone(&in_flight));
            async move {
                let answer = answer.await;
                in_flight.store(false, Ordering::Relaxed);
                answer
            }
        });
        let connection = self.graceful.watch(self.protocol.serve_connection(TokioIo::new(stream), service));
        // How a connection ends is the caller's affair.
        let task = self.tasks.spawn(async { drop(connection.await) });
        self.open.insert(task.id(), Connection { task, busy, idle: 0 });
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
