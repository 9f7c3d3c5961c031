//! The connections of the API, each a task.

use crate::http::activity::Activity;
use crate::http::api;
use crate::http::arriving::Arriving;
use crate::http::ending::Ending;
use crate::http::generations::Generations;
use crate::http::hosts;
use crate::http::listener::Listener;
use crate::http::message::{self, REQUEST_ID, TRACEPARENT};
use crate::http::places::{Most, Place, Places, peer};
use crate::http::problem::Problem;
use crate::http::requests::Counted;
use crate::http::stream::Stream;
use crate::http::wire::Wire;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::future::pending;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often it is looked for connections without a request, at the end.
const TICK: Duration = Duration::from_millis(20);

/// How many connections for metrics and health may be open at their own address.
const MOST_METRICS: usize = 64;

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
    places: Places,
}

/// Answers requests until the end begins, and then those in flight. At the door of metrics it goes on: there it is seen that the host shuts
/// down.
///
/// `axum::serve` would do the same, but wait for ever for a request's headers.
pub async fn answer(mut listener: Listener, door: Door, generations: &Arc<Generations>, ending: &Ending) {
    let (generations, graceful) = (Arc::clone(generations), GracefulShutdown::new());
    let mut connections = Connections { door, generations, graceful, tasks: JoinSet::new(), places: Places::default() };
    let mut over = pin!(async {
        match door {
            Door::Api => ending.begun().await,
            Door::Metrics => pending().await,
        }
    });
    loop {
        tokio::select! {
            (stream, address) = listener.accept() => connections.take(stream, address),
            Some(closed) = connections.tasks.join_next_with_id() => connections.places.closed(closed.map_or_else(|error| error.id(), |(id, ())| id)),
            () = &mut over => break,
        }
    }
    drop(listener);
    connections.end(ending).await;
}

impl Connections {
    /// Opens a connection.
    fn take(&mut self, stream: Stream, address: Option<IpAddr>) {
        let generation = self.generations.current();
        let (all, key) = match self.door {
            Door::Api => (generation.most, "server.connections_limit"),
            Door::Metrics => (MOST_METRICS, "server.metrics_listen"),
        };
        let (peer, of_peer) = (address.map(peer), generation.config.peer_connections_limit);
        let place = self.places.find(peer, Most { all, key, of_peer });
        let activity = Arc::new(Activity::default());
        // Only programs of this machine reach a unix socket.
        let here = address.is_none_or(|address| address.is_loopback());
        let service = self.service(place, here, &activity);
        let stream = match &generation.config.doors.tls {
            Some(tls) if self.door == Door::Api => stream.secured(&tls.server),
            _ => stream,
        };
        let stream = TokioIo::new(Wire::new(stream, generation.config.request_timeout, Arc::clone(&activity)));
        let connection = self.graceful.watch(generation.protocol.serve_connection(stream, service));
        // How a connection ends is the caller's affair.
        let task = self.tasks.spawn(async { drop(connection.await) });
        self.places.opened(task, place, peer, activity);
    }

    /// What answers the requests of a connection, which may come from here: from this machine.
    fn service(
        &self,
        place: Place,
        here: bool,
        activity: &Arc<Activity>,
    ) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send + use<> {
        let (door, seen, generations) = (self.door, Arc::clone(activity), Arc::clone(&self.generations));
        service_fn(move |request: Request<Incoming>| {
            let counted = Counted::begin(&request);
            let mut request = request.map(|body| Arriving::new(body, &seen));
            seen.busy.store(true, Ordering::Relaxed);
            seen.used.store(true, Ordering::Relaxed);
            // Each request has the configuration that is in force when it arrives.
            let generation = generations.current();
            let (id, trace) =
                (message::visible(request.headers(), &REQUEST_ID), message::traceparent(request.headers()));
            let returned =
                [(REQUEST_ID, id), (TRACEPARENT, trace)].map(|(name, text)| (name, text.map(HeaderValue::from_str)));
            let caller = may_use(place, &request).and_then(|()| match door {
                Door::Api => generation.hosts.check(&request).and_then(|()| generation.access.check(&request, here)),
                Door::Metrics => hosts::of(&request).and_then(|_| api::is_watch(&request)).map(|()| None),
            });
            let answer = caller.map(|caller| {
                caller.map(|caller| request.extensions_mut().insert(caller));
                generation.router.call(request)
            });
            let seen = Arc::clone(&seen);
            async move {
                let answer = match answer {
                    Ok(answer) => answer.await,
                    Err(problem) => Ok(problem.into_response()),
                };
                drop(generation);
                seen.busy.store(false, Ordering::Relaxed);
                answer.map(|mut answer: Response| {
                    counted.end(answer.status());
                    let headers = answer.headers_mut();
                    for (name, value) in returned {
                        value.and_then(Result::ok).map(|value| headers.insert(name, value));
                    }
                    if place == Place::Reserve {
                        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
                    }
                    answer
                })
            }
        })
    }

    /// Lets each connection finish the request in flight, answer included. One without any is cut, as is one whose caller has sent half of it
    /// or reads its answer too slowly.
    async fn end(self, ending: &Ending) {
        let mut places = self.places;
        let cut = async {
            let begun = ending.gives_up_arrivals().await;
            loop {
                places.look(begun.at.elapsed() > begun.delay());
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::select! {
            () = self.graceful.shutdown() => {}
            () = cut => {}
        }
    }
}

/// Whether a connection with this place may ask for that.
fn may_use<B>(place: Place, request: &Request<B>) -> Result<(), Problem> {
    if place == Place::Any || api::is_watch(request).is_ok() {
        return Ok(());
    }
    let detail = "as many connections are open as `server.connections_limit` and `server.peer_connections_limit` allow, and none \
                  could be closed for this one";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no-connection", "too many connections", detail);
    Err(problem.retry_soon())
}
