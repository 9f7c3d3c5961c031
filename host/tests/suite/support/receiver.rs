//! An HTTP server that receives webhooks: keeps what came, answers what it is told.

use super::certificate::Certificate;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
    origin: String,
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
        let (listener, address) = bind().await;
        Self::serve(listener, address, format!("http://{address}"))
    }

    /// Starts one that is reached over TLS and has this certificate.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        let (listener, address) = bind().await;
        let listener = TlsListener { listener, acceptor: certificate.acceptor() };
        Self::serve(listener, address, format!("https://localhost:{}", address.port()))
    }

    fn serve(listener: impl Listener<Addr = SocketAddr>, address: SocketAddr, origin: String) -> Self {
        let shared = Arc::new(Shared {
            requests: Mutex::default(),
            answer: Mutex::new((StatusCode::NO_CONTENT, HeaderMap::new())),
            arrived: Notify::new(),
            gate: tokio::sync::Mutex::default(),
        });
        let router = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { address, origin, shared }
    }

    /// The configuration of a provider that posts here.
    pub fn provider(&self, name: &str) -> String {
        let to = format!("url = \"{}/hook\"\nwhitelist_subnets = [\"127.0.0.0/8\"]\n", self.origin);
        format!("[providers.{name}]\nplugin = \"webhook\"\n{to}secret = \"{SECRET}\"\n")
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

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, remote) = Listener::accept(&mut self.listener).await;
            // A client that does not trust us is no error of the server.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, remote);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    shared.requests.lock().expect("no test panics here").push(Request { headers, body });
    shared.arrived.notify_one();
    let _open = shared.gate.lock().await;
    shared.answer.lock().expect("no test panics here").clone().into_response()
}
