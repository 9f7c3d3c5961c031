//! The HTTP API: its routes and what they share. It knows providers only by name.

use crate::config::{Config, Limits};
use crate::http::access::Caller;
use crate::http::batch::batch;
use crate::http::body::{Bodies, Held};
use crate::http::deliver::{Answer, unknown_provider};
use crate::http::docs;
use crate::http::ending::Ending;
use crate::http::idempotency::Repetitions;
use crate::http::listing::{self, ProviderList, ProviderState};
use crate::http::metrics;
use crate::http::openapi;
use crate::http::operations::{COUNT, OPERATIONS, WATCH};
use crate::http::problem::Problem;
use crate::http::send::send;
use crate::providers::Providers;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use provost_sdk::schemars::JsonSchema;
use provost_sdk::{SHOWN, excerpt};
use serde::Serialize;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the API needs to answer.
pub struct Api {
    /// The providers.
    pub providers: Arc<Providers>,
    /// How long the body of a request may take.
    pub request_timeout: Duration,
    /// What a message may have.
    pub limits: Limits,
    /// The bodies that are held.
    pub bodies: Bodies,
    /// What was delivered.
    pub repetitions: Arc<Repetitions<Answer>>,
    /// The end.
    pub ending: Arc<Ending>,
    described: Described,
}

/// What the API says of itself, made when somebody asks.
#[derive(Default)]
struct Described {
    document: OnceLock<String>,
    page: OnceLock<String>,
}

/// What lasts as long as the host does, whatever the configuration.
#[derive(Clone, Default)]
pub struct Lasting {
    /// What was delivered.
    repetitions: Arc<Repetitions<Answer>>,
    /// The messages that are held.
    held: Held,
    /// The end.
    pub ending: Arc<Ending>,
}

/// The API in front of `providers`, with the limits of `config`.
pub fn router(config: &Config, providers: Arc<Providers>, lasting: Lasting) -> Router {
    let Lasting { repetitions, held, ending } = lasting;
    repetitions.shrink(config.limits.idempotency);
    let router = OPERATIONS
        .iter()
        .zip(handlers())
        .fold(Router::new(), |router, (operation, handler)| router.route(operation.path, handler));
    router.fallback(no_route).method_not_allowed_fallback(no_method).with_state(Arc::new(Api {
        providers,
        request_timeout: config.request_timeout,
        limits: config.limits,
        bodies: Bodies::new(config.body_limit, config.memory_limit, held),
        repetitions,
        ending,
        described: Described::default(),
    }))
}

/// What answers each of [`OPERATIONS`], in their order.
fn handlers() -> [MethodRouter<Arc<Api>>; COUNT] {
    [
        post(send),
        post(batch),
        get(list),
        get(show),
        get(health),
        get(ready),
        get(watch),
        get(openapi_json),
        get(docs_page),
    ]
}

async fn list(State(api): State<Arc<Api>>, request: Request) -> Json<ProviderList> {
    Json(listing::all(&api.providers, request.extensions().get::<Arc<Caller>>().map(Arc::as_ref)))
}

async fn show(
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<ProviderState>, Problem> {
    // No provider has a name that is not UTF-8.
    let Ok(Path(name)) = name else { return Err(nothing_at(request.uri())) };
    let caller = request.extensions().get::<Arc<Caller>>().map(Arc::as_ref);
    let state = listing::one(&api.providers, caller, &name);
    state.map(Json).ok_or_else(|| unknown_provider(&name, listing::seen(&api.providers, caller)))
}

/// How the host is.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "provost_sdk::schemars")]
pub struct Status {
    /// `ok` or `ready`.
    status: &'static str,
}

/// Whether messages are taken. While the host shuts down, who asks at the address of metrics is told so.
async fn ready(State(api): State<Arc<Api>>) -> Result<Json<Status>, Problem> {
    if api.ending.since().is_some() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "ending", "shutting down", "the host shuts down"));
    }
    Ok(Json(Status { status: "ready" }))
}

async fn health() -> Json<Status> {
    Json(Status { status: "ok" })
}

async fn watch(State(api): State<Arc<Api>>) -> (Headers<1>, String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&api.providers))
}

type Headers<const N: usize> = [(HeaderName, &'static str); N];

/// Behind an answer that anybody can have, and that is large: a connection that waits keeps the memory of its last one.
const CLOSE: (HeaderName, &str) = (CONNECTION, "close");

async fn openapi_json(State(api): State<Arc<Api>>) -> (Headers<2>, String) {
    let document = api.described.document.get_or_init(|| openapi::document(api.limits).to_string());
    ([(CONTENT_TYPE, "application/json"), CLOSE], document.clone())
}

async fn docs_page(State(api): State<Arc<Api>>) -> (Headers<4>, String) {
    let page = api.described.page.get_or_init(|| docs::page(&openapi::document(api.limits)));
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, docs::POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        CLOSE,
    ];
    (headers, page.clone())
}

/// Whether a request is for metrics or health.
///
/// # Errors
///
/// When it is not.
pub fn is_watch<B>(request: &axum::http::Request<B>) -> Result<(), Problem> {
    if WATCH.contains(&request.uri().path()) { Ok(()) } else { Err(nothing_at(request.uri())) }
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
