//! The HTTP API: its routes, requests and responses. It knows providers only by name.

use crate::config::{Config, Limits};
use crate::http::access::Caller;
use crate::http::body::{self, Bodies};
use crate::http::ending::Ending;
use crate::http::metrics;
use crate::http::object::Object;
use crate::http::problem::Problem;
use crate::providers::Providers;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, Method, StatusCode, Uri};
use axum::routing::{get, post};
use axum::{Json, Router};
use provost_sdk::config::suggest;
use provost_sdk::{Message, Receipt, SHOWN, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What the API needs to answer.
#[derive(Clone)]
struct Api {
    providers: Arc<Providers>,
    request_timeout: Duration,
    limits: Limits,
    bodies: Bodies,
    ending: Arc<Ending>,
}

/// The API in front of `providers`, with the limits of `config`, until `ending`.
pub fn router(config: &Config, providers: Arc<Providers>, ending: Arc<Ending>) -> Router {
    Router::new()
        .route("/v1/messages", post(send))
        .route("/v1/providers", get(list))
        .route("/healthz", get(health))
        .route("/metrics", get(watch))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(Api {
            providers,
            request_timeout: config.request_timeout,
            limits: config.limits,
            bodies: Bodies::new(config.body_limit, config.memory_limit),
            ending,
        })
}

/// The body of `POST /v1/messages`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendMessage {
    provider: String,
    id: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    text: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

impl SendMessage {
    /// What is too much for `limits`, if anything is.
    fn check(&self, limits: Limits) -> Result<(), String> {
        let number = |what: &str, have: usize, key: &str, most: usize| {
            let error = || format!("{what}: {have}, and `server.{key}` allows {most}");
            (have <= most).then_some(()).ok_or_else(error)
        };
        number("recipients in `to`", self.to.len(), "recipients_limit", limits.recipients)?;
        number("pairs in `metadata`", self.metadata.len(), "metadata_limit", limits.metadata)?;
        let size = |what: &str, text: &str| number(what, text.len(), "field_limit", limits.field);
        size("bytes in `subject`", &self.subject)?;
        self.to.iter().try_for_each(|to| size("bytes of a recipient", to))?;
        self.metadata
            .iter()
            .flat_map(|(key, value)| [key, value])
            .try_for_each(|text| size("bytes of a key or value in `metadata`", text))
    }
}

/// The answer to a message that was delivered.
#[derive(Serialize)]
struct SentMessage {
    id: String,
    provider: String,
    receipt: Receipt,
}

async fn send(State(api): State<Api>, mut request: Request) -> Result<Json<SentMessage>, Problem> {
    let caller = request.extensions_mut().remove::<Arc<Caller>>();
    if !body::is_json(request.headers()) {
        return Err(not_json());
    }
    let body = tokio::select! {
        biased;
        body = tokio::time::timeout(api.request_timeout, api.bodies.read(request.into_body())) => body,
        _ = api.ending.gives_up_arrivals() => return Err(ending()),
    };
    // Held to the end of the delivery.
    let (bytes, _room) = body.map_err(|_| half_sent())??;
    let body = Json::<Object<SendMessage>>::from_bytes(&bytes);
    drop(bytes);
    let Json(Object(body)) = body.map_err(|error| invalid(error.body_text()))?;
    if let Some(caller) = caller {
        caller.may_send(&body.provider)?;
    }
    let Some(running) = api.providers.get(&body.provider) else {
        return Err(unknown_provider(&body.provider, &api.providers));
    };
    let (provider, message) = (body.provider.clone(), message(body, api.limits)?);
    let id = message.id.clone();
    match running.dispatcher.deliver(message).await {
        Ok(receipt) => Ok(Json(SentMessage { id, provider, receipt })),
        Err(failure) => Err(Problem::from(failure).for_delivery(&provider, &id)),
    }
}

/// The message that `body` describes, with an id.
fn message(body: SendMessage, limits: Limits) -> Result<Message, Problem> {
    body.check(limits).map_err(invalid)?;
    let is_id = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let id = match body.id {
        None => Uuid::now_v7().to_string(),
        Some(id) if (1..=64).contains(&id.len()) && id.chars().all(is_id) => id,
        Some(_) => return Err(invalid("`id` must have 1 to 64 letters, digits, `-` or `_`")),
    };
    if body.subject.contains(char::is_control) {
        return Err(invalid("`subject` must be one line, without control characters"));
    }
    Ok(Message { id, to: body.to, subject: body.subject, text: body.text, metadata: body.metadata })
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-message", "invalid message", detail)
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

fn unknown_provider(name: &str, providers: &Providers) -> Problem {
    let hint = match suggest(name, providers.iter().map(|(name, _)| name)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => "GET /v1/providers lists all providers".to_owned(),
    };
    let detail = format!("there is no provider `{}`: {hint}", excerpt(name, SHOWN));
    Problem::new(StatusCode::NOT_FOUND, "unknown-provider", "no such provider", detail)
}

/// The answer of `GET /v1/providers`.
#[derive(Serialize)]
struct ProviderList {
    providers: Vec<ListedProvider>,
}

/// A provider in the list.
#[derive(Serialize)]
struct ListedProvider {
    name: String,
    plugin: String,
    version: String,
    concurrency: usize,
    timeout_seconds: f64,
}

async fn list(State(api): State<Api>, request: Request) -> Json<ProviderList> {
    let caller = request.extensions().get::<Arc<Caller>>();
    let seen = api.providers.iter().filter(|(name, _)| caller.is_none_or(|caller| caller.may_use(name)));
    let listed = seen.map(|(name, running)| ListedProvider {
        name: name.to_owned(),
        plugin: running.plugin.clone(),
        version: running.version.clone(),
        concurrency: running.dispatcher.concurrency(),
        timeout_seconds: running.dispatcher.timeout().as_secs_f64(),
    });
    Json(ProviderList { providers: listed.collect() })
}

async fn health() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

async fn watch(State(api): State<Api>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], metrics::text(&api.providers))
}

async fn no_route(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", excerpt(uri.path(), SHOWN));
    Problem::new(StatusCode::NOT_FOUND, "not-found", "nothing there", detail)
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let (path, method) = (excerpt(uri.path(), SHOWN), excerpt(method.as_str(), SHOWN));
    let detail = format!("{path} does not support {method}; see the header `allow`");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "method not allowed", detail)
}
