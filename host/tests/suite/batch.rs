//! Several messages in one request to the built host.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::Receiver;
use crate::support::{Host, client, dir};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

fn post(host: &Host, messages: &Value) -> RequestBuilder {
    client().post(host.url("/v1/messages:batch")).json(&json!({ "messages": messages }))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the host answers");
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn each_message_has_its_result() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let path = dir.path().join("messages");
    let host = Host::start(&format!("{}[providers.file]\npath = {path:?}\n", receiver.provider("hook")));
    receiver.answer(503, &[("retry-after", "7")]);
    let messages = json!([
        { "provider": "file", "id": "a1", "text": "a" },
        { "provider": "fle", "id": "a2", "text": "b" },
        { "provider": "hook", "id": "a3", "text": "c" },
        { "route": ["hook", "file"], "id": "a4", "text": "d" },
    ]);
    let (status, first) = answer(post(&host, &messages)).await;
    assert_eq!(status, 200, "{first}");
    let receipt = |at: usize| first["results"][at]["message"]["receipt"].clone();
    let expected = json!({ "results": [
        { "status": 200, "message": { "id": "a1", "provider": "file", "receipt": receipt(0) } },
        { "status": 404, "problem": {
            "type": "urn:provost:problem:unknown-provider", "title": "no such provider", "status": 404,
            "detail": "there is no provider `fle`: did you mean `file`?",
        } },
        { "status": 503, "retry_after": 7, "problem": {
            "type": "urn:provost:problem:temporary-failure", "title": "not delivered yet", "status": 503,
            "detail": first["results"][2]["problem"]["detail"], "provider": "hook", "id": "a3",
        } },
        { "status": 200, "message": { "id": "a4", "provider": "file", "receipt": receipt(3) } },
    ] });
    assert_eq!(first, expected);
    // What was delivered is not delivered again, also not alone.
    receiver.answer(200, &[]);
    let (_, again) = answer(post(&host, &messages)).await;
    let outcomes: Vec<_> = again["results"].as_array().expect("a list").iter().collect();
    assert_eq!(
        outcomes.iter().map(|result| &result["replayed"]).collect::<Vec<_>>(),
        [&json!(true), &json!(null), &json!(null), &json!(true)]
    );
    assert_eq!(outcomes.iter().map(|result| &result["status"]).collect::<Vec<_>>(), [200, 404, 200, 200]);
    let alone = client().post(host.url("/v1/messages")).json(&messages[0]).send().await.expect("the host answers");
    assert_eq!(alone.headers()["idempotent-replayed"], "true");
    assert_eq!(std::fs::read_to_string(&path).expect("the file").lines().count(), 2);
    let metrics = host.metrics().await;
    assert!(metrics.contains("provost_requests_refused_total{problem=\"unknown-provider\"} 2\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_is_not_valid_is_refused_whole() {
    let dir = dir();
    let path = dir.path().join("messages");
    let host = Host::start(&format!("batch_limit = 2\n[providers.file]\npath = {path:?}\n"));
    let good = json!({ "provider": "file", "text": "a" });
    for (messages, detail) in [
        (json!([]), "messages in `messages`: 0, and `server.batch_limit` allows 1 to 2"),
        (json!([good, good, good]), "messages in `messages`: 3, and `server.batch_limit` allows 1 to 2"),
        (
            json!([good, { "provider": "file", "text": "a", "id": "a b" }]),
            "messages[1]: `id` must have 1 to 64 letters, digits, `-` or `_`",
        ),
        (json!([good, { "text": "a" }]), "messages[1]: name either a `provider` or a `route` of several"),
        (
            json!([good, ["file"]]),
            "Failed to deserialize the JSON body into the target type: messages[1]: invalid type: sequence, expected an \
             object at line 1 column ",
        ),
    ] {
        let (status, problem) = answer(post(&host, &messages)).await;
        assert_eq!((status, &problem["type"]), (400, &json!("urn:provost:problem:invalid-message")), "{messages}");
        assert!(problem["detail"].as_str().is_some_and(|found| found.starts_with(detail)), "{problem}");
    }
    let (status, problem) = answer(post(&host, &json!([good])).header("idempotency-key", "k1")).await;
    let detail = "the header `idempotency-key` is for one message: give each of these an `id` instead";
    assert_eq!((status, &problem["detail"]), (400, &json!(detail)));
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), "");
}

/// The provider takes eight at a time: were there more, some would find it busy.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn some_are_delivered_at_a_time() {
    let receiver = Receiver::start().await;
    let host = Host::start(&(receiver.provider("hook") + "concurrency = 8\n"));
    let messages: Vec<Value> =
        (0..40).map(|number| json!({ "provider": "hook", "text": number.to_string() })).collect();
    let held = receiver.hold().await;
    let release = async {
        while receiver.requests().len() < 8 {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(answer(post(&host, &json!(messages))), release);
    let failed: Vec<_> =
        answer["results"].as_array().expect("a list").iter().filter(|one| one["status"] != 200).collect();
    assert_eq!((status, failed.len(), receiver.requests().len()), (200, 0, 40), "{failed:?}");
}

/// Each is told apart: those that have begun go on, and the others do not begin.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn when_the_host_ends_no_more_begin() {
    let receiver = Receiver::start().await;
    let host = Host::start(&(receiver.provider("hook") + "concurrency = 8\n"));
    let messages: Vec<Value> =
        (0..20).map(|number| json!({ "provider": "hook", "text": number.to_string() })).collect();
    let held = receiver.hold().await;
    let end = async {
        while receiver.requests().len() < 8 {
            tokio::task::yield_now().await;
        }
        host.terminate();
        // It takes no more connections from then on.
        while tokio::net::TcpStream::connect(host.address).await.is_ok() {}
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(answer(post(&host, &json!(messages))), end);
    let statuses: Vec<_> = answer["results"].as_array().expect("a list").iter().map(|one| &one["status"]).collect();
    assert_eq!((status, statuses), (200, [vec![&json!(200); 8], vec![&json!(503); 12]].concat()));
    let expected = json!({
        "type": "urn:provost:problem:ending", "title": "shutting down", "status": 503,
        "detail": "the host shuts down: the message was not sent",
    });
    assert_eq!(answer["results"][19]["problem"], expected);
    let (status, log) = host.wait();
    assert_eq!((status.code(), receiver.requests().len()), (Some(0), 8), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn without_their_caller_no_more_begin() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{ONE_EACH}{}timeout = \"1m\"\n", receiver.provider("hook")));
    let messages: Vec<Value> =
        (0..20).map(|number| json!({ "provider": "hook", "id": number.to_string(), "text": "a" })).collect();
    let held = receiver.hold().await;
    let mut caller = Caller::connect(&host, "127.0.0.2").await;
    caller.begin("/v1/messages:batch", &json!({ "messages": messages })).await;
    while receiver.requests().len() < 8 {
        tokio::task::yield_now().await;
    }
    let mut next = caller.leave(&host).await;
    drop(held);
    next.counts("provost_deliveries_total{provider=\"hook\",outcome=\"delivered\"} 8\n").await;
    // The host ends when no delivery is under way: none comes later.
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!((status.code(), receiver.requests().len()), (Some(0), 8), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn each_message_counts_for_its_client() {
    // The digest of `123`.
    let client = "[clients.one]\ntokens = [\"sha256:a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3\"]\n\
                  providers = [\"file\"]\nrate_limit = 1\n";
    let dir = dir();
    let provider = |name: &str| format!("[providers.{name}]\nplugin = \"file\"\npath = {:?}\n", dir.path().join(name));
    let host = Host::start(&(client.to_owned() + &provider("file") + &provider("other")));
    let message = |provider: &str| json!({ "provider": provider, "text": "a" });
    let mut messages = vec![message("other"), message("file")];
    messages.extend((0..20).map(|_| message("file")));
    let (status, answer) = answer(post(&host, &json!(messages)).bearer_auth("123")).await;
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().expect("a list");
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!(403), &json!(200)));
    let limited: Vec<_> = results.iter().filter(|one| one["status"] == 429).collect();
    assert!(limited.iter().all(|one| one["retry_after"] == 1) && !limited.is_empty(), "{answer}");
}
