//! The memory of the built host for messages under way, `server.memory_limit`: who goes away does not give back what the delivery of its
//! message still needs.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::Receiver;
use crate::support::{Host, client, signal};
use serde_json::{Value, json};

/// There is room for one message.
const ONE_MESSAGE: &str = "body_limit = 1000\nmemory_limit = 8192\n";
const BYTES: usize = 600;

/// Lets `caller` go away while its request is under way. Returns the next one, who was served when that had ended, and no earlier.
async fn goes_away(host: &Host, receiver: &Receiver, mut caller: Caller, path: &str, body: &Value) -> Caller {
    let held = receiver.hold().await;
    caller.begin(path, body).await;
    receiver.arrived().await;
    let mut next = caller.leave(host).await;
    let further = json!({ "provider": "hook", "text": "b".repeat(BYTES) });
    let (status, problem) = next.send(&further).await;
    let expected = json!({
        "type": "urn:provost:problem:no-room", "title": "too many messages at a time", "status": 429,
        "detail": "the messages under way take as much memory as `server.memory_limit` allows",
    });
    assert_eq!((status, problem), (429, expected), "{body}");
    drop(held);
    let (status, answer) = loop {
        match next.send(&further).await {
            (429, _) => {}
            other => break other,
        }
    };
    assert_eq!(status, 200, "{answer}");
    receiver.arrived().await;
    next
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_message_has_its_room_without_its_caller() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{ONE_MESSAGE}{ONE_EACH}{}timeout = \"1h\"\n", receiver.provider("hook")));
    let (mut caller, text) = (Caller::connect(&host, "127.0.0.2").await, "a".repeat(BYTES));
    for (path, body) in [
        ("/v1/messages", json!({ "provider": "hook", "text": text })),
        ("/v1/messages", json!({ "provider": "hook", "id": "a1", "text": text })),
        ("/v1/messages", json!({ "route": ["hook"], "text": text })),
        ("/v1/messages", json!({ "route": ["hook"], "id": "a2", "text": text })),
        ("/v1/messages:batch", json!({ "messages": [{ "provider": "hook", "text": text }] })),
        ("/v1/messages:batch", json!({ "messages": [{ "provider": "hook", "id": "a3", "text": text }] })),
    ] {
        caller = goes_away(&host, &receiver, caller, path, &body).await;
    }
}

/// What is under way counts when the configuration is read again.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_new_configuration_has_no_new_room() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{ONE_MESSAGE}{}timeout = \"1h\"\n", receiver.provider("hook")));
    let held = receiver.hold().await;
    let message = json!({ "provider": "hook", "text": "a".repeat(BYTES) });
    let more = async {
        receiver.arrived().await;
        signal(host.process(), "HUP");
        while !host.metrics().await.contains("provost_reloads_total{result=\"done\"} 1\n") {}
        let (status, problem) = host.send(message.clone()).await;
        assert_eq!((status, &problem["type"]), (429, &json!("urn:provost:problem:no-room")));
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(host.send(message.clone()), more);
    assert_eq!(status, 200, "{answer}");
}

/// A list of empty texts has few bytes, and takes many.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_a_body_says_counts_and_not_its_bytes_alone() {
    let host = Host::start(&format!("{ONE_MESSAGE}[providers.file]\npath = \"/dev/null\"\n"));
    let message = json!({ "provider": "file", "text": "a", "to": vec![""; 100] });
    let (status, problem) = host.send(message.clone()).await;
    let expected = json!({
        "type": "urn:provost:problem:too-large", "title": "the body is too large", "status": 413,
        "detail": "what the body says takes more memory than `server.memory_limit` allows",
    });
    assert_eq!((status, &problem), (413, &expected));
    let batch = client().post(host.url("/v1/messages:batch")).json(&json!({ "messages": [message] })).send().await;
    let problem: Value = batch.expect("the host answers").json().await.expect("a problem is JSON");
    assert_eq!(problem, expected);
}
