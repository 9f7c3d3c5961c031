//! An HTTP server that receives webhooks: keeps what came, answers what it is told.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// A secret in the form that Standard Webhooks gives it.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Another one.
pub const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// A request that came.
#[derive(Clone)]
pub struct Request {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// The running server.
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Request>>,
    answer: Mutex<(StatusCode, HeaderMap)>,
    arrived: Notify,
    /// Closed while answers are held back.
    gate: tokio::sync::Mutex<()>,
}

impl Receiver {
    /// Starts a server that answers 204.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            answer: Mutex::new((StatusCode::NO_CONTENT, HeaderMap::new())),
            arrived: Notify::new(),
            gate: tokio::sync::Mutex::default(),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, shared }
    }

    /// The configuration of a provider that posts here.
    pub fn provider(&self, name: &str) -> String {
        format!(
            "[providers.{name}]\nplugin = \"webhook\"\nurl = \"http://{}/hook\"\nsecret = \"{SECRET}\"\n",
            self.address
        )
    }

    /// Answers so from now on.
    pub fn answer(&self, status: u16, headers: &[(&'static str, &str)]) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header's value"));
        }
        *self.shared.answer.lock().expect("no test panics here") = (status.try_into().expect("a status"), map);
    }

    /// What came so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().expect("no test panics here").clone()
    }

    /// Holds answers back until the guard is dropped.
    pub async fn hold(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.shared.gate.lock().await
    }

    /// Waits for a request, one that came already and was not waited for included.
    pub async fn arrived(&self) {
        self.shared.arrived.notified().await;
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    shared.requests.lock().expect("no test panics here").push(Request { headers, body });
    shared.arrived.notify_one();
    let _open = shared.gate.lock().await;
    shared.answer.lock().expect("no test panics here").clone().into_response()
}
