//! What the API can do, as data: the router, the labels of metrics and the OpenAPI document are made from it.

use crate::http::api::Status;
use crate::http::batch::{BatchAnswer, SendBatch};
use crate::http::deliver::SentMessage;
use crate::http::listing::{ProviderList, ProviderState};
use crate::http::message::SendMessage;
use provost_sdk::schemars::{JsonSchema, Schema, SchemaGenerator};

/// One thing that the API can do.
pub struct Operation {
    /// Its path, with `{name}` for a part that callers choose.
    pub path: &'static str,
    /// Its method, in small letters.
    pub method: &'static str,
    /// Its name, for generated clients.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else is to be known.
    pub description: &'static str,
    /// Whether it needs a token.
    pub token: bool,
    /// Parameters, beside `x-request-id`.
    pub parameters: &'static [Parameter],
    /// What its request has.
    pub body: Option<Content>,
    /// What its answer has, at status 200.
    pub answer: Content,
    /// What else it can answer.
    pub problems: Problems,
}

/// A parameter.
#[derive(Clone, Copy)]
pub enum Parameter {
    /// The name of a provider, in the path.
    Name,
    /// The header `idempotency-key`.
    IdempotencyKey,
    /// The header `traceparent`.
    Traceparent,
}

/// A body.
#[derive(Clone, Copy)]
pub enum Content {
    /// JSON, with an example.
    Json(fn(&mut SchemaGenerator) -> Schema, &'static str),
    /// A JSON object of a form that others define.
    Object,
    /// Text of this media type.
    Text(&'static str),
}

/// Problems of an operation, beside those that every request can have.
#[derive(Clone, Copy)]
pub enum Problems {
    /// These kinds.
    Only(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

/// What every request can have.
pub const EVERYWHERE: [&str; 5] = ["not-http", "bad-host", "half-sent", "uri-too-long", "headers-too-large"];

/// Paths that are answered where no connection is left for others, and at the address of metrics.
pub const WATCH: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// How many there are.
pub const COUNT: usize = 9;

/// All of them.
pub static OPERATIONS: [Operation; COUNT] = [
    Operation {
        path: "/v1/messages",
        method: "post",
        id: "sendMessage",
        summary: "Deliver one message, and wait for the result",
        description: "Send a message again with the same `idempotency-key`, or with the same `id`, when no answer came: one that was \
                      delivered is not delivered again. Along a `route`, the next provider is tried if one is busy, failed for now, or \
                      is refused by the other side.",
        token: true,
        parameters: &[Parameter::IdempotencyKey, Parameter::Traceparent],
        body: Some(Content::Json(of::<SendMessage>, r#"{"provider": "file", "subject": "Hello", "text": "World"}"#)),
        answer: Content::Json(
            of::<SentMessage>,
            r#"{"id": "01a212c9-723e-73be-b66c-c276fec84260", "provider": "file", "receipt": {"reference": "messages.jsonl at byte 0"}}"#,
        ),
        problems: Problems::AllBut(&["not-found", "method-not-allowed"]),
    },
    Operation {
        path: "/v1/messages:batch",
        method: "post",
        id: "sendMessages",
        summary: "Deliver several messages, and wait for all results",
        description: "Each message is delivered and answered as if it had come alone: `results` has their order. If one of them is not \
                      valid, none is delivered. A message with an `id` can be sent again.",
        token: true,
        parameters: &[Parameter::Traceparent],
        body: Some(Content::Json(
            of::<SendBatch>,
            r#"{"messages": [{"provider": "file", "id": "a1", "text": "One"}, {"route": ["mail", "file"], "text": "Two"}]}"#,
        )),
        answer: Content::Json(
            of::<BatchAnswer>,
            r#"{"results": [{"status": 200, "message": {"id": "a1", "provider": "file", "receipt": {}}}, {"status": 404, "problem": {"type": "urn:provost:problem:unknown-provider", "title": "no such provider", "status": 404, "detail": "there is no provider `mail`: GET /v1/providers lists all providers"}}]}"#,
        ),
        problems: Problems::Only(&["invalid-message", "too-large", "not-json", "no-room", "ending"]),
    },
    Operation {
        path: "/v1/providers",
        method: "get",
        id: "listProviders",
        summary: "List the providers",
        description: "Those that the client may use.",
        token: true,
        parameters: &[],
        body: None,
        answer: Content::Json(
            of::<ProviderList>,
            r#"{"providers": [{"name": "file", "plugin": "file", "version": "0.1.0", "concurrency": 16, "timeout_seconds": 10.0}]}"#,
        ),
        problems: Problems::Only(&[]),
    },
    Operation {
        path: "/v1/providers/{name}",
        method: "get",
        id: "showProvider",
        summary: "Show one provider",
        description: "With its deliveries under way, and how many ended in each way.",
        token: true,
        parameters: &[Parameter::Name],
        body: None,
        answer: Content::Json(
            of::<ProviderState>,
            r#"{"name": "file", "plugin": "file", "version": "0.1.0", "concurrency": 16, "timeout_seconds": 10.0, "in_flight": 0, "deliveries": {"delivered": 1}}"#,
        ),
        problems: Problems::Only(&["unknown-provider", "not-found"]),
    },
    Operation {
        path: "/healthz",
        method: "get",
        id: "health",
        summary: "Say whether the host answers",
        description: "",
        token: false,
        parameters: &[],
        body: None,
        answer: Content::Json(of::<Status>, r#"{"status": "ok"}"#),
        problems: Problems::Only(&[]),
    },
    Operation {
        path: "/readyz",
        method: "get",
        id: "readiness",
        summary: "Say whether the host takes messages",
        description: "While the host shuts down, it is answered at `server.metrics_listen` alone.",
        token: false,
        parameters: &[],
        body: None,
        answer: Content::Json(of::<Status>, r#"{"status": "ready"}"#),
        problems: Problems::Only(&["ending"]),
    },
    Operation {
        path: "/metrics",
        method: "get",
        id: "metrics",
        summary: "Metrics for Prometheus",
        description: "",
        token: true,
        parameters: &[],
        body: None,
        answer: Content::Text("text/plain"),
        problems: Problems::Only(&[]),
    },
    Operation {
        path: "/openapi.json",
        method: "get",
        id: "describe",
        summary: "This description, as OpenAPI 3.1",
        description: "",
        token: false,
        parameters: &[],
        body: None,
        answer: Content::Object,
        problems: Problems::Only(&[]),
    },
    Operation {
        path: "/docs",
        method: "get",
        id: "documentation",
        summary: "This description, as a page",
        description: "",
        token: false,
        parameters: &[],
        body: None,
        answer: Content::Text("text/html"),
        problems: Problems::Only(&[]),
    },
];

impl Operation {
    /// Whether a request's path is this one.
    pub fn is_at(&self, path: &str) -> bool {
        match self.path.split_once('{') {
            None => path == self.path,
            Some((begin, _)) => path.strip_prefix(begin).is_some_and(|name| !name.is_empty() && !name.contains('/')),
        }
    }
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found() {
        for (path, expected) in [
            ("/v1/messages", Some("/v1/messages")),
            ("/v1/messages:batch", Some("/v1/messages:batch")),
            ("/v1/providers", Some("/v1/providers")),
            ("/v1/providers/a", Some("/v1/providers/{name}")),
            ("/v1/providers/", None),
            ("/v1/providers/a/b", None),
            ("/", None),
        ] {
            let found = OPERATIONS.iter().find(|operation| operation.is_at(path)).map(|operation| operation.path);
            assert_eq!(found, expected, "{path}");
        }
    }
}
