//! Messages through the built host to servers that stand in for Slack, Telegram and ntfy: what they are asked, what callers are told, and that no
//! secret is logged. What each answer means is tested beside the plugins.

use crate::support::{Host, client};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What came: method, path, `authorization` and body.
type Asked = (String, String, Option<String>, Value);

/// A service, which answers every request so.
struct Service {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    asked: Mutex<Vec<Asked>>,
    answer: Mutex<(u16, &'static str, Value)>,
}

impl Service {
    async fn start(answer: Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared { asked: Mutex::default(), answer: Mutex::new((200, "0", answer)) });
        let router = Router::new().fallback(answered).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { url, shared }
    }

    /// Answers so from now on.
    fn answer(&self, status: u16, retry_after: &'static str, body: Value) {
        *self.shared.answer.lock().expect("no test panics here") = (status, retry_after, body);
    }

    /// What came since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().expect("no test panics here"))
    }
}

async fn answered(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let body = serde_json::from_slice(&body).expect("the body is JSON");
    let login = head.headers.get("authorization").map(|value| value.to_str().expect("text").to_owned());
    shared.asked.lock().expect("no test panics here").push((
        head.method.to_string(),
        head.uri.to_string(),
        login,
        body,
    ));
    let (status, retry_after, body) = shared.answer.lock().expect("no test panics here").clone();
    let headers =
        HeaderMap::from_iter([("retry-after".parse().expect("a name"), retry_after.parse().expect("a value"))]);
    // A webhook of Slack answers a word, not JSON.
    let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
    (status.try_into().unwrap_or(axum::http::StatusCode::OK), headers, body).into_response()
}

fn message(to: &[&str]) -> Value {
    json!({ "provider": "chat", "to": to, "subject": "Disk", "text": "a < b", "metadata": { "priority": "5" } })
}

/// What a caller is told: status, and the receipt's reference or the problem, without its prefix, and its detail.
async fn told(host: &Host, message: Value) -> (u16, String) {
    let (status, answer) = host.send(message).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match answer["type"].as_str() {
        Some(problem) => (status, format!("{}: {}", &problem["urn:provost:problem:".len()..], text(&answer["detail"]))),
        None => (status, text(&answer["receipt"]["reference"])),
    }
}

fn said(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

/// The seconds after which a message may be sent again.
async fn retry_after(host: &Host) -> String {
    let response = client().post(host.url("/v1/messages")).json(&message(&[])).send().await.expect("the host answers");
    assert_eq!(response.status(), 503);
    response.headers()["retry-after"].to_str().expect("text").to_owned()
}

/// A host with the provider `chat`, which logs all that there is.
fn host(plugin: &str, config: &str) -> Host {
    Host::start_with(&format!("[providers.chat]\nplugin = \"{plugin}\"\n{config}"), |command| {
        command.args(["--log", "trace"]);
    })
}

fn logs_no_secret(host: Host) {
    host.terminate();
    let (status, log) = host.wait();
    assert!(status.success(), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_bot_of_slack_posts() {
    let slack = Service::start(json!({ "ok": true, "channel": "C1", "ts": "1.2" })).await;
    let host = host("slack", &format!("url = \"{}/api\"\ntoken = \"xoxb-hunter2\"\nchannel = \"C1\"\n", slack.url));
    assert_eq!(told(&host, message(&[])).await, said(200, "message 1.2 in channel C1"));
    let body = json!({ "channel": "C1", "text": "*Disk*\na &lt; b" });
    let login = Some("Bearer xoxb-hunter2".to_owned());
    assert_eq!(slack.asked(), [("POST".to_owned(), "/api/chat.postMessage".to_owned(), login, body)]);

    slack.answer(200, "0", json!({ "ok": false, "error": "channel_not_found" }));
    assert_eq!(told(&host, message(&["C2"])).await, said(422, "refused: Slack answered `channel_not_found`"));
    assert_eq!(slack.asked()[0].3["channel"], "C2");
    assert_eq!(told(&host, message(&[])).await, said(503, "unauthorized: Slack answered `channel_not_found`"));
    slack.answer(200, "0", json!({ "ok": false, "error": "token_revoked" }));
    assert_eq!(told(&host, message(&[])).await, said(503, "unauthorized: Slack answered `token_revoked`"));
    slack.answer(429, "30", json!({ "ok": false, "error": "ratelimited" }));
    assert_eq!(retry_after(&host).await, "30");
    logs_no_secret(host);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_webhook_of_slack_posts() {
    let slack = Service::start(json!("ok")).await;
    let host = host("slack", &format!("webhook = \"{}/services/T0/hunter2\"\n", slack.url));
    assert_eq!(told(&host, message(&[])).await, said(200, "ok"));
    let body = json!({ "text": "*Disk*\na &lt; b" });
    assert_eq!(slack.asked(), [("POST".to_owned(), "/services/T0/hunter2".to_owned(), None, body)]);
    let reason = "refused: an incoming webhook posts to its own channel: leave `to` empty";
    assert_eq!(told(&host, message(&["C1"])).await, said(422, reason));
    slack.answer(404, "0", json!("no_service"));
    assert_eq!(told(&host, message(&[])).await, said(503, "unauthorized: Slack answered `no_service`"));
    logs_no_secret(host);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_bot_of_telegram_sends() {
    let telegram = Service::start(json!({ "ok": true, "result": { "message_id": 42, "chat": { "id": -1001 } } })).await;
    let host = host("telegram", &format!("url = \"{}\"\ntoken = \"1:hunter2\"\nchat = \"-1001\"\n", telegram.url));
    assert_eq!(told(&host, message(&[])).await, said(200, "message 42 in chat -1001"));
    let body = json!({ "chat_id": -1001, "text": "<b>Disk</b>\na &lt; b", "parse_mode": "HTML" });
    assert_eq!(telegram.asked(), [("POST".to_owned(), "/bot1:hunter2/sendMessage".to_owned(), None, body)]);

    let error = |code: u16, text: &str| json!({ "ok": false, "error_code": code, "description": text });
    telegram.answer(400, "0", error(400, "Bad Request: chat not found"));
    let reason = "Telegram answered 400: Bad Request: chat not found";
    assert_eq!(told(&host, message(&["@none"])).await, said(422, &format!("refused: {reason}")));
    assert_eq!(told(&host, message(&[])).await, said(503, &format!("unauthorized: {reason}")));
    telegram.answer(401, "0", error(401, "Unauthorized"));
    assert_eq!(told(&host, message(&[])).await, said(503, "unauthorized: Telegram answered 401: Unauthorized"));
    let mut limited = error(429, "Too Many Requests: retry after 30");
    limited["parameters"] = json!({ "retry_after": 30 });
    telegram.answer(429, "1", limited);
    assert_eq!(retry_after(&host).await, "30");
    let reason = "refused: `to` has 2 recipients, and this provider takes one: send each a message";
    assert_eq!(told(&host, message(&["1", "2"])).await, said(422, reason));
    logs_no_secret(host);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_topic_of_ntfy_is_published_on() {
    let ntfy = Service::start(json!({ "id": "hwQ2YpKdmg", "event": "message", "topic": "alerts" })).await;
    let host = host("ntfy", &format!("url = \"{}\"\ntoken = \"tk_hunter2\"\ntopic = \"alerts\"\n", ntfy.url));
    assert_eq!(told(&host, message(&[])).await, said(200, "hwQ2YpKdmg"));
    let body = json!({ "topic": "alerts", "title": "Disk", "message": "a < b", "priority": 5 });
    assert_eq!(ntfy.asked(), [("POST".to_owned(), "/".to_owned(), Some("Bearer tk_hunter2".to_owned()), body)]);

    let mut wrong = message(&[]);
    wrong["metadata"]["priority"] = json!("6");
    assert_eq!(told(&host, wrong).await, said(422, "refused: metadata: priority: `6` is not 1 to 5"));
    ntfy.answer(403, "0", json!({ "code": 40301, "http": 403, "error": "forbidden" }));
    let reason = "the server answered 403 Forbidden: forbidden";
    assert_eq!(told(&host, message(&["other"])).await, said(422, &format!("refused: {reason}")));
    assert_eq!(told(&host, message(&[])).await, said(503, &format!("unauthorized: {reason}")));
    ntfy.answer(429, "30", json!({ "code": 42901, "http": 429, "error": "limit reached" }));
    assert_eq!(retry_after(&host).await, "30");
    logs_no_secret(host);
}
