//! A message that is sent again is delivered once, and its caller gets the first answer.

use crate::support::receiver::Receiver;
use crate::support::{Host, PATIENCE, client, digest, dir, signal};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

fn post(host: &Host, message: &Value) -> RequestBuilder {
    client().post(host.url("/v1/messages")).json(message)
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("the host answers")
}

/// The status, whether it is an answer from before, and the answer.
async fn outcome(request: RequestBuilder) -> (u16, bool, Value) {
    let response = sent(request).await;
    let replayed = response.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
    (response.status().as_u16(), replayed, response.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_repetition_is_not_delivered() {
    let receiver = Receiver::start().await;
    let host = Host::start(&(receiver.provider("one") + &receiver.provider("two")));
    let named = json!({ "provider": "one", "id": "a1", "text": "a" });
    let (status, replayed, first) = outcome(post(&host, &named)).await;
    assert_eq!((status, replayed), (200, false), "{first}");
    assert_eq!(outcome(post(&host, &named)).await, (200, true, first));
    let (status, _, problem) = outcome(post(&host, &json!({ "provider": "one", "id": "a1", "text": "b" }))).await;
    let detail = "another message had this `id`: choose a new one, or send the same bytes again";
    let kind = "urn:provost:problem:conflict";
    assert_eq!((status, &problem["type"], &problem["detail"]), (409, &json!(kind), &json!(detail)));
    // It is another message for another provider.
    assert_eq!(outcome(post(&host, &json!({ "provider": "two", "id": "a1", "text": "b" }))).await.0, 200);
    assert_eq!(receiver.requests().len(), 2);

    let unnamed = json!({ "provider": "one", "text": "a" });
    let keyed = |key: &str, message: &Value| post(&host, message).header("idempotency-key", key);
    let (status, replayed, first) = outcome(keyed("\"k1\"", &unnamed)).await;
    assert_eq!((status, replayed), (200, false), "{first}");
    assert_eq!(outcome(keyed("k1", &unnamed)).await, (200, true, first));
    assert_eq!(outcome(keyed("k1", &named)).await.0, 409);
    // Each key of a message names it.
    assert!(outcome(keyed("k3", &named)).await.1);
    assert_eq!(outcome(keyed("k3", &unnamed)).await.0, 409);
    let both = json!({ "provider": "one", "id": "a2", "text": "a" });
    assert!(!outcome(keyed("k4", &both)).await.1);
    assert!(outcome(post(&host, &both)).await.1);
    assert_eq!(outcome(keyed("k2", &unnamed)).await.0, 200);
    assert_eq!(outcome(keyed("", &unnamed)).await.0, 400);
    // Without a key each is another.
    for _ in 0..2 {
        assert_eq!(outcome(post(&host, &unnamed)).await.0, 200);
    }
    assert_eq!(receiver.requests().len(), 7);
    // What was delivered is known, whatever the configuration says now.
    signal(host.process(), "HUP");
    while !host.metrics().await.contains("provost_reloads_total{result=\"done\"} 1\n") {}
    assert!(outcome(post(&host, &named)).await.1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn twins_wait_for_one_delivery() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    let message = json!({ "provider": "hook", "id": "a1", "text": "a" });
    let held = receiver.hold().await;
    // The first goes away when the other side has its message.
    tokio::select! {
        response = sent(post(&host, &message)) => panic!("{response:?}"),
        () = receiver.arrived() => {}
    }
    let other = json!({ "provider": "hook", "id": "a1", "text": "b" });
    let twins = async { tokio::join!(outcome(post(&host, &message)), outcome(post(&host, &message))) };
    let release = async {
        // The host has answered later requests, so it is not about to look for the first.
        assert_eq!(outcome(post(&host, &other)).await.0, 409);
        drop(held);
    };
    let both = async { tokio::join!(twins, release) };
    let ((one, two), ()) = tokio::time::timeout(PATIENCE, both).await.expect("they are answered");
    assert_eq!((one.0, one.1), (200, true), "{}", one.2);
    assert_eq!(one, two);
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_was_not_delivered_is_tried_again() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    let message = json!({ "provider": "hook", "id": "a1", "text": "a" });
    for status in [503, 400] {
        receiver.answer(status, &[]);
        let (_, replayed, problem) = outcome(post(&host, &message)).await;
        assert!(!replayed && problem["type"].is_string(), "{problem}");
    }
    receiver.answer(200, &[]);
    // The first may have arrived.
    let other = json!({ "provider": "hook", "id": "a1", "text": "b" });
    assert_eq!(outcome(post(&host, &other)).await.0, 409);
    assert_eq!(outcome(post(&host, &message)).await.0, 200);
    assert!(outcome(post(&host, &message)).await.1);
    assert_eq!(receiver.requests().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn memory_has_its_limit() {
    let dir = dir();
    let path = dir.path().join("messages");
    let lines = || std::fs::read_to_string(&path).expect("the file").lines().count();
    let file = format!("[providers.file]\npath = {path:?}\n");
    let message = |id: &str| json!({ "provider": "file", "id": id, "text": "a" });
    let host = Host::start(&format!("idempotency_limit = 0\n{file}"));
    for _ in 0..2 {
        assert_eq!(outcome(post(&host, &message("a1"))).await.0, 200);
    }
    assert_eq!(lines(), 2);
    drop(host);
    let host = Host::start(&format!("idempotency_limit = 1\n{file}"));
    for (id, replayed) in [("a1", false), ("a1", true), ("a2", false), ("a1", false)] {
        assert_eq!(outcome(post(&host, &message(id))).await.1, replayed, "{id}");
    }
    assert_eq!(lines(), 5);
}

/// Who chooses the key or the `id` that another client has chosen is in nobody's way, and is told nothing of the other's message.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn each_client_has_keys_of_its_own() {
    let receiver = Receiver::start().await;
    let clients = ["one", "two"].map(|name| format!("[clients.{name}]\ntokens = [\"{}\"]\n", digest(name))).concat();
    let host = Host::start(&(clients + &receiver.provider("hook")));
    let delivered = |id: &Value| json!({ "id": id, "provider": "hook", "receipt": { "reference": "204 No Content" } });
    for (key, id) in [(Some("k1"), None), (None, Some("a1")), (Some("k2"), Some("a2"))] {
        let request = |client: &str, text: &str| {
            let mut message = json!({ "provider": "hook", "text": text });
            if let Some(id) = id {
                message["id"] = id.into();
            }
            let request = post(&host, &message).bearer_auth(client);
            key.into_iter().fold(request, |request, key| request.header("idempotency-key", key))
        };
        let mut answers = Vec::new();
        for client in ["one", "two"] {
            let (status, replayed, answer) = outcome(request(client, client)).await;
            assert_eq!((status, replayed, &answer), (200, false, &delivered(&answer["id"])), "{client} {key:?} {id:?}");
            answers.push((client, answer));
        }
        for (client, answer) in answers {
            assert_eq!(outcome(request(client, client)).await, (200, true, answer), "{client} {key:?} {id:?}");
        }
        assert_eq!(outcome(request("one", "two")).await.0, 409, "{key:?} {id:?}");
    }
    let bodies = receiver.requests().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body));
    let texts: Vec<Value> = bodies.map(|body| body.expect("JSON")["data"]["text"].clone()).collect();
    assert_eq!(texts, ["one", "two", "one", "two", "one", "two"]);
}
