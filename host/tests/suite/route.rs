//! Messages along a route: which provider is tried after which, and what a caller is told.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::{Receiver, SECRET};
use crate::support::unruly::provider;
use crate::support::{Host, client, dir};
use reqwest::Response;
use serde_json::{Value, json};
use std::path::Path;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// A provider that fails for now.
const FULL: &str = "[providers.full]\nplugin = \"file\"\npath = \"/dev/full\"\n";

fn file(dir: &Path) -> String {
    format!("[providers.file]\npath = {:?}\n", dir.join("messages"))
}

fn lines(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("messages")).map_or(0, |text| text.lines().count())
}

async fn send(host: &Host, message: &Value) -> Response {
    client().post(host.url("/v1/messages")).json(message).send().await.expect("the host answers")
}

/// Each provider that was tried, with the kind of its problem.
fn attempts(problem: &Value) -> Vec<(&str, &str)> {
    let all = problem["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let attempt = |attempt: &'_ Value| assert!(attempt["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
    all.iter().for_each(attempt);
    let text = |value| Value::as_str(value).unwrap_or_default();
    all.iter()
        .map(|attempt| (text(&attempt["provider"]), text(&attempt["type"]).trim_start_matches("urn:provost:problem:")))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_next_is_tried_where_the_message_was_not_delivered() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let host = Host::start(&(receiver.provider("hook") + "concurrency = 1\nqueue = 0\n" + FULL + &file(dir.path())));
    let message = json!({ "route": ["full", "hook", "file"], "id": "a1", "text": "a" });
    for status in [503, 401, 429] {
        receiver.answer(status, &[]);
        let message = json!({ "route": ["full", "hook", "file"], "text": "a" });
        let answer: Value = send(&host, &message).await.json().await.expect("JSON");
        assert_eq!(answer["provider"], "file", "{status}: {answer}");
    }
    assert_eq!((lines(dir.path()), receiver.requests().len()), (3, 3));
    // Busy.
    receiver.answer(200, &[]);
    let held = receiver.hold().await;
    let busy = json!({ "provider": "hook", "text": "a" });
    let rest = async {
        while receiver.requests().len() < 4 {
            tokio::task::yield_now().await;
        }
        let answer: Value = send(&host, &message).await.json().await.expect("JSON");
        assert_eq!(answer["provider"], "file", "{answer}");
        drop(held);
    };
    let (first, ()) = tokio::join!(send(&host, &busy), rest);
    assert_eq!(first.status(), 200);
    // A repetition is known by its id, for this route.
    let again = send(&host, &message).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    let other: Value =
        send(&host, &json!({ "provider": "hook", "id": "a1", "text": "a" })).await.json().await.expect("JSON");
    assert_eq!(other["provider"], "hook", "{other}");
    assert_eq!((lines(dir.path()), receiver.requests().len()), (4, 5));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_next_is_tried_while_the_circuit_of_one_is_open() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let circuit = "circuit = { failures = 1, open_for = \"1h\" }\n";
    let host = Host::start(&(receiver.provider("hook") + circuit + FULL + &file(dir.path())));
    receiver.answer(500, &[]);
    assert_eq!(send(&host, &json!({ "provider": "hook", "text": "a" })).await.status(), 503);
    receiver.answer(204, &[]);
    let answer: Value =
        send(&host, &json!({ "route": ["hook", "file"], "text": "b" })).await.json().await.expect("JSON");
    assert_eq!(answer["provider"], "file", "{answer}");
    let response = send(&host, &json!({ "route": ["hook", "full"], "text": "c" })).await;
    assert_eq!(response.status(), 503);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(attempts(&problem), [("hook", "circuit-open"), ("full", "temporary-failure")]);
    assert_eq!((lines(dir.path()), receiver.requests().len()), (1, 1), "the first was not asked again");
    let metrics = host.metrics().await;
    assert!(metrics.contains("provost_deliveries_total{provider=\"hook\",outcome=\"circuit-open\"} 2\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn none_is_tried_after_a_refusal_or_without_an_answer() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let host = Host::start(&(receiver.provider("hook") + "timeout = \"300ms\"\n" + FULL + &file(dir.path())));
    let message = json!({ "route": ["full", "hook", "file"], "text": "a" });
    receiver.answer(400, &[]);
    let response = send(&host, &message).await;
    assert_eq!(response.status(), 422);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!((&problem["type"], &problem["provider"]), (&json!("urn:provost:problem:refused"), &json!("hook")));
    assert_eq!(attempts(&problem), [("full", "temporary-failure"), ("hook", "refused")]);
    let held = receiver.hold().await;
    let response = send(&host, &message).await;
    assert_eq!(response.status(), 504);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(attempts(&problem), [("full", "temporary-failure"), ("hook", "timeout")]);
    drop(held);
    assert_eq!(lines(dir.path()), 0);
}

/// Where no connection opens, nothing was sent.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_next_is_tried_where_no_connection_opens() {
    let (dir, silent) = (dir(), TcpListener::bind("127.0.0.1:0").await.expect("a free port"));
    // So many wait there that the system answers no more.
    let full = TcpSocket::new_v4().expect("a socket");
    full.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let full = full.listen(1).expect("a port that is free");
    let address = full.local_addr().expect("it is bound");
    let waiting: JoinSet<_> = (0..10).map(|_| TcpStream::connect(address)).collect();
    let mail = |name: &str, port: u16| {
        format!(
            "[providers.{name}]\nplugin = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"a@example.org\"\n\
             timeout = \"2s\"\n"
        )
    };
    let hook = format!(
        "[providers.hook]\nplugin = \"webhook\"\nurl = \"http://{address}/\"\nwhitelist_subnets = [\"127.0.0.0/8\"]\nsecret = \"{SECRET}\"\n\
         timeout = \"2s\"\n"
    );
    let silent = silent.local_addr().expect("it is bound").port();
    let mails = mail("full-mail", address.port()) + &mail("silent-mail", silent);
    let host = Host::start(&(hook + &mails + &file(dir.path())));
    let message = json!({ "route": ["hook", "full-mail", "silent-mail"], "to": ["bob@example.org"], "text": "a" });
    let problem: Value = send(&host, &message).await.json().await.expect("JSON");
    let found: Vec<_> = problem["attempts"].as_array().expect("a list").iter().map(|one| &one["detail"]).collect();
    let silence = |port: u16| format!("connecting to 127.0.0.1, port {port}: no answer within 1.5s");
    let expected = [&json!(silence(address.port())), &json!(silence(silent))];
    assert_eq!((found.len(), &found[1..]), (3, &expected[..]), "{problem}");
    assert_eq!(attempts(&problem), ["hook", "full-mail", "silent-mail"].map(|name| (name, "temporary-failure")));
    let message = json!({ "route": ["hook", "file"], "text": "a" });
    assert_eq!((send(&host, &message).await.status().as_u16(), lines(dir.path())), (200, 1));
    drop(waiting);
}

/// The message may have been delivered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn none_is_tried_after_a_panic() {
    let (dir, panics) = (dir(), "panic-after-await");
    let host = Host::start_with(&(provider(panics) + FULL + &file(dir.path())), |command| {
        command.args(["--prov", "unruly.prov"]);
    });
    let response = send(&host, &json!({ "route": ["full", panics, "file"], "id": "a1", "text": "a" })).await;
    assert_eq!(response.status(), 500);
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(attempts(&problem), [("full", "temporary-failure"), (panics, "panic")]);
    let expected = json!({
        "type": "urn:provost:problem:panic",
        "title": "the plugin failed",
        "status": 500,
        "detail": "the provider's plugin panicked: the message may or may not arrive; see the log",
        "provider": panics,
        "id": "a1",
        "attempts": problem["attempts"],
    });
    assert_eq!((problem, lines(dir.path())), (expected, 0));
}

/// Neither for a message that was under way, nor for one that waited.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn none_is_tried_when_the_host_shuts_down() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let providers = receiver.provider("hook") + "timeout = \"1h\"\nconcurrency = 1\n" + &file(dir.path());
    let host = Host::start(&format!("shutdown_deadline = \"4s\"\n{providers}"));
    let _held = receiver.hold().await;
    let told = async |id: &str| {
        let response = send(&host, &json!({ "route": ["hook", "file"], "id": id, "text": "a" })).await;
        response.json::<Value>().await.expect("JSON")
    };
    let rest = async {
        receiver.arrived().await;
        let end = async {
            while !host.metrics().await.contains("provost_deliveries_waiting{provider=\"hook\"} 1\n") {}
            host.terminate();
        };
        tokio::join!(told("waits"), end).0
    };
    let (stuck, waits) = tokio::join!(told("stuck"), rest);
    for (problem, id, detail) in [
        (waits, "waits", "the host shuts down: the message was not sent"),
        (stuck, "stuck", "the host shut down before the delivery ended: the message may or may not arrive"),
    ] {
        let kind = "urn:provost:problem:ending";
        let expected = json!({
            "type": kind,
            "title": "shutting down",
            "status": 503,
            "detail": detail,
            "provider": "hook",
            "id": id,
            "attempts": [{ "provider": "hook", "type": kind, "detail": detail }],
        });
        assert_eq!(problem, expected);
    }
    let (status, log) = host.wait();
    assert_eq!((status.code(), lines(dir.path())), (Some(1), 0), "{log}");
    assert!(log.ends_with("error: 1 delivery was given up at the end; the log names it\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn it_goes_on_without_its_caller() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let host = Host::start(&format!("{ONE_EACH}{}{}", receiver.provider("hook"), file(dir.path())));
    receiver.answer(503, &[]);
    let held = receiver.hold().await;
    let mut caller = Caller::connect(&host, "127.0.0.2").await;
    caller.begin("/v1/messages", &json!({ "route": ["hook", "file"], "text": "a" })).await;
    receiver.arrived().await;
    let mut next = caller.leave(&host).await;
    assert_eq!(lines(dir.path()), 0);
    drop(held);
    next.counts("provost_deliveries_total{provider=\"file\",outcome=\"delivered\"} 1\n").await;
    assert_eq!(lines(dir.path()), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn where_all_fail_the_caller_is_told_of_each() {
    let receiver = Receiver::start().await;
    let host = Host::start(&(receiver.provider("one") + &receiver.provider("two") + FULL));
    receiver.answer(503, &[("retry-after", "7")]);
    let response = send(&host, &json!({ "route": ["full", "two", "one"], "id": "a1", "text": "a" })).await;
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (503, &"7".parse().expect("a header"))
    );
    let problem: Value = response.json().await.expect("JSON");
    let failed = "temporary-failure";
    assert_eq!(attempts(&problem), [("full", failed), ("two", failed), ("one", failed)]);
    let expected = json!({
        "type": "urn:provost:problem:route-failed",
        "title": "not delivered yet",
        "status": 503,
        "detail": "no provider of the route could take the message: `attempts` has the reason of each",
        "id": "a1",
        "attempts": problem["attempts"],
    });
    assert_eq!(problem, expected);
    // Deliveries are counted, and so it is no request that was refused before.
    let metrics = host.metrics().await;
    assert!(
        metrics.contains("provost_deliveries_total{provider=\"two\",outcome=\"temporary-failure\"} 1\n"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn where_none_has_room_the_caller_is_to_send_less() {
    let receiver = Receiver::start().await;
    let host = Host::start(&(receiver.provider("one") + "concurrency = 1\nqueue = 0\n"));
    let held = receiver.hold().await;
    let mut caller = Caller::connect(&host, "127.0.0.2").await;
    caller.begin("/v1/messages", &json!({ "provider": "one", "text": "a" })).await;
    receiver.arrived().await;
    let response = send(&host, &json!({ "route": ["one"], "text": "a" })).await;
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (429, true));
    let problem: Value = response.json().await.expect("JSON");
    assert_eq!(problem["type"], "urn:provost:problem:route-failed");
    assert_eq!(attempts(&problem), [("one", "busy")]);
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_route_must_be_one_and_allowed() {
    let dir = dir();
    // The digest of `123`.
    let client_of_file = "[clients.one]\ntokens = [\"sha256:a665a45920422f9d417e4867efdc4fb8a04a1f3fff1fa07e998e86f7f7a27ae3\"]\n\
                          providers = [\"file\"]\n";
    let host = Host::start(&(client_of_file.to_owned() + FULL + &file(dir.path())));
    for (way, status, detail) in [
        (json!({ "route": ["file", "full"] }), 403, "the client `one` may not use the provider `full`"),
        (json!({ "route": ["file", "file"] }), 400, "`route` has the provider `file` twice"),
        (json!({ "route": [] }), 400, "`route` must have 1 to 16 providers"),
        (json!({ "route": ["file"], "provider": "file" }), 400, "name either a `provider` or a `route` of several"),
        (json!({}), 400, "name either a `provider` or a `route` of several"),
    ] {
        let mut message = way;
        message["text"] = "a".into();
        let request = client().post(host.url("/v1/messages")).bearer_auth("123").json(&message);
        let response = request.send().await.expect("the host answers");
        assert_eq!(response.status(), status, "{message}");
        let problem: Value = response.json().await.expect("JSON");
        assert_eq!(problem["detail"], detail, "{message}");
    }
    assert_eq!(lines(dir.path()), 0);
}
