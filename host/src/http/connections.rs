//! The connections of the API, each a task.

use crate::http::api;
use crate::http::arriving::Arriving;
use crate::http::ending::Ending;
use crate::http::generations::{Generation, Generations};
use crate::http::listener::Listener;
use crate::http::message::{self, REQUEST_ID, TRACEPARENT};
use crate::http::refusals;
use crate::http::requests::Counted;
use crate::http::stream::Stream;
use crate::http::wire::Wire;
use axum::http::HeaderValue;
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::{AbortHandle, Id, JoinSet};

/// How often it is looked for connections without a request, at the end.
const TICK: Duration = Duration::from_millis(20);

/// How many connections are looked at for one that can make room.
const LOOKS: usize = 64;

/// What is answered where.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The whole API, to whom may ask.
    Api,
    /// Metrics and health, to everybody who can reach them.
    Metrics,
}

/// Connections that are open.
struct Connections {
    door: Door,
    generations: Arc<Generations>,
    graceful: GracefulShutdown,
    tasks: JoinSet<()>,
    open: HashMap<Id, Connection>,
    /// Whose turn it is to make room. Some may be closed.
    turns: VecDeque<Id>,
    /// How many each peer has that has an address.
    peers: HashMap<IpAddr, usize>,
}

/// One of them.
struct Connection {
    task: AbortHandle,
    peer: Option<IpAddr>,
    /// Whether a request has arrived that is not answered.
    busy: Arc<AtomicBool>,
    /// Whether its body has not arrived whole.
    arriving: Arc<AtomicBool>,
    /// Whether one has arrived since a place was last looked for.
    used: Arc<AtomicBool>,
    /// How often in a row it was not.
    idle: u8,
}

/// Answers requests until the end begins, and then those in flight.
///
/// `axum::serve` would do the same, but wait for ever for a request's headers.
pub async fn answer(mut listener: Listener, door: Door, generations: &Arc<Generations>, ending: &Ending) {
    let (tasks, open, turns, peers) = (JoinSet::new(), HashMap::new(), VecDeque::new(), HashMap::new());
    let (generations, graceful) = (Arc::clone(generations), GracefulShutdown::new());
    let mut connections = Connections { door, generations, graceful, tasks, open, turns, peers };
    let mut begun = pin!(ending.begun());
    loop {
        tokio::select! {
            (stream, address) = listener.accept() => connections.take(stream, address),
            Some(closed) = connections.tasks.join_next_with_id() => connections.closed(closed.map_or_else(|error| error.id(), |(id, ())| id)),
            () = &mut begun => break,
        }
    }
    drop(listener);
    connections.end(ending).await;
}

impl Connections {
    /// Opens a connection, if need be in the place of one that waits for its next request, or for the rest of one. So health can always be
    /// asked.
    fn take(&mut self, stream: Stream, address: Option<IpAddr>) {
        let generation = self.generations.current();
        let count = address.and_then(|address| self.peers.get(&peer(address)));
        if count.is_some_and(|count| *count >= generation.config.peer_connections_limit) {
            return refusals::cut("server.peer_connections_limit");
        }
        if self.open.len() >= generation.most {
            refusals::cut("server.connections_limit");
            if !self.make_room() {
                return;
            }
        }
        self.open(stream, address, &generation);
    }

    /// Cuts the first connection in turn that has had no whole request since it was looked at last. Each look is paid for by a request, and
    /// a few are free, so that a flood of connections is no work for all that are open.
    fn make_room(&mut self) -> bool {
        for _ in 0..LOOKS {
            let Some(id) = self.turns.pop_front() else { return false };
            let Some(connection) = self.open.get(&id) else { continue };
            let Connection { arriving, busy, used, .. } = connection;
            let arriving = arriving.load(Ordering::Relaxed);
            if !arriving && (busy.load(Ordering::Relaxed) || used.swap(false, Ordering::Relaxed)) {
                self.turns.push_back(id);
            } else {
                connection.task.abort();
                self.closed(id);
                return true;
            }
        }
        false
    }

    fn open(&mut self, stream: Stream, address: Option<IpAddr>, generation: &Generation) {
        let (busy, used) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let arriving = Arc::new(AtomicBool::new(false));
        let (in_flight, served, generations) = (Arc::clone(&busy), Arc::clone(&used), Arc::clone(&self.generations));
        let coming = Arc::clone(&arriving);
        // Only programs of this machine reach a unix socket.
        let here = address.is_none_or(|address| address.is_loopback());
        let (door, peer) = (self.door, address.map(peer));
        let service = service_fn(move |request: Request<Incoming>| {
            let counted = Counted::begin(&request);
            let mut request = request.map(|body| Arriving::new(body, &coming));
            in_flight.store(true, Ordering::Relaxed);
            served.store(true, Ordering::Relaxed);
            // Each request has the configuration that is in force when it arrives.
            let generation = generations.current();
            let (id, trace) =
                (message::visible(request.headers(), &REQUEST_ID), message::traceparent(request.headers()));
            let returned =
                [(REQUEST_ID, id), (TRACEPARENT, trace)].map(|(name, text)| (name, text.map(HeaderValue::from_str)));
            let caller = match door {
                Door::Api => generation.hosts.check(&request).and_then(|()| generation.access.check(&request, here)),
                Door::Metrics => api::is_watch(&request).map(|()| None),
            };
            let answer = caller.map(|caller| {
                caller.map(|caller| request.extensions_mut().insert(caller));
                generation.router.call(request)
            });
            let in_flight = Arc::clone(&in_flight);
            async move {
                let answer = match answer {
                    Ok(answer) => answer.await,
                    Err(problem) => Ok(problem.into_response()),
                };
                drop(generation);
                in_flight.store(false, Ordering::Relaxed);
                answer.map(|mut answer: Response| {
                    counted.end(answer.status());
                    for (name, value) in returned {
                        value.and_then(Result::ok).map(|value| answer.headers_mut().insert(name, value));
                    }
                    answer
                })
            }
        });
        let stream = match &generation.config.doors.tls {
            Some(tls) if door == Door::Api => stream.secured(&tls.server),
            _ => stream,
        };
        let stream = TokioIo::new(Wire::new(stream, generation.config.request_timeout, Arc::clone(&busy)));
        let connection = self.graceful.watch(generation.protocol.serve_connection(stream, service));
        // How a connection ends is the caller's affair.
        let task = self.tasks.spawn(async { drop(connection.await) });
        self.turns.push_back(task.id());
        self.open.insert(task.id(), Connection { task, peer, busy, arriving, used, idle: 0 });
        if let Some(peer) = peer {
            *self.peers.entry(peer).or_default() += 1;
        }
    }

    fn closed(&mut self, id: Id) {
        if let Some(Connection { peer: Some(peer), .. }) = self.open.remove(&id)
            && let Entry::Occupied(mut count) = self.peers.entry(peer)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
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

/// The peer at an address. Of IPv6, one has a whole network (RFC 6177).
fn peer(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_an_address_or_a_network() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.2", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::"),
            ("2001:db8:0:0:ffff:ffff:ffff:ffff", "2001:db8::"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("::1", "::"),
        ] {
            assert_eq!(peer(address.parse().expect("an address")).to_string(), expected, "{address}");
        }
    }
}
