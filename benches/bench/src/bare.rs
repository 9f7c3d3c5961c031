//! A server that parses and answers what the host does, and does nothing else: what axum alone costs.

use std::collections::BTreeMap;

use axum::routing::post;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

/// What starts it, in place of a benchmark.
pub const ARGUMENT: &str = "bare-server";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    provider: String,
    text: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Answer {
    id: String,
    provider: String,
    receipt: Receipt,
}

#[derive(Serialize)]
struct Receipt {}

async fn answer(Json(request): Json<Request>) -> Json<Answer> {
    let Request { provider, text, id, to, subject, metadata } = request;
    std::hint::black_box((text, to, subject, metadata));
    Json(Answer { id: id.unwrap_or_default(), provider, receipt: Receipt {} })
}

pub fn serve() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        eprintln!("address={}", listener.local_addr().expect("an address"));
        let app = Router::new().route("/v1/messages", post(answer));
        axum::serve(listener, app).await.expect("it serves");
    });
}
