//! An HTTP server for tests.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use provost_sdk::tokio::net::TcpListener;
use provost_sdk::tokio::task::AbortHandle;
use provost_sdk::tokio::{self};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a request's body.
const LARGEST_BODY: usize = 64 << 20;

/// An HTTP server on this machine. It records every request, and answers as it was told, else with status 200 and no body, or as its
/// function says. Ends when it is dropped.
pub struct HttpServer {
    url: String,
    state: Arc<Mutex<Exchange>>,
    serving: AbortHandle,
}

#[derive(Default)]
struct Exchange {
    requests: Vec<HttpRequest>,
    answers: VecDeque<Answer>,
    function: Option<Function>,
}

/// What answers each request.
type Function = Box<dyn Fn(&HttpRequest) -> Answer + Send>;

/// A request that the server received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST`.
    pub method: String,
    /// With the query: `/path?a=1`.
    pub path: String,
    /// By their names in lower case; of several with one name the last.
    pub headers: BTreeMap<String, String>,
    /// Read to its end.
    pub body: Vec<u8>,
}

/// What the server answers to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    silent: bool,
}

impl Answer {
    /// An answer with a status code, and no body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), silent: false }
    }

    /// No answer at all: the request waits until the server is dropped.
    pub fn none() -> Self {
        Self { silent: true, ..Self::new(200) }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }
}

impl HttpServer {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start() -> Self {
        Self::serve(Exchange::default()).await
    }

    /// Starts one that stands in for an API: where nothing else was told, `function` looks at a request and answers it.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub async fn start_with(function: impl Fn(&HttpRequest) -> Answer + Send + 'static) -> Self {
        Self::serve(Exchange { function: Some(Box::new(function)), ..Exchange::default() }).await
    }

    async fn serve(exchange: Exchange) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port of 127.0.0.1");
        let address = listener.local_addr().expect("the port has a number");
        let state = Arc::new(Mutex::new(exchange));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let serving = tokio::spawn(async { axum::serve(listener, router).await }).abort_handle();
        Self { url: format!("http://{address}"), state, serving }
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Answers the next request so that has no answer yet.
    pub fn answer(&self, answer: Answer) {
        lock(&self.state).answers.push_back(answer);
    }

    /// All requests, in the order of their arrival.
    pub fn requests(&self) -> Vec<HttpRequest> {
        lock(&self.state).requests.clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn lock(state: &Mutex<Exchange>) -> std::sync::MutexGuard<'_, Exchange> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(State(state): State<Arc<Mutex<Exchange>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_BODY).await.map(|body| body.to_vec()).unwrap_or_default();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = HttpRequest {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body,
    };
    let answer = {
        let mut state = lock(&state);
        let told = state.answers.pop_front();
        let otherwise = || state.function.as_ref().map(|function| function(&request));
        let answer = told.or_else(otherwise).unwrap_or_else(|| Answer::new(200));
        state.requests.push(request);
        answer
    };
    if answer.silent {
        std::future::pending::<()>().await;
    }
    let headers = answer.headers.iter();
    let response =
        headers.fold(Response::builder().status(answer.status), |response, (name, value)| response.header(name, value));
    response.body(Body::from(answer.body)).expect("the test's answer is valid HTTP")
}

#[cfg(test)]
mod tests {
    use super::*;
    use provost_sdk::reqwest::Client;

    #[tokio::test]
    async fn requests_are_recorded_and_answered() {
        provost_sdk::tls::install();
        let server = HttpServer::start().await;
        server.answer(Answer::new(429).header("retry-after", "3").body("later"));
        let client = Client::new();
        let post = || client.post(format!("{}/a?b=1", server.url())).header("x-kind", "test").body("hello").send();
        let first = post().await.expect("an answer");
        assert_eq!((first.status().as_u16(), first.headers()["retry-after"].as_bytes()), (429, &b"3"[..]));
        assert_eq!(first.text().await.expect("a body"), "later");
        assert_eq!(post().await.expect("an answer").status().as_u16(), 200);
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        let HttpRequest { method, path, headers, body } = &requests[0];
        assert_eq!((method.as_str(), path.as_str(), body.as_slice()), ("POST", "/a?b=1", &b"hello"[..]));
        assert_eq!(headers["x-kind"], "test");
    }

    #[tokio::test]
    async fn a_function_answers_what_nothing_was_told_for() {
        provost_sdk::tls::install();
        let server = HttpServer::start_with(|request| Answer::new(404).body(&request.path)).await;
        server.answer(Answer::new(200));
        let url = format!("{}/a", server.url());
        for (status, body) in [(200, ""), (404, "/a")] {
            let answer = Client::new().get(&url).send().await.expect("an answer");
            assert_eq!((answer.status().as_u16(), answer.text().await.expect("a body").as_str()), (status, body));
        }
    }

    #[tokio::test]
    async fn an_answer_that_never_comes() {
        provost_sdk::tls::install();
        let server = HttpServer::start().await;
        server.answer(Answer::none());
        let request = tokio::spawn(Client::new().get(server.url()).send());
        while server.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!request.is_finished());
        drop(server);
        request.abort();
    }
}
