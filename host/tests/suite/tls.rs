//! The built host by TLS: which versions, and what becomes of clients that do not get that far.

use crate::support::certificate::Certificate;
use crate::support::tls::{connect, counts, hello, send, start, trusting};
use crate::support::{PATIENCE, client_builder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ALL_VERSIONS, ProtocolVersion};

/// How a handshake begins.
const BEGIN: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn messages_come_by_either_version() {
    let certificate = Certificate::new();
    let (host, _dir) = start(&certificate, "");
    assert!(host.start.contains("the API has TLS certificate="), "{}", host.start);
    for (version, name) in [(&TLS12, ProtocolVersion::TLSv1_2), (&TLS13, ProtocolVersion::TLSv1_3)] {
        let mut stream = connect(&host, &certificate.pem(), &[version], &["h2", "http/1.1"]).await.expect("trusted");
        let session = stream.get_ref().1;
        assert_eq!((session.protocol_version(), session.alpn_protocol()), (Some(name), Some(&b"http/1.1"[..])));
        for _ in 0..2 {
            let (head, answer) = send(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 200 ") && answer["provider"] == "file", "{head} {answer}");
        }
    }
    connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await.expect("who names no protocol speaks HTTP/1.1");
    connect(&host, &certificate.pem(), ALL_VERSIONS, &["h2"]).await.expect_err("it speaks no HTTP/2");
    connect(&host, &Certificate::new().pem(), ALL_VERSIONS, &[]).await.expect_err("another certificate");
    counts(&host, "\nprovost_tls_handshakes_failed_total 2\n").await;
    let root = reqwest::Certificate::from_pem(certificate.pem().as_bytes()).expect("a certificate");
    let client = client_builder().tls_certs_only([root]).resolve("localhost", host.address);
    let client = client.build().expect("a client");
    let url = format!("https://localhost:{}/v1/messages", host.address.port());
    let answer = client.post(url).json(&json!({ "provider": "file", "text": "a" })).send().await;
    assert_eq!(answer.expect("the host answers").status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_speaks_without_tls_is_told() {
    let certificate = Certificate::new();
    let (host, _dir) = start(&certificate, "");
    let body = "{\"type\":\"urn:provost:problem:not-tls\",\"title\":\"not TLS\",\"status\":400,\"detail\":\"this port \
                speaks HTTP by TLS: use https://\"}";
    let told = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n\
         {body}",
        body.len()
    );
    let post = format!("POST /v1/messages HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n{}", "a".repeat(20_000));
    for request in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", &post] {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        stream.write_all(request.as_bytes()).await.expect("the host reads");
        let mut answer = String::new();
        // Of a long request a part may arrive when the connection is closed, and reset it then.
        let end = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it is closed");
        assert!(request == post || end.is_ok(), "an orderly end");
        let (dates, rest): (Vec<&str>, Vec<&str>) =
            answer.split_inclusive("\r\n").partition(|line| line.starts_with("date: "));
        assert_eq!((rest.concat(), dates.len()), (told.clone(), 1));
    }
    counts(&host, "\nprovost_requests_refused_total{problem=\"not-tls\"} 2\n").await;
    // What is no TLS at all is closed, and who says nothing is no failure.
    for (junk, count) in [(&b""[..], 0), (b"\x16\x03\x01\x00\x04junk", 1), (&[0xff; 100], 2)] {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        stream.write_all(junk).await.expect("the host reads");
        stream.shutdown().await.expect("it is open");
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("it is closed");
        counts(&host, &format!("\nprovost_tls_handshakes_failed_total {count}\n")).await;
    }
    // All at once: however slow the machine is, they do not take as many seconds as they are.
    const MANY: usize = 50;
    let mut junk = JoinSet::new();
    for _ in 0..MANY {
        let address = host.address;
        junk.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the host listens");
            let _ = stream.write_all(&[0xff; 100]).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
    }
    junk.join_all().await;
    counts(&host, &format!("\nprovost_tls_handshakes_failed_total {}\n", MANY + 2)).await;
    let mut stream = connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await.expect("trusted");
    assert!(send(&mut stream).await.0.starts_with("HTTP/1.1 200 "));
    drop(stream);
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let lines = log.lines().filter(|line| line.contains("TLS handshake failed error=")).count();
    assert!((1..MANY).contains(&lines) && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_handshake_has_the_time_of_a_requests_headers() {
    let certificate = Certificate::new();
    let (host, _dir) = start(&certificate, "request_timeout = \"100ms\"\n");
    // Who has begun whole gets the host's part, and leaves out the end.
    let hello = hello(trusting(&certificate.pem(), ALL_VERSIONS, &[]));
    for (sent, failed) in [(&b""[..], 0), (BEGIN, 1), (&hello[..], 2)] {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        stream.write_all(sent).await.expect("the host reads");
        let mut answer = Vec::new();
        let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is closed");
        end.expect("an orderly end");
        assert_eq!(answer.is_empty(), sent != hello, "{answer:?}");
        counts(&host, &format!("\nprovost_tls_handshakes_failed_total {failed}\n")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn half_a_request_is_given_up_by_tls_too() {
    let certificate = Certificate::new();
    let (host, _dir) = start(&certificate, "request_timeout = \"500ms\"\n");
    let told = async {
        loop {
            // On a slow machine the time may be over before the half has come.
            let Ok(mut stream) = connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await else { continue };
            let _ = stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost: a\r\n").await;
            let _ = stream.flush().await;
            let (mut answer, mut part) = (Vec::new(), [0; 4096]);
            while let Ok(count @ 1..) = stream.read(&mut part).await {
                answer.extend(&part[..count]);
            }
            if !answer.is_empty() {
                return String::from_utf8_lossy(&answer).into_owned();
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, told).await.expect("it is told");
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
}

/// Its answers fill what the system keeps for it, and then it has no more time than a request's headers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_never_reads_is_cut_and_holds_nobody_up() {
    let certificate = Certificate::new();
    let (host, _dir) = start(&certificate, "request_timeout = \"2s\"\n");
    let root = reqwest::Certificate::from_pem(certificate.pem().as_bytes()).expect("a certificate");
    let client = client_builder().tls_certs_only([root]).resolve("localhost", host.address);
    let client = client.build().expect("a client");
    let url = format!("https://localhost:{}/healthz", host.address.port());
    let mut deaf = connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await.expect("trusted");
    let asks = async { while deaf.write_all(b"GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n").await.is_ok() {} };
    let others = async {
        for _ in 0..20 {
            assert_eq!(client.get(&url).send().await.expect("the host answers").status(), 200);
        }
    };
    let (cut, ()) = tokio::join!(tokio::time::timeout(PATIENCE, asks), others);
    cut.expect("it is cut");
    let metrics = client.get(url.replace("/healthz", "/metrics")).send().await.expect("the host answers");
    assert!(metrics.text().await.expect("text").contains("\nprovost_connections_unread_total 1\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn handshakes_that_do_not_end_make_room_and_do_not_hold_the_end() {
    let certificate = Certificate::new();
    let (host, _dir) =
        start(&certificate, "connections_limit = 3\nrequest_timeout = \"1h\"\nshutdown_deadline = \"1h\"\n");
    let mut begun = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(host.address).await.expect("the host listens");
        // It may be closed already, for the next one.
        let _ = stream.write_all(BEGIN).await;
        begun.push(stream);
    }
    let mut stream = connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await.expect("there is room");
    assert!(send(&mut stream).await.0.starts_with("HTTP/1.1 200 "));
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}
