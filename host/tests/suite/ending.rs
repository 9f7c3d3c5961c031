//! The end of the built host: who waits is told, what was lost is logged, and nothing half sent holds it up.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::receiver::Receiver;
use crate::support::unruly::provider;
use crate::support::{Host, PATIENCE, client, dir, ended, loading, provost, signal, terminate, write_config};
use serde_json::{Value, json};
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn it_ends_after_the_requests_in_flight() {
    for name in ["TERM", "INT"] {
        ends_at(name).await;
    }
}

async fn ends_at(name: &str) {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    let held = receiver.hold().await;
    let end = async {
        receiver.arrived().await;
        signal(host.process(), name);
        // The answer is held back until the port is closed, so the host was told before.
        while tokio::net::TcpStream::connect(host.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(host.send(json!({ "provider": "hook", "text": "a" })), end);
    assert_eq!(status, 200, "{answer}");
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains(&format!("shutting down after the requests in flight signal=\"SIG{name}\"")), "{log}");
}

/// Waits until nobody listens there any more: the host was told before.
async fn closed(address: SocketAddr) {
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_for_a_stuck_delivery_is_told() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("shutdown_deadline = \"4s\"\n{}concurrency = 2\n", receiver.provider("hook")));
    let _held = receiver.hold().await;
    let message = |id: &str| json!({ "provider": "hook", "id": id, "text": "a" });
    leave(&host, &receiver, message("gone")).await;
    let end = async {
        receiver.arrived().await;
        host.terminate();
    };
    let ((status, problem), ()) = tokio::join!(host.send(message("stuck")), end);
    let detail = "the host shut down before the delivery ended: the message may or may not arrive";
    let expected = json!({
        "type": "urn:provost:problem:ending", "title": "shutting down", "status": 503, "detail": detail,
        "provider": "hook", "id": "stuck"
    });
    assert_eq!((status, problem), (503, expected));
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    for id in ["gone", "stuck"] {
        let lost =
            format!(" WARN provost::providers::delivery: not delivered provider=\"hook\" id=\"{id}\" milliseconds=");
        let line = log.lines().find(|line| line.contains(&lost));
        assert!(line.is_some_and(|line| line.ends_with(&format!(" failure={detail}"))), "{log}");
    }
    assert!(log.ends_with("error: 2 deliveries were given up at the end; the log names them\n"), "{log}");
}

/// Sends a message, and goes away when the far side has it.
async fn leave(host: &Host, receiver: &Receiver, message: Value) {
    tokio::select! {
        answer = client().post(host.url("/v1/messages")).json(&message).send() => panic!("{answer:?}"),
        () = receiver.arrived() => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_message_that_nobody_waits_for_is_in_the_log_too() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("shutdown_deadline = \"4s\"\n{}", receiver.provider("hook")));
    let _held = receiver.hold().await;
    leave(&host, &receiver, json!({ "provider": "hook", "id": "gone", "text": "a" })).await;
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(": not delivered provider=\"hook\" id=\"gone\" "), "{log}");
    assert!(log.ends_with("error: 1 delivery was given up at the end; the log names it\n"), "{log}");
}

/// Nor is one forgotten that waits for its turn: who repeats it wants to know its end.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_message_that_nobody_waits_for_and_that_was_not_sent_is_in_the_log_too() {
    let receiver = Receiver::start().await;
    let hook = receiver.provider("hook");
    let host = Host::start(&format!("{ONE_EACH}{hook}timeout = \"1h\"\nconcurrency = 1\n"));
    let held = receiver.hold().await;
    let message = |id: &str| json!({ "provider": "hook", "id": id, "text": "a" });
    let rest = async {
        receiver.arrived().await;
        let mut caller = Caller::connect(&host, "127.0.0.2").await;
        caller.begin("/v1/messages", &message("gone")).await;
        while !host.metrics().await.contains("provost_deliveries_waiting{provider=\"hook\"} 1\n") {}
        caller.leave(&host).await;
        host.terminate();
        closed(host.address).await;
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(host.send(message("sent")), rest);
    assert_eq!(status, 200, "{answer}");
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let lost = " WARN provost::providers::delivery: not delivered provider=\"hook\" id=\"gone\" milliseconds=";
    let line = log.lines().find(|line| line.contains(lost)).unwrap_or_else(|| panic!("{log}"));
    assert!(line.ends_with(" failure=the host shuts down: the message was not sent"), "{line}");
    assert!(log.ends_with("error: 1 delivery was given up at the end; the log names it\n"), "{log}");
}

/// Who looks for the host's readiness sees that it takes no messages, until the last has ended.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn while_it_ends_it_is_not_ready() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("metrics_listen = \"127.0.0.1:0\"\n{}", receiver.provider("hook")));
    let metrics = host.metrics_address();
    let held = receiver.hold().await;
    let end = async {
        receiver.arrived().await;
        host.terminate();
        closed(host.address).await;
        let mut answers = Vec::new();
        for path in ["/healthz", "/readyz", "/metrics"] {
            let answer = client().get(format!("http://{metrics}{path}")).send().await.expect("the host answers");
            answers.push((answer.status().as_u16(), answer.text().await.expect("text")));
        }
        drop(held);
        assert_eq!(answers[0], (200, "{\"status\":\"ok\"}".to_owned()));
        let problem = "{\"type\":\"urn:provost:problem:ending\",\"title\":\"shutting down\",\"status\":503,\"detail\":\"the host shuts down\"}";
        assert_eq!(answers[1], (503, problem.to_owned()));
        assert_eq!(answers[2].0, 200);
        assert!(answers[2].1.contains("provost_deliveries_in_flight{provider=\"hook\"} 1\n"), "{}", answers[2].1);
    };
    let ((status, answer), ()) = tokio::join!(host.send(json!({ "provider": "hook", "text": "a" })), end);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(host.wait().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_is_half_sent_does_not_hold_the_end() {
    let host = Host::start("shutdown_deadline = \"16s\"\n");
    let headers = "POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let body = format!("{headers}content-length: 100\r\n\r\n{{\"provider\":");
    let mut connections = Vec::new();
    for half in ["", headers, &body] {
        let mut connection = TcpStream::connect(host.address).await.expect("the host listens");
        connection.write_all(half.as_bytes()).await.expect("the host reads");
        connections.push(connection);
    }
    // What was sent before has arrived when this is answered.
    assert_eq!(host.send(json!({ "provider": "none", "text": "a" })).await.0, 404);
    host.terminate();
    let mut answers = Vec::new();
    for mut connection in connections {
        let mut answer = String::new();
        // A connection that is cut may be reset.
        let _ = tokio::time::timeout(PATIENCE, connection.read_to_string(&mut answer)).await.expect("it is closed");
        answers.push(answer);
    }
    assert_eq!(answers[0], "");
    assert!(answers[1].starts_with("HTTP/1.1 408 "), "{}", answers[1]);
    let (head, body) = answers[2].split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let problem: Value = serde_json::from_str(body).expect("a problem is JSON");
    assert_eq!(problem["type"], "urn:provost:problem:ending");
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("gave up"), "{log}");
}

/// Sends on and on, some at a time, until the connection ends.
async fn sends_on(mut connection: OwnedWriteHalf) {
    while connection.write_all(&[b' '; 10]).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_still_sends_at_the_end_is_told() {
    let host = Host::start("shutdown_deadline = \"16s\"\n");
    let (mut reader, mut writer) = TcpStream::connect(host.address).await.expect("the host listens").into_split();
    let head =
        "POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n";
    writer.write_all(head.as_bytes()).await.expect("the host reads");
    let sending = tokio::spawn(sends_on(writer));
    // It has arrived when this is answered.
    assert_eq!(host.send(json!({ "provider": "none", "text": "a" })).await.0, 404);
    host.terminate();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, reader.read_to_string(&mut answer)).await.expect("it is told").expect("all of it");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("urn:provost:problem:ending"), "{answer}");
    sending.abort();
    assert_eq!(host.wait().0.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_second_signal_ends_it_at_once() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("shutdown_deadline = \"1h\"\n{}", receiver.provider("hook")));
    let _held = receiver.hold().await;
    let message = json!({ "provider": "hook", "text": "a" });
    let stuck = client().post(host.url("/v1/messages")).json(&message).send();
    let end = async {
        receiver.arrived().await;
        host.terminate();
        closed(host.address).await;
        host.terminate();
    };
    let (answer, ()) = tokio::join!(stuck, end);
    assert!(answer.is_err(), "the connection is closed without an answer");
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(128 + 15), "{log}");
}

/// Also as the first process of a container, whom the system ends at no signal by itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_signal_while_it_starts_ends_it_at_once() {
    let dir = dir();
    let config = format!("[server]\nstartup_deadline = \"1h\"\n{}", provider("block-in-constructor"));
    let config = write_config(dir.path(), &config);
    for first in [false, true] {
        let mut command = provost();
        if first {
            let host = command.get_program().to_owned();
            let at = command.get_current_dir().expect("it has one").to_owned();
            command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]).arg(host);
            command.current_dir(at).env_clear().stdin(Stdio::null());
        }
        command.arg("--config").arg(&config).args(["--prov", "unruly.prov", "--log", "debug"]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let mut log = BufReader::new(child.stderr.take().expect("it was asked for"));
        loading(&mut log);
        let id = child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).expect("it runs");
        terminate(children.trim().parse().unwrap_or(id));
        assert_eq!(ended(&mut child).await.code(), Some(128 + 15), "as the first process: {first}");
    }
}
