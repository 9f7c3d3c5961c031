//! The HTTP API of the built host: what it refuses, how, and how it ends.

use crate::support::receiver::Receiver;
use crate::support::{Host, client, dir, dist};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const FILE: &str = "[providers.file]\npath = \"/dev/null\"\n";

/// Sends a body as it is, and compares status, kind of problem and detail.
async fn check(host: &Host, body: &str, status: u16, kind: &str, detail: &str) {
    let request = client().post(host.url("/v1/messages")).header("content-type", "application/json");
    let response = request.body(body.to_owned()).send().await.expect("the host answers");
    assert_eq!(response.status(), status, "for {body}");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.expect("a problem is JSON");
    assert_eq!(problem["type"], format!("urn:provost:problem:{kind}"), "for {body}");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string());
    assert_eq!(problem["detail"], detail, "for {body}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn bad_messages_are_problems() {
    let host = Host::start(&format!("body_limit = 200\n{FILE}"));
    for (body, detail) in [
        ("{", "Failed to parse the request body as JSON: EOF while parsing an object at line 1 column 1"),
        (
            r#"{"provider":"file"}"#,
            "Failed to deserialize the JSON body into the target type: missing field `text` at line 1 column 19",
        ),
        (
            r#"{"provider":"file","text":"a","txt":"b"}"#,
            "Failed to deserialize the JSON body into the target type: txt: unknown field `txt`, expected one of \
            `provider`, `route`, `id`, `to`, `subject`, `text`, `html`, `attachments`, `metadata` at line 1 column 35",
        ),
        (r#"{"provider":"file","text":"a","id":"a b"}"#, "`id` must have 1 to 64 letters, digits, `-` or `_`"),
        (
            r#"{"provider":"file","text":"a","subject":"a\nBcc: b@c"}"#,
            "`subject` must be one line, without control characters",
        ),
    ] {
        check(&host, body, 400, "invalid-message", detail).await;
    }
    let attachments = [r#"["a","a/b","AP8="]"#, "7"]
        .map(|attachment| format!(r#"{{"provider":"file","text":"a","attachments":[{attachment}]}}"#));
    for (body, place, what) in [
        (r#"["file","a",[],"","b",{}]"#, "", "sequence"),
        ("[]", "", "sequence"),
        ("null", "", "null"),
        ("7", "", "integer `7`"),
        (&attachments[0], "attachments[0]: ", "sequence"),
        (&attachments[1], "attachments[0]: ", "integer `7`"),
    ] {
        let expected = format!(
            "Failed to deserialize the JSON body into the target type: {place}invalid type: {what}, expected an object at line 1 column "
        );
        let request =
            client().post(host.url("/v1/messages")).header("content-type", "application/json").body(body.to_owned());
        let problem: Value = request.send().await.expect("the host answers").json().await.expect("a problem is JSON");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.starts_with(&expected)), "{problem}");
    }
    check(
        &host,
        r#"{"provider":"fle","text":"a"}"#,
        404,
        "unknown-provider",
        "there is no provider `fle`: did you mean `file`?",
    )
    .await;
    let large = json!({ "provider": "file", "text": "a".repeat(200) }).to_string();
    check(&host, &large, 413, "too-large", "the body has more bytes than `server.body_limit` allows").await;
}

/// What the HTTP library refuses by itself, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_is_no_request_is_a_problem_too() {
    let config = format!("hosts = [\"a.example\", \"127.0.0.1\"]\nmetrics_listen = \"127.0.0.1:0\"\n{FILE}");
    let host = Host::start(&config);
    let (long, many) = ("x".repeat(70_000), "a: b\r\n".repeat(200));
    for (request, status, kind) in [
        ("\u{1}\r\n\r\n".to_owned(), 400, "not-http"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400, "not-http"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400, "not-http"),
        ("GET / HTTP/1.1\r\na b: c\r\n\r\n".to_owned(), 400, "not-http"),
        (format!("GET /{long} HTTP/1.1\r\nhost: a.example\r\n\r\n"), 414, "uri-too-long"),
        (format!("GET / HTTP/1.1\r\nhost: a.example\r\n{many}\r\n"), 431, "headers-too-large"),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), 400, "bad-host"),
        (
            "GET / HTTP/1.1\r\nhost: a.example\r\nhost: a.example\r\nconnection: close\r\n\r\n".to_owned(),
            400,
            "bad-host",
        ),
        ("GET /healthz HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n".to_owned(), 400, "bad-host"),
        ("GET / HTTP/1.1\r\nhost: b.example\r\nconnection: close\r\n\r\n".to_owned(), 421, "bad-host"),
        ("GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n".to_owned(), 404, "not-found"),
    ] {
        is_refused(&host.address.to_string(), &request, status, kind).await;
    }
    // Each of them, however it came, at the address of metrics too.
    for hosts in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n"] {
        let request = format!("GET /metrics HTTP/1.1\r\n{hosts}connection: close\r\n\r\n");
        is_refused(host.metrics_address(), &request, 400, "bad-host").await;
    }
    let metrics = host.metrics().await;
    assert!(metrics.contains("provost_requests_refused_total{problem=\"not-http\"} 4\n"), "{metrics}");
}

/// The answer to `request` is a problem of this kind.
async fn is_refused(address: &str, request: &str, status: u64, kind: &str) {
    let mut connection = tokio::net::TcpStream::connect(address).await.expect("the host listens");
    connection.write_all(request.as_bytes()).await.expect("the host reads");
    let mut answer = Vec::new();
    // A host that has not read all may reset the connection after its answer.
    let _ = connection.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{request}: {answer}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    assert!(head.contains("\r\ncontent-type: application/problem+json"), "{head}");
    assert!(head.contains("\r\ndate: "), "{head}");
    let problem: Value = serde_json::from_str(body).expect("a problem is JSON");
    let expected = format!("urn:provost:problem:{kind}");
    assert_eq!((problem["type"].as_str(), problem["status"].as_u64()), (Some(expected.as_str()), Some(status)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn other_errors_are_problems_too() {
    let host = Host::start(FILE);
    let client = client();
    for (request, status, kind) in [
        (client.get(host.url("/nothing")), 404, "not-found"),
        (client.get(host.url("/v1/messages")), 405, "method-not-allowed"),
        (client.delete(host.url("/healthz")), 405, "method-not-allowed"),
        (client.post(host.url("/v1/messages")).body("{}"), 415, "not-json"),
    ] {
        let response = request.send().await.expect("the host answers");
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers().contains_key("allow"), status == 405);
        let problem: Value = response.json().await.expect("a problem is JSON");
        assert_eq!(problem["type"], format!("urn:provost:problem:{kind}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn health_and_providers() {
    let dir = dir();
    let path = dir.path().join("messages");
    let host = Host::start(&format!("[providers.file]\npath = {path:?}\ntimeout = \"1m 30s\"\nconcurrency = 2\n"));
    let get = async |path: &str| -> Value {
        client().get(host.url(path)).send().await.expect("the host answers").json().await.expect("the answer is JSON")
    };
    assert_eq!(get("/healthz").await, json!({ "status": "ok" }));
    let version = env!("CARGO_PKG_VERSION");
    let file = json!({
        "name": "file", "plugin": "file", "version": version, "concurrency": 2, "timeout_seconds": 90.0,
    });
    assert_eq!(get("/v1/providers").await, json!({ "providers": [file] }));
    assert_eq!(get("/readyz").await, json!({ "status": "ready" }));
    assert_eq!(host.send(json!({ "provider": "file", "text": "a" })).await.0, 200);
    let deliveries = json!({
        "busy": 0, "circuit-open": 0, "delivered": 1, "ending": 0, "panic": 0, "refused": 0, "temporary-failure": 0, "timeout": 0, "unauthorized": 0,
    });
    let expected = json!({
        "name": "file", "plugin": "file", "version": version, "concurrency": 2, "timeout_seconds": 90.0,
        "in_flight": 0, "deliveries": deliveries, "waiting": 0, "queue": 100, "rate": null,
        "retry": { "attempts": 1, "first_delay_seconds": 0.1, "longest_delay_seconds": 5.0 },
        "circuit": { "state": "closed", "failures": 20, "open_for_seconds": 10.0 },
    });
    let mut found = get("/v1/providers/file").await;
    let record = found.as_object_mut().and_then(|found| found.remove("record")).expect("a record");
    assert_eq!(found, expected);
    assert_eq!((&record["plugin"], &record["version"]), (&json!("file"), &json!(version)));
    let own = provost_record::read(&std::fs::read(dist().join("file.prov")).expect("it is built")).expect("a record");
    assert_eq!(record, serde_json::to_value(own).expect("JSON"));
    let problem = get("/v1/providers/fle").await;
    assert_eq!(problem["detail"], "there is no provider `fle`: did you mean `file`?");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn metrics_count_what_happened() {
    let dir = dir();
    let file = format!("[providers.file]\npath = {:?}\nconcurrency = 2\n", dir.path().join("messages.jsonl"));
    let host = Host::start(&(file + "[providers.full]\nplugin = \"file\"\npath = \"/dev/full\"\n"));
    for (provider, status) in [("file", 200), ("full", 503), ("full", 503), ("none", 404)] {
        assert_eq!(host.send(json!({ "provider": provider, "text": "a" })).await.0, status);
    }
    // Whatever callers ask, their labels are few.
    for path in ["a", "b"] {
        let request = client().get(host.url(&format!("/v1/providers/{path}")));
        assert_eq!(request.send().await.expect("the host answers").status(), 404);
    }
    let method = reqwest::Method::from_bytes(b"BREW").expect("a method");
    let request = client().request(method, host.url("/pot?a=b"));
    assert_eq!(request.send().await.expect("the host answers").status(), 404);
    let expected = r#"# HELP provost_deliveries_total Messages by how their delivery ended.
# TYPE provost_deliveries_total counter
provost_deliveries_total{provider="file",outcome="delivered"} 1
provost_deliveries_total{provider="file",outcome="temporary-failure"} 0
provost_deliveries_total{provider="file",outcome="unauthorized"} 0
provost_deliveries_total{provider="file",outcome="refused"} 0
provost_deliveries_total{provider="file",outcome="timeout"} 0
provost_deliveries_total{provider="file",outcome="panic"} 0
provost_deliveries_total{provider="file",outcome="busy"} 0
provost_deliveries_total{provider="file",outcome="circuit-open"} 0
provost_deliveries_total{provider="file",outcome="ending"} 0
provost_deliveries_total{provider="full",outcome="delivered"} 0
provost_deliveries_total{provider="full",outcome="temporary-failure"} 2
provost_deliveries_total{provider="full",outcome="unauthorized"} 0
provost_deliveries_total{provider="full",outcome="refused"} 0
provost_deliveries_total{provider="full",outcome="timeout"} 0
provost_deliveries_total{provider="full",outcome="panic"} 0
provost_deliveries_total{provider="full",outcome="busy"} 0
provost_deliveries_total{provider="full",outcome="circuit-open"} 0
provost_deliveries_total{provider="full",outcome="ending"} 0
# HELP provost_delivery_seconds How long deliveries took, however they ended.
# TYPE provost_delivery_seconds histogram
# HELP provost_deliveries_in_flight Deliveries in progress, including stuck ones.
# TYPE provost_deliveries_in_flight gauge
provost_deliveries_in_flight{provider="file"} 0
provost_deliveries_in_flight{provider="full"} 0
# HELP provost_deliveries_limit Maximum number of deliveries in progress.
# TYPE provost_deliveries_limit gauge
provost_deliveries_limit{provider="file"} 2
provost_deliveries_limit{provider="full"} 16
# HELP provost_deliveries_waiting Messages that wait until a delivery can begin.
# TYPE provost_deliveries_waiting gauge
provost_deliveries_waiting{provider="file"} 0
provost_deliveries_waiting{provider="full"} 0
# HELP provost_delivery_attempts_total How often a plugin was given a message.
# TYPE provost_delivery_attempts_total counter
provost_delivery_attempts_total{provider="file"} 1
provost_delivery_attempts_total{provider="full"} 2
# HELP provost_circuit_state Whether a provider is spared after failures: 1 for its state.
# TYPE provost_circuit_state gauge
provost_circuit_state{provider="file",state="closed"} 1
provost_circuit_state{provider="file",state="half-open"} 0
provost_circuit_state{provider="file",state="open"} 0
provost_circuit_state{provider="full",state="closed"} 1
provost_circuit_state{provider="full",state="half-open"} 0
provost_circuit_state{provider="full",state="open"} 0
# HELP provost_http_requests_total Requests that were answered.
# TYPE provost_http_requests_total counter
provost_http_requests_total{method="POST",path="/v1/messages",status="200"} 1
provost_http_requests_total{method="POST",path="/v1/messages",status="404"} 1
provost_http_requests_total{method="POST",path="/v1/messages",status="503"} 2
provost_http_requests_total{method="GET",path="/v1/providers/{name}",status="404"} 2
provost_http_requests_total{method="other",path="other",status="404"} 1
# HELP provost_http_request_seconds How long requests took, from headers to answer.
# TYPE provost_http_request_seconds histogram
# HELP provost_requests_refused_total Requests refused before a delivery, by problem.
# TYPE provost_requests_refused_total counter
provost_requests_refused_total{problem="bad-host"} 0
provost_requests_refused_total{problem="conflict"} 0
provost_requests_refused_total{problem="ending"} 0
provost_requests_refused_total{problem="forbidden"} 0
provost_requests_refused_total{problem="half-sent"} 0
provost_requests_refused_total{problem="headers-too-large"} 0
provost_requests_refused_total{problem="invalid-message"} 0
provost_requests_refused_total{problem="method-not-allowed"} 0
provost_requests_refused_total{problem="no-connection"} 0
provost_requests_refused_total{problem="no-room"} 0
provost_requests_refused_total{problem="not-found"} 1
provost_requests_refused_total{problem="not-http"} 0
provost_requests_refused_total{problem="not-json"} 0
provost_requests_refused_total{problem="not-tls"} 0
provost_requests_refused_total{problem="rate-limited"} 0
provost_requests_refused_total{problem="too-large"} 0
provost_requests_refused_total{problem="unauthenticated"} 0
provost_requests_refused_total{problem="unknown-provider"} 3
provost_requests_refused_total{problem="uri-too-long"} 0
# HELP provost_connections_cut_total Connections closed because too many were open.
# TYPE provost_connections_cut_total counter
provost_connections_cut_total 0
# HELP provost_connections_unread_total Connections closed because answers were not read.
# TYPE provost_connections_unread_total counter
provost_connections_unread_total 0
# HELP provost_connections_not_taken_total Attempts to take a connection that failed.
# TYPE provost_connections_not_taken_total counter
provost_connections_not_taken_total 0
# HELP provost_tls_handshakes_failed_total Connections whose TLS handshake failed.
# TYPE provost_tls_handshakes_failed_total counter
provost_tls_handshakes_failed_total 0
# HELP provost_reloads_total Readings of the configuration at SIGHUP, by result.
# TYPE provost_reloads_total counter
provost_reloads_total{result="done"} 0
provost_reloads_total{result="refused"} 0
# HELP provost_panics_total Panics on a provider's threads, caught or not.
# TYPE provost_panics_total counter
provost_panics_total{provider="file",place="delivery"} 0
provost_panics_total{provider="file",place="background"} 0
provost_panics_total{provider="full",place="delivery"} 0
provost_panics_total{provider="full",place="background"} 0
# HELP provost_other_panics_total Panics on threads that are no provider's.
# TYPE provost_other_panics_total counter
provost_other_panics_total 0
# HELP provost_build_info The host's version, and the compiler of host and plugins.
# TYPE provost_build_info gauge
# HELP provost_log_lines_dropped_total Log lines that stderr did not take, or its reader was too slow for.
# TYPE provost_log_lines_dropped_total counter
provost_log_lines_dropped_total 0
"#;
    // What differs each time, or with the compiler, is looked at by itself.
    let (varying, rest): (Vec<_>, Vec<_>) = host.metrics().await.lines().map(str::to_owned).partition(|line| {
        ["provost_delivery_seconds_", "provost_http_request_seconds_", "provost_build_info{"]
            .iter()
            .any(|begin| line.starts_with(begin))
    });
    assert_eq!(rest.join("\n") + "\n", expected);
    let count = |line: &str| varying.iter().filter(|found| found.starts_with(line)).count();
    for provider in ["file", "full"] {
        assert_eq!(count(&format!("provost_delivery_seconds_bucket{{provider=\"{provider}\",le=")), 12, "{varying:?}");
        assert_eq!(count(&format!("provost_delivery_seconds_sum{{provider=\"{provider}\"}} ")), 1, "{varying:?}");
    }
    for (path, requests) in [("/v1/messages", 4), ("/v1/providers/{name}", 2), ("other", 1)] {
        assert_eq!(count(&format!("provost_http_request_seconds_bucket{{path=\"{path}\",le=")), 12, "{varying:?}");
        let all = format!("provost_http_request_seconds_count{{path=\"{path}\"}} {requests}");
        assert_eq!(count(&all), 1, "{varying:?}");
    }
    assert_eq!(count("provost_build_info{version=\"0.1.0\",rustc=\"rustc 1."), 1, "{varying:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_provider_that_does_not_answer_is_given_up_and_counted() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{}timeout = \"300ms\"\nconcurrency = 1\nqueue = 0\n", receiver.provider("hook")));
    let held = receiver.hold().await;
    let message = json!({ "provider": "hook", "text": "a" });
    let first = host.send(message.clone());
    let second = async {
        receiver.arrived().await;
        host.send(message.clone()).await
    };
    let ((first, _), (second, _)) = tokio::join!(first, second);
    assert_eq!((first, second), (504, 429));
    drop(held);
    assert_eq!(host.send(message).await.0, 200, "the place is free again");
    let metrics = host.metrics().await;
    for (outcome, count) in [("delivered", 1), ("timeout", 1), ("busy", 1)] {
        let line = format!("provost_deliveries_total{{provider=\"hook\",outcome=\"{outcome}\"}} {count}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
}
