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
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinSet};

/// How often it is looked for connections without a request, at the end.
const TICK: Duration = Duration::from_millis(20);

/// How many connections are looked at for one that can make room.
const LOOKS: usize = 64;

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
    /// Whose turn it is to make room. Some may be closed.
    turns: VecDeque<Id>,
}

/// One of them.
struct Connection {
    task: AbortHandle,
    /// Whether a request has arrived that is not answered.
    busy: Arc<AtomicBool>,
    /// Whether one has arrived since a place was last looked for.
    used: Arc<AtomicBool>,
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
    let (tasks, open, turns) = (JoinSet::new(), HashMap::new(), VecDeque::new());
    let graceful = GracefulShutdown::new();
    let hosts = Arc::new(Hosts::new(config.hosts.clone()));
    let patience = config.request_timeout;
    let mut connections = Connections { protocol, router, hosts, patience, most, graceful, tasks, open, turns };
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
            refusals::cut();
            if !self.make_room() {
                return;
            }
        }
        self.open(stream);
    }

    /// Cuts the first connection in turn that has had no request since it was looked at last. Each look is paid for by a request, and
    /// a few are free, so that a flood of connections is no work for all that are open.
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKS {
            let Some(id) = self.turns.pop_front() else { return false };
            let Some(connection) = self.open.get(&id) else { continue };
            if connection.busy.load(Ordering::Relaxed) || connection.used.swap(false, Ordering::Relaxed) {
                self.turns.push_back(id);
            } else if let Some(connection) = self.open.remove(&id) {
                connection.task.abort();
                return true;
            }
        }
        false
    }

    fn open(&mut self, stream: TcpStream) {
        let (busy, used) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (router, in_flight) = (TowerToHyperService::new(self.router.clone()), Arc::clone(&busy));
        let (hosts, served) = (Arc::clone(&self.hosts), Arc::clone(&used));
        let service = service_fn(move |request| {
            in_flight.store(true, Ordering::Relaxed);
            served.store(true, Ordering::Relaxed);
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
        self.turns.push_back(task.id());
        self.open.insert(task.id(), Connection { task, busy, used, idle: 0 });
    }

    fn closed(&mut self, id: Id) {
        self.open.remove(&id);
        if self.turns.len() > 2 * self.open.len() + LOOKS {
            self.turns.retain(|id| self.open.contains_key(id));
        }
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
