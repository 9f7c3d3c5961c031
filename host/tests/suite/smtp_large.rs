//! Mails with very much in them, through the built host: they are made in time that grows as they do, and nobody else waits for that.

use crate::support::caller::Caller;
use crate::support::certificate::Certificate;
use crate::support::smtp::{PASSWORD, SmtpServer};
use crate::support::{Host, PATIENCE, dir};
use serde_json::{Value, json};
use std::cell::Cell;
use std::pin::pin;

/// A host whose provider `mail` sends to a server, each message as often as it comes.
async fn start() -> (Host, SmtpServer) {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let bundle = certificate.write_bundle(dir.path());
    let limits = "recipients_limit = 100000\nbody_limit = 8388608\nidempotency_limit = 0\n";
    let host = Host::start_with(&format!("{limits}{}", server.provider("mail", PASSWORD)), |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    (host, server)
}

/// How many deliveries are under way, as the metrics say.
fn under_way(count: usize) -> String {
    format!("provost_deliveries_in_flight{{provider=\"mail\"}} {count}\n")
}

/// Sends a message, and others while it is under way. Returns whether these were answered first.
async fn others_are_first(host: &Host, message: &Value, expected: &(u16, Value)) -> bool {
    // Connected beforehand: a client that is made for each request takes longer than the large mail.
    let (mut caller, mut other) = (Caller::connect(host, "127.0.0.2").await, Caller::connect(host, "127.0.0.3").await);
    other.counts(&under_way(0)).await;
    let asked = Cell::new(false);
    let mut others = pin!(async {
        other.counts(&under_way(1)).await;
        asked.set(true);
        let small = other.send(&json!({ "provider": "mail", "to": ["bob@example.org"], "text": "small" })).await;
        assert_eq!(small.0, 200, "{}", small.1);
        assert_eq!(other.get("/healthz").await.map(|(status, _)| status), Some(200));
    });
    let mut large = pin!(caller.send(message));
    let (answer, first) = tokio::select! {
        answer = &mut large => (answer, false),
        () = &mut others => (large.await, true),
    };
    // A delivery that begins later would be taken for the next large one.
    if asked.get() && !first {
        others.await;
    }
    assert_eq!(answer, *expected);
    first
}

/// Sends a message until others were answered while it was under way: a machine may be slow, but not each time.
async fn check(host: &Host, message: &Value, expected: (u16, Value)) {
    let served = async { while !others_are_first(host, message, &expected).await {} };
    tokio::time::timeout(PATIENCE, served).await.expect("others do not wait for it");
}

/// A message to somebody whom the server refuses, so that it takes no time to send, and what is answered then.
fn refused(to: &[String], text: &str) -> (Value, (u16, Value)) {
    let message = json!({ "provider": "mail", "id": "large", "to": to, "text": text });
    let problem = json!({
        "type": "urn:provost:problem:refused", "title": "refused", "status": 422,
        "detail": "permanent error (550): Mailbox unavailable", "provider": "mail", "id": "large",
    });
    (message, (422, problem))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn nobody_waits_for_a_mail_to_very_many() {
    let (host, _server) = start().await;
    let mut to: Vec<String> = (0..100_000).map(|number| format!("user{number}@example.org")).collect();
    to[0] = "nobody@example.org".to_owned();
    let (message, expected) = refused(&to, "a");
    check(&host, &message, expected).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn nobody_waits_for_a_mail_of_very_many_lines() {
    let (host, server) = start().await;
    let text = "\n".repeat(520_000);
    let (mut message, expected) = refused(&["nobody@example.org".to_owned()], &text);
    check(&host, &message, expected).await;
    message["to"] = json!(["bob@example.org"]);
    assert_eq!(host.send(message).await.0, 200);
    // With the end of the last line.
    let lines = "\r\n".repeat(520_001);
    let mails = server.mails();
    let (_, body) = mails.last().expect("it came").text.split_once("\r\n\r\n").expect("headers, and a body");
    assert!(body == lines, "{} bytes came", body.len());
}
