//! The HTTP API: its routes, requests and responses. It knows providers only by name.

use crate::config::{Config, Limits};
use crate::ground::finished::Finished;
use crate::http::access::{Caller, is_health, sha256};
use crate::http::body::{self, Bodies};
use crate::http::ending::Ending;
use crate::http::idempotency::{Key, Repetitions, Turn};
use crate::http::listing::{self, ProviderList, ProviderState};
use crate::http::message::{self, SendMessage, invalid};
use crate::http::metrics;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::providers::{Providers, Running};
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use provost_sdk::config::suggest;
use provost_sdk::{Message, Receipt, SHOWN, excerpt};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

const METRICS: &str = "/metrics";

/// What the API needs to answer.
#[derive(Clone)]
struct Api {
    providers: Arc<Providers>,
    request_timeout: Duration,
    limits: Limits,
    bodies: Bodies,
    repetitions: Arc<Repetitions<Answer>>,
    ending: Arc<Ending>,
}

/// What lasts as long as the host does, whatever the configuration.
#[derive(Clone, Default)]
pub struct Lasting {
    /// What was delivered.
    repetitions: Arc<Repetitions<Answer>>,
    /// The end.
    pub ending: Arc<Ending>,
}

/// The API in front of `providers`, with the limits of `config`.
pub fn router(config: &Config, providers: Arc<Providers>, lasting: Lasting) -> Router {
    let Lasting { repetitions, ending } = lasting;
    Router::new()
        .route("/v1/messages", post(send))
        .route("/v1/providers", get(list))
        .route("/v1/providers/{name}", get(show))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route(METRICS, get(watch))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(Api {
            providers,
            request_timeout: config.request_timeout,
            limits: config.limits,
            bodies: Bodies::new(config.body_limit, config.memory_limit),
            repetitions,
            ending,
        })
}

/// The answer to a message that was delivered.
#[derive(Clone, Serialize)]
pub struct SentMessage {
    id: String,
    provider: String,
    receipt: Receipt,
}

/// What came of a message.
type Answer = Result<SentMessage, Problem>;

/// The header of an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

async fn send(State(api): State<Api>, mut request: Request) -> Result<Response, Problem> {
    let caller = request.extensions_mut().remove::<Arc<Caller>>();
    let (head, body) = request.into_parts();
    if !body::is_json(&head.headers) {
        return Err(not_json());
    }
    let key = message::idempotency_key(&head.headers)?;
    let body = tokio::select! {
        biased;
        body = tokio::time::timeout(api.request_timeout, api.bodies.read(body)) => body,
        _ = api.ending.gives_up_arrivals() => return Err(ending()),
    };
    // Held to the end of the delivery.
    let (bytes, _room) = body.map_err(|_| half_sent())??;
    let body = Json::<Object<SendMessage>>::from_bytes(&bytes);
    let Json(Object(body)) = body.map_err(|error| invalid(error.body_text()))?;
    if let Some(caller) = &caller {
        caller.may_send(&body.provider)?;
    }
    if api.providers.get(&body.provider).is_none() {
        return Err(unknown_provider(&body.provider, api.providers.iter()));
    }
    let provider = body.provider.clone();
    let key = match key {
        Some(key) => Some((None, key)),
        None => body.id.clone().map(|id| (Some(provider.clone()), id)),
    };
    let caller = caller.map(|caller| caller.name().to_owned());
    let key = key.filter(|_| api.limits.idempotency.most > 0).map(|(provider, key)| Key { caller, provider, key });
    let digest = key.as_ref().map(|_| sha256(&bytes)).unwrap_or_default();
    drop(bytes);
    let message = body.message(&head.headers, api.limits)?;
    match key {
        None => deliver(&api.providers, provider, message).await.map(|sent| Json(sent).into_response()),
        Some(key) => api.deliver_once(&key, digest, provider, message).await,
    }
}

impl Api {
    /// Delivers a message unless it was, or is under way.
    async fn deliver_once(
        &self,
        key: &Key,
        digest: [u8; 32],
        provider: String,
        message: Message,
    ) -> Result<Response, Problem> {
        loop {
            match self.repetitions.begin(key, digest, self.limits.idempotency)? {
                Turn::First(delivery) => {
                    let providers = Arc::clone(&self.providers);
                    // Who repeats it wants to know the end, also after the first caller went away.
                    let answer = Finished::new(async move {
                        let answer = deliver(&providers, provider, message).await;
                        delivery.ended(answer.clone(), answer.is_ok());
                        answer
                    });
                    return answer.await.map(|sent| Json(sent).into_response());
                }
                Turn::Again(mut answer) => {
                    // Without an answer it ended in no way that is known, and may be tried.
                    if let Ok(answer) = answer.wait_for(Option::is_some).await
                        && let Some(answer) = answer.clone()
                    {
                        return answer.map(|sent| ([(REPLAYED, "true")], Json(sent)).into_response());
                    }
                }
            }
        }
    }
}

async fn deliver(providers: &Providers, provider: String, message: Message) -> Answer {
    let id = message.id.clone();
    let Some(running) = providers.get(&provider) else { return Err(unknown_provider(&provider, providers.iter())) };
    match running.dispatcher.deliver(message).await {
        Ok(receipt) => Ok(SentMessage { id, provider, receipt }),
        Err(failure) => Err(Problem::from(failure).for_delivery(&provider, &id)),
    }
}

fn half_sent() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "half-sent",
        "request timeout",
        "the body was not complete within `server.request_timeout`",
    )
}

fn ending() -> Problem {
    let detail = "the host shut down before the body was complete";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "shutting down", detail)
}

fn not_json() -> Problem {
    let detail = "send the header `content-type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "not JSON", detail)
}

fn unknown_provider<'a>(name: &str, others: impl Iterator<Item = (&'a str, &'a Running)>) -> Problem {
    let hint = match suggest(name, others.map(|(name, _)| name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "GET /v1/providers lists all providers".to_owned(),
    };
    let detail = format!("there is no provider `{}`: {hint}", excerpt(name, SHOWN));
    Problem::new(StatusCode::NOT_FOUND, "unknown-provider", "no such provider", detail)
}

async fn list(State(api): State<Api>, request: Request) -> Json<ProviderList> {
    Json(listing::all(&api.providers, request.extensions().get::<Arc<Caller>>().map(Arc::as_ref)))
}

async fn show(
    State(api): State<Api>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<ProviderState>, Problem> {
    let caller = request.extensions().get::<Arc<Caller>>().map(Arc::as_ref);
    let state = listing::one(&api.providers, caller, &name);
    state.map(Json).ok_or_else(|| unknown_provider(&name, listing::seen(&api.providers, caller)))
}

/// Whether messages are taken; while the host shuts down, those that ask over an open connection are told so.
async fn ready(State(api): State<Api>) -> Result<Json<serde_json::Value>, Problem> {
    if api.ending.since().is_some() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "shutting down", "the host shuts down"));
    }
    Ok(Json(serde_json::json!({ "status": "ready" })))
}

async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

async fn watch(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&api.providers))
}

/// Whether a request is for metrics or health.
///
/// # Errors
///
/// When it is not.
pub fn is_watch<B>(request: &axum::http::Request<B>) -> Result<(), Problem> {
    if request.uri().path() == METRICS || is_health(request) { Ok(()) } else { Err(nothing_at(request.uri())) }
}

async fn no_route(uri: Uri) -> Problem {
    nothing_at(&uri)
}

fn nothing_at(uri: &Uri) -> Problem {
    let detail = format!("there is nothing at {}", excerpt(uri.path(), SHOWN));
    Problem::new(StatusCode::NOT_FOUND, "not-found", "nothing there", detail)
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let (path, method) = (excerpt(uri.path(), SHOWN), excerpt(method.as_str(), SHOWN));
    let detail = format!("{path} does not support {method}; see the header `allow`");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
}
