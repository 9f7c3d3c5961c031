//! Connections to the built host: how many there may be, which makes room for another, and how long one is waited for.

use crate::support::receiver::Receiver;
use crate::support::{Host, PATIENCE, address, client, dir, dist, ended, libc, provost, send, terminate, write_config};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const FILE: &str = "[providers.file]\npath = \"/dev/null\"\n";

/// Opens so many connections that wait, and asks for health: it is answered, and the first of them is closed.
async fn make_room_for_health(address: &str, count: usize) {
    let mut idle = Vec::new();
    for _ in 0..count {
        idle.push(TcpStream::connect(address).await.expect("the host listens"));
    }
    let health = client().get(format!("http://{address}/healthz")).send().await.expect("the host answers");
    assert_eq!(health.status(), 200);
    let end = tokio::time::timeout(Duration::from_secs(10), idle[0].read(&mut [0])).await.expect("it is closed");
    assert!(end.is_err() || end.is_ok_and(|count| count == 0));
}

/// A connection that waits makes room for one that asks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn idle_connections_do_not_silence_the_host() {
    let host = Host::start(&format!("connections_limit = 3\n{FILE}"));
    make_room_for_health(&host.address.to_string(), 20).await;
    // 20 that waited and the one that asked, less the three that may be open.
    let metrics = host.metrics().await;
    let cut = metrics.lines().find_map(|line| line.strip_prefix("provost_connections_cut_total ")).expect("a metric");
    assert!(cut.parse::<u64>().expect("a number") >= 18, "{cut}");
}

/// Nor those at the address of metrics.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn idle_connections_do_not_silence_health() {
    let host = Host::start(&format!("metrics_listen = \"127.0.0.1:0\"\n{FILE}"));
    make_room_for_health(host.metrics_address(), 100).await;
    // 100 that waited and the one that asked, less the 64 that may be open there.
    assert!(host.metrics().await.contains("provost_connections_cut_total 37\n"), "{}", host.metrics().await);
}

/// Nor does one whose request does not come to its end keep its place: with half a head, or with half a body.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn half_requests_do_not_silence_the_host() {
    let head = "POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    for half in [
        head.to_owned(),
        format!("{head}content-length: 9\r\n\r\n{{"),
        format!("{head}transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"),
    ] {
        let host = Host::start(&format!("connections_limit = 3\nrequest_timeout = \"1h\"\n{FILE}"));
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
            stream.write_all(half.as_bytes()).await.expect("the host reads");
            open.push(stream);
        }
        let health = client().get(host.url("/healthz")).send().await.expect("the host answers");
        assert_eq!(health.status(), 200, "{half}");
        let mut first = open.swap_remove(0);
        let end = tokio::time::timeout(Duration::from_secs(10), first.read_to_end(&mut Vec::new())).await;
        drop(end.expect("it is closed"));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn half_a_request_is_given_up() {
    let host = Host::start(&format!("request_timeout = \"100ms\"\n{FILE}"));
    let headers = "POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
    let body = format!("{headers}content-length: 100\r\n\r\n{{\"provider\":");
    let answer = "HTTP/1.1 408 Request Timeout\r\ncontent-type: application/problem+json\r\n";
    for (half, expected) in [("", ""), (headers, answer), (&body, answer)] {
        let mut connection = TcpStream::connect(host.address).await.expect("the host listens");
        connection.write_all(half.as_bytes()).await.expect("the host reads");
        let mut answer = String::new();
        let end = tokio::time::timeout(Duration::from_secs(10), connection.read_to_string(&mut answer)).await;
        end.expect("the host closes the connection").expect("an orderly end");
        assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{answer}");
        assert_eq!(answer.contains("urn:provost:problem:half-sent"), !expected.is_empty(), "{answer}");
    }
}

/// Where the system allows few files, the host takes all that it may have, and some are left to answer with.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn few_files_do_not_silence_the_host() {
    let host = Host::start_with(FILE, |command| {
        let mut limited = Command::new("prlimit");
        limited.arg("--nofile=64:300").arg(command.get_program()).args(command.get_args());
        limited.current_dir(dist()).env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        *command = limited;
    });
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", host.process())).expect("it runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().collect::<Vec<_>>(), ["Max", "open", "files", "300", "300", "files"]);
    let mut idle = Vec::new();
    for _ in 0..400 {
        idle.push(TcpStream::connect(host.address).await.expect("the host listens"));
    }
    assert_eq!(client().get(host.url("/healthz")).send().await.expect("the host answers").status(), 200);
    assert_eq!(host.send(json!({ "provider": "file", "text": "a" })).await.0, 200);
}

/// Connects from an address of this machine.
async fn connect(host: &Host, from: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("an address of this machine");
    socket.connect(host.address).await.expect("the host listens")
}

/// One address cannot have all of them: the one that has waited longest makes room for its next.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_peer_has_a_part_of_the_connections() {
    let host = Host::start(&format!("peer_connections_limit = 2\n{FILE}"));
    let mut other = connect(&host, "127.0.0.3").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(connect(&host, "127.0.0.2").await);
    }
    let mut last = open.pop().expect("it is there");
    ask(&mut last, "/healthz").await;
    for mut closed in open.drain(..3) {
        let end = tokio::time::timeout(PATIENCE, closed.read(&mut [0])).await.expect("it is closed");
        assert!(end.is_err() || end.is_ok_and(|count| count == 0));
    }
    ask(&mut open.remove(0), "/healthz").await;
    ask(&mut other, "/healthz").await;
    assert!(host.metrics().await.contains("\nprovost_connections_cut_total 3\n"));
}

/// Who sends one request after the other, and reads no answer, is given up.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_never_reads_is_given_up() {
    let host = Host::start(&format!("request_timeout = \"1s\"\n{FILE}"));
    let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
    let request = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100);
    // The host reads no further request while it cannot answer.
    let until_closed = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, until_closed).await.expect("the host closes the connection");
    assert!(host.metrics().await.contains("\nprovost_connections_unread_total 1\n"));
    host.terminate();
    let (_, log) = host.wait();
    let line = ": connection closed: its answers were not read within `server.request_timeout` more=0";
    assert!(log.lines().any(|found| found.ends_with(line)), "{log}");
}

/// Where each waits for its answer, none is closed, and whoever comes is told so. Health and metrics are answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn requests_under_way_do_not_silence_the_host() {
    const MOST: usize = 2;
    let receiver = Receiver::start().await;
    for limit in ["connections_limit", "peer_connections_limit"] {
        let host = Host::start(&format!("{limit} = {MOST}\n{}timeout = \"1h\"\n", receiver.provider("hook")));
        let held = receiver.hold().await;
        let waiting: JoinSet<_> = (0..MOST)
            .map(|_| {
                let url = host.url("/v1/messages");
                async move { send(&url, json!({ "provider": "hook", "text": "a" })).await.0 }
            })
            .collect();
        for _ in 0..MOST {
            receiver.arrived().await;
        }
        // More than there are places in the reserve.
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(connect(&host, "127.0.0.1").await);
        }
        for path in ["/healthz", "/readyz", "/metrics"] {
            let response = client().get(host.url(path)).send().await.expect("the host answers");
            assert_eq!(
                (response.status().as_u16(), &response.headers()["connection"]),
                (200, &"close".parse().expect("a value"))
            );
        }
        let response = client().get(host.url("/v1/providers")).send().await.expect("the host answers");
        assert_eq!(response.headers()["retry-after"], "1");
        let problem: Value = response.json().await.expect("a problem is JSON");
        let expected = json!({
            "type": "urn:provost:problem:no-connection", "title": "too many connections", "status": 503,
            "detail": "as many connections are open as `server.connections_limit` and `server.peer_connections_limit` allow, and none \
                       could be closed for this one",
        });
        assert_eq!(problem, expected);
        drop(held);
        assert_eq!(waiting.join_all().await, [200; MOST]);
        // A place is free when the host knows that one is closed.
        while client().get(host.url("/v1/providers")).send().await.expect("the host answers").status() != 200 {}
    }
}

/// Where the system has no more files, the log says so, and connections wait.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn too_few_files_are_in_the_log() {
    let dir = dir();
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{FILE}"));
    let mut command = provost();
    command.arg("--config").arg(config).args(["--prov", "file.prov"]);
    let mut host = command.stderr(Stdio::piped()).spawn().expect("the host starts");
    let mut log = BufReader::new(host.stderr.take().expect("it was asked for")).lines().map_while(Result::ok);
    let place = log.find_map(|line| address(&line)).expect("it listens");
    let limit = |files: &str| {
        let mut command = Command::new("prlimit");
        command.arg("--pid").arg(host.id().to_string()).arg(format!("--nofile={files}:"));
        assert!(command.status().expect("prlimit is everywhere").success());
    };
    limit("3");
    let mut waiting = TcpStream::connect(place).await.expect("the system takes it");
    let line = log.find(|line| line.contains("taking a connection failed")).expect("the log says so");
    let (_, text) = line.split_once("taking").expect("it is there");
    let files = libc("Too many open files", "No file descriptors available");
    assert_eq!(
        text,
        format!(
            " a connection failed: raise the limit of open files, or lower `server.connections_limit` error={files} (os error 24) more=0"
        )
    );
    limit("300");
    ask(&mut waiting, "/healthz").await;
    assert!(!ask(&mut waiting, "/metrics").await.contains("\nprovost_connections_not_taken_total 0\n"));
    terminate(host.id());
    assert_eq!(ended(&mut host).await.code(), Some(0));
}

/// Not one whose caller goes on to ask.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_connection_that_is_used_is_not_cut() {
    const MOST: usize = 5;
    let host = Host::start(&format!("connections_limit = {MOST}\n{FILE}"));
    let mut used = TcpStream::connect(host.address).await.expect("the host listens");
    let mut idle = Vec::new();
    for round in 1..50_usize {
        idle.push(TcpStream::connect(host.address).await.expect("the host listens"));
        // Until the host has taken it.
        let cut = format!("\nprovost_connections_cut_total {}\n", (round + 1).saturating_sub(MOST));
        while !ask(&mut used, "/metrics").await.contains(&cut) {}
    }
}

/// An answer over a connection that stays open.
async fn ask(stream: &mut TcpStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the host reads");
    let (mut answer, mut part) = (String::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).await.expect("the host answers");
        assert!(count > 0, "the host closed the connection after {answer}");
        answer += std::str::from_utf8(&part[..count]).expect("an answer is text");
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() == length.unwrap_or(0) {
            return answer;
        }
    }
}
