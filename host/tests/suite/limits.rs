//! What callers can take of the built host: of its memory, its connections and its time.

use crate::support::load::in_small_chunks;
use crate::support::receiver::Receiver;
use crate::support::unruly::provider;
use crate::support::{Host, PATIENCE, address, client, dir, dist, ended, libc, provost, send, terminate, write_config};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

const ATTACHMENT: &str = r#"{"name":"a.txt","content_type":"text/plain","content":"AP8="}"#;

const FILE: &str = "[providers.file]\npath = \"/dev/null\"\n";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn messages_have_limits() {
    let dir = dir();
    let file = format!("[providers.file]\npath = {:?}\n", dir.path().join("messages.jsonl"));
    let host = Host::start(&format!(
        "recipients_limit = 1\nfield_limit = 3\nattachments_limit = 1\nmetadata_limit = 1\n{file}"
    ));
    for (more, detail) in [
        (r#""to":["a","b"]"#, "recipients in `to`: 2, and `server.recipients_limit` allows 1"),
        (r#""to":["abcd"]"#, "bytes of a recipient: 4, and `server.field_limit` allows 3"),
        (r#""subject":"abcd""#, "bytes in `subject`: 4, and `server.field_limit` allows 3"),
        // One character.
        (r#""subject":"\ud834\udd1e""#, "bytes in `subject`: 4, and `server.field_limit` allows 3"),
        (
            &format!(r#""attachments":[{ATTACHMENT},{ATTACHMENT}]"#),
            "files in `attachments`: 2, and `server.attachments_limit` allows 1",
        ),
        (
            &format!(r#""attachments":[{}]"#, ATTACHMENT.replace("a.txt", "../a.txt")),
            "the name `../a.txt` in `attachments` is not a file's: 1 to 255 bytes without `/`, `\\` and control characters",
        ),
        (
            &format!(r#""attachments":[{}]"#, ATTACHMENT.replace("text/plain", "text")),
            "the content_type `text` in `attachments` is not a media type such as `application/pdf`",
        ),
        (r#""metadata":{"a":"1","b":"2"}"#, "pairs in `metadata`: 2, and `server.metadata_limit` allows 1"),
        (r#""metadata":{"abcd":""}"#, "bytes of a key or value in `metadata`: 4, and `server.field_limit` allows 3"),
        (r#""metadata":{"":"abcd"}"#, "bytes of a key or value in `metadata`: 4, and `server.field_limit` allows 3"),
    ] {
        let body = format!(r#"{{"provider":"file","text":"a",{more}}}"#);
        let (status, problem) = host.send(serde_json::from_str(&body).expect("JSON")).await;
        assert_eq!((status, problem["detail"].as_str()), (400, Some(detail)), "{body}");
    }
    let all =
        json!({ "provider": "file", "text": "long", "to": ["abc"], "subject": "abc", "metadata": { "abc": "abc" } });
    assert_eq!(host.send(all).await.0, 200);
}

/// Whatever a caller sends, an answer repeats a line of it at most, and no work grows faster than the message.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn long_values_are_not_repeated() {
    let host = Host::start(FILE);
    let long = "x".repeat(1_000_000);
    let problem = |body: Value, status: u16, detail: String| {
        let host = &host;
        async move {
            let (code, answer) = host.send(body).await;
            assert_eq!((code, answer["detail"].as_str()), (status, Some(detail.as_str())));
        }
    };
    // Far more than one after the other, so that health is asked while they are judged.
    let unknown = || {
        let detail = format!("there is no provider `{}...`: GET /v1/providers lists all providers", &long[..64]);
        problem(json!({ "provider": long, "text": "" }), 404, detail)
    };
    let health = async || client().get(host.url("/healthz")).send().await.expect("the host answers").status();
    let (_, _, _, _, health) = tokio::join!(unknown(), unknown(), unknown(), unknown(), health());
    assert_eq!(health, 200);
    let lines = json!({ "provider": "a\n\u{1b}[2J", "text": "" });
    let detail = "there is no provider `a\\n\\u{1b}[2J`: GET /v1/providers lists all providers";
    problem(lines, 404, detail.to_owned()).await;
    let refused = "Failed to deserialize the JSON body into the target type: ";
    let key = format!("{refused}{long}");
    problem(json!({ "provider": "file", "text": "", &long: 1 }), 400, format!("{}...", &key[..500])).await;
    let id = "`id` must have 1 to 64 letters, digits, `-` or `_`";
    problem(json!({ "provider": "file", "text": "", "id": long }), 400, id.to_owned()).await;

    let path = format!("/{}", &long[..10_000]);
    let shown = format!("/{}...", &long[..63]);
    for (method, path, expected) in [
        ("GET", path.as_str(), format!("there is nothing at {shown}")),
        (&long[..5000], "/healthz", format!("/healthz does not support {}...; see the header `allow`", &long[..64])),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let response = client().request(method, host.url(path)).send().await.expect("the host answers");
        let answer: Value = response.json().await.expect("a problem is JSON");
        assert_eq!(answer["detail"], expected);
    }
}

/// Nor does another side's answer decide what is kept of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_long_receipt_is_shortened() {
    let host = Host::start_with(&provider("answer-at-length"), |command| {
        command.args(["--prov", "unruly.prov"]);
    });
    let (status, answer) = host.send(json!({ "provider": "answer-at-length", "text": "a" })).await;
    assert_eq!((status, &answer["receipt"]["reference"]), (200, &json!(format!("{}...", "a".repeat(500)))));
}

/// A connection that waits makes room for one that asks.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn idle_connections_do_not_silence_the_host() {
    let host = Host::start(&format!("connections_limit = 3\n{FILE}"));
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(host.address).await.expect("the host listens"));
    }
    let health = client().get(host.url("/healthz")).send().await.expect("the host answers");
    assert_eq!(health.status(), 200);
    let mut first = idle.swap_remove(0);
    let end = tokio::time::timeout(Duration::from_secs(10), first.read(&mut [0])).await.expect("it is closed");
    assert!(end.is_err() || end.is_ok_and(|count| count == 0));
    // 20 that waited and the one that asked, less the three that may be open.
    let metrics = host.metrics().await;
    let cut = metrics.lines().find_map(|line| line.strip_prefix("provost_connections_cut_total ")).expect("a metric");
    assert!(cut.parse::<u64>().expect("a number") >= 18, "{cut}");
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

/// A provider that stores messages, and where it does.
fn file() -> (TempDir, String) {
    let dir = dir();
    let provider = format!("[providers.file]\npath = {:?}\n", dir.path().join("messages"));
    (dir, provider)
}

/// Where the system allows few files, the host takes all that it may have, and some are left to answer with.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn few_files_do_not_silence_the_host() {
    let (_dir, file) = file();
    let host = Host::start_with(&file, |command| {
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

/// The most memory that a process had, in bytes.
fn peak(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a process has memory");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// However a body is cut, it costs a few times its bytes.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn small_chunks_cost_no_more_than_their_bytes() {
    let (_dir, file) = file();
    const BODIES: usize = 3;
    let host = Host::start(&file);
    let text = json!({ "provider": "file", "text": "a".repeat(1_000_000) }).to_string();
    let request = in_small_chunks(&text);
    let before = peak(host.process());
    let send = async || {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        stream.write_all(&request).await.expect("the host reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("the host answers");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    };
    let _: [(); BODIES] = tokio::join!(send(), send(), send()).into();
    let grown = peak(host.process()) - before;
    assert!(grown < 8 * BODIES * text.len(), "{grown} bytes for {BODIES} bodies of {}", text.len());
}

/// However many items JSON has, what is refused for their number takes little.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn long_lists_cost_little() {
    let pairs: Vec<String> = (0..90_000).map(|number| format!("\"{number}\":\"\"")).collect();
    let file = r#"{"name":"a","content_type":"a/b","content":""}"#;
    for (path, body, detail) in [
        (
            "/v1/messages:batch",
            format!("{{\"messages\":[{}]}}", vec![r#"{"text":""}"#; 80_000].join(",")),
            "messages in `messages`: 80000, and `server.batch_limit` allows 1 to 100",
        ),
        (
            "/v1/messages",
            format!("{{\"provider\":\"file\",\"text\":\"\",\"to\":[{}]}}", vec!["\"\""; 300_000].join(",")),
            "recipients in `to`: 300000, and `server.recipients_limit` allows 1000",
        ),
        (
            "/v1/messages",
            format!("{{\"provider\":\"file\",\"text\":\"\",\"metadata\":{{{}}}}}", pairs.join(",")),
            "pairs in `metadata`: 90000, and `server.metadata_limit` allows 100",
        ),
        (
            "/v1/messages",
            format!("{{\"provider\":\"file\",\"text\":\"\",\"attachments\":[{}]}}", vec![file; 20_000].join(",")),
            "files in `attachments`: 20000, and `server.attachments_limit` allows 20",
        ),
        (
            "/v1/messages",
            format!("{{\"route\":[{}],\"text\":\"\"}}", vec!["\"\""; 300_000].join(",")),
            "`route` must have 1 to 16 providers",
        ),
    ] {
        let host = Host::start(FILE);
        let (length, before) = (body.len(), peak(host.process()));
        let request = client().post(host.url(path)).header("content-type", "application/json").body(body);
        let problem: Value = request.send().await.expect("the host answers").json().await.expect("a problem is JSON");
        assert_eq!((&problem["status"], &problem["detail"]), (&json!(400), &json!(detail)));
        let grown = peak(host.process()) - before;
        assert!(grown < 5 * length, "{grown} bytes for {length}: {detail}");
    }
}

/// However long a head is, little of it is kept.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn long_heads_cost_little() {
    const HEADS: usize = 100;
    let host = Host::start(FILE);
    let before = peak(host.process());
    let mut open = JoinSet::new();
    for _ in 0..HEADS {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        open.spawn(async move {
            let head = format!("GET /healthz HTTP/1.1\r\nhost: a\r\na: {}", "a".repeat(400_000));
            // The host closes the connection before all is sent.
            let _ = stream.write_all(head.as_bytes()).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
    open.join_all().await;
    let grown = peak(host.process()) - before;
    assert!(grown < HEADS * 100_000, "{grown} bytes for {HEADS} heads");
    let refused = "provost_requests_refused_total{problem=\"headers-too-large\"} 100\n";
    let metrics = host.metrics().await;
    assert!(metrics.contains(refused), "{metrics}");
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
    let (dir, file) = file();
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{file}"));
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
