//! What an SMTP server says is the answer to what was asked, and to nothing else: one line too many is no receipt, a refusal is
//! told even if the server says nothing more, and what came in the clear is nothing that was said under TLS.

use crate::support::certificate::Certificate;
use crate::support::{Host, dir};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::TcpListener;

/// What a server says, by the first word of what it hears, or by the whole line; the first that fits holds. A line that is there whole is
/// not looked for by its word.
type Script = Vec<(&'static str, &'static str)>;

/// What a server says that takes every mail, and then nothing.
const WILLING: [(&str, &str); 12] = [
    ("", "220 ready"),
    ("EHLO", "250-here\r\n250-STARTTLS\r\n250 AUTH LOGIN"),
    ("STARTTLS", "220 go ahead"),
    ("AUTH", "334 VXNlcm5hbWU6"),
    ("YWxpY2U=", "334 UGFzc3dvcmQ6"),
    ("c2VjcmV0", "235 welcome"),
    ("NOOP", "250 still here"),
    ("MAIL", "250 sender known"),
    ("RCPT", "250 recipient known"),
    ("DATA", "354 go on"),
    (".", "250 taken"),
    ("QUIT", ""),
];

/// Listens, and serves each connection by the script.
async fn server(script: Script, certificate: &Certificate, tls: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let acceptor = certificate.acceptor();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (script, acceptor) = (script.clone(), acceptor.clone());
            tokio::spawn(async move {
                if tls == "tls" {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let mut stream = BufStream::new(stream);
                    speak(&mut stream, &script, "").await;
                    talk(&mut stream, &script).await;
                    return;
                }
                let mut stream = BufStream::new(stream);
                speak(&mut stream, &script, "").await;
                if talk(&mut stream, &script).await
                    && let Ok(stream) = acceptor.accept(stream.into_inner()).await
                {
                    talk(&mut BufStream::new(stream), &script).await;
                }
            });
        }
    });
    port
}

/// Answers line by line, and returns whether TLS is to begin.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufStream<S>, script: &Script) -> bool {
    let mut mail = false;
    loop {
        let mut line = String::new();
        if !stream.read_line(&mut line).await.is_ok_and(|count| count > 0) {
            return false;
        }
        let word = line.split([' ', ':', '\r']).next().unwrap_or_default();
        if !mail || word == "." {
            let whole = script.iter().any(|(heard, _)| *heard == line.trim_end());
            mail = speak(stream, script, if whole { line.trim_end() } else { word }).await.starts_with("354");
        }
        if word == "STARTTLS" {
            return true;
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufStream<S>,
    script: &Script,
    heard: &str,
) -> &'static str {
    let (_, answer) = script.iter().find(|(word, _)| *word == heard).unwrap_or_else(|| panic!("heard {heard}"));
    let line = if answer.is_empty() { String::new() } else { format!("{answer}\r\n") };
    // A client that has gone is no error of the server.
    let _ = stream.write_all(line.as_bytes()).await;
    let _ = stream.flush().await;
    answer
}

/// What becomes of mails, one after the other, that a server of this script is sent: the status, and the receipt or the problem.
async fn check(tls: &'static str, changed: &[(&'static str, &'static str)], expected: &[(u16, &str)]) {
    check_to(&["bob@example.org"], tls, changed, expected).await;
}

/// The same with other recipients.
async fn check_to(to: &[&str], tls: &'static str, changed: &[(&'static str, &'static str)], expected: &[(u16, &str)]) {
    let (_dir, host) = start(tls, changed).await;
    for (index, expected) in expected.iter().enumerate() {
        let message = json!({ "provider": "mail", "id": format!("m{index}"), "to": to, "text": "a\nb" });
        let (status, answer): (u16, Value) = host.send(message).await;
        let said = answer["receipt"]["reference"].as_str().or(answer["detail"].as_str()).unwrap_or_default();
        assert_eq!((status, said), *expected, "{to:?}, {tls}, {changed:?}, mail {index}");
    }
}

/// A host with a server of this script.
async fn start(tls: &'static str, changed: &[(&'static str, &'static str)]) -> (TempDir, Host) {
    let (dir, certificate) = (dir(), Certificate::new());
    let script = changed.iter().chain(&WILLING).copied().collect();
    let port = server(script, &certificate, tls).await;
    let login = if tls == "none" { "" } else { "user = \"alice\"\npassword = \"secret\"\n" };
    let bundle = certificate.write_bundle(dir.path());
    let provider = format!(
        "[providers.mail]\nplugin = \"smtp\"\nhost = \"localhost\"\nport = {port}\ntls = \"{tls}\"\n\
        from = \"a@example.org\"\n{login}"
    );
    let host = Host::start_with(&provider, |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    (dir, host)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_willing_server_takes_mails() {
    for tls in ["none", "starttls", "tls"] {
        check(tls, &[], &[(200, "250 taken"), (200, "250 taken")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn one_answer_too_many_is_no_receipt() {
    let refused = (".", "550 not taken");
    let known = (503, "`250 recipient known` is not an answer to DATA");
    for surplus in [
        ("", "220 ready\r\n250 once more"),
        ("EHLO", "250 here\r\n250 once more"),
        ("MAIL", "250 sender known\r\n250 once more"),
    ] {
        check("none", &[surplus, refused], &[known, known]).await;
    }
    let twice = ("RCPT", "250 recipient known\r\n250 once more");
    check("none", &[twice, refused], &[(503, "`250 once more` is not an answer to DATA")]).await;
    let go_on = ("DATA", "354 go on\r\n354 once more");
    check("none", &[go_on, refused], &[(503, "`354 once more` is not an answer to the mail")]).await;
    // What is left over by one mail is not the next one's.
    let taken = (".", "250 taken\r\n250 once more");
    check("none", &[taken], &[(200, "250 taken"), known, (200, "250 taken")]).await;
    let ahead = ("MAIL", "250 sender known\r\n354 go on");
    check("none", &[ahead, refused], &[(503, "`354 go on` is not an answer to RCPT")]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_refusal_does_not_wait_for_a_goodbye() {
    for (word, status, answer, expected) in [
        ("EHLO", 503, "550 go away", "permanent error (550): go away"),
        ("MAIL", 503, "550 go away", "permanent error (550): go away"),
        ("MAIL", 422, "552 too large", "permanent error (552): too large"),
        ("MAIL", 503, "530 log in", "permanent error (530): log in"),
        ("RCPT", 503, "450 come back", "transient error (450): come back"),
        ("DATA", 422, "554 nobody to send to", "permanent error (554): nobody to send to"),
        (".", 422, "550 not taken", "permanent error (550): not taken"),
    ] {
        check("none", &[(word, answer)], &[(status, expected)]).await;
    }
    for (word, status, answer, expected) in [
        ("EHLO", 503, "250 here", "the server does not support STARTTLS"),
        ("STARTTLS", 503, "454 not now", "transient error (454): not now"),
        ("STARTTLS", 503, "354 go on", "`354 go on` is not an answer to STARTTLS"),
        ("AUTH", 503, "535 not you", "permanent error (535): not you"),
        ("c2VjcmV0", 503, "535 not you", "permanent error (535): not you"),
        ("RCPT", 422, "550 nobody", "permanent error (550): nobody"),
    ] {
        check("starttls", &[(word, answer)], &[(status, expected)]).await;
    }
}

/// A server that defers a recipient works: however often it does, other messages are delivered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_recipient_that_is_deferred_opens_no_circuit() {
    let deferred = ("RCPT TO:<slow@example.org>", "450 come back");
    let (_dir, host) = start("none", &[deferred]).await;
    let message = |to: &str| json!({ "provider": "mail", "to": [to], "text": "a" });
    // One more than open it by default.
    for _ in 0..21 {
        let (status, problem) = host.send(message("slow@example.org")).await;
        assert_eq!((status, &problem["type"]), (503, &json!("urn:provost:problem:temporary-failure")), "{problem}");
    }
    assert_eq!(host.send(message("bob@example.org")).await.0, 200);
}

/// A server that answers no goodbye cannot fill the host with connections, which would have no files left for others.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn few_connections_wait_for_a_goodbye() {
    let (_dir, host) = start("none", &[("RCPT", "550 nobody")]).await;
    let sockets = || {
        let files = std::fs::read_dir(format!("/proc/{}/fd", host.process())).expect("it runs");
        files.filter(|file| {
            let target = file.as_ref().ok().and_then(|file| std::fs::read_link(file.path()).ok());
            target.is_some_and(|target| target.to_string_lossy().starts_with("socket:"))
        })
    };
    let before = sockets().count();
    for _ in 0..100 {
        let message = json!({ "provider": "mail", "to": ["bob@example.org"], "text": "a" });
        assert_eq!(host.send(message).await.0, 422);
    }
    let more = sockets().count().saturating_sub(before);
    // Those that wait, the caller's, and one that is being closed.
    assert!(more <= 16 + 2, "{more}");
}

/// Whoever runs the host is told of a server that lacks what is configured, and of one that refuses the login.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_server_that_cannot_be_used_is_an_alarm() {
    for (changed, expected) in [
        (("EHLO", "250 here"), "the server does not support STARTTLS"),
        (("EHLO", "250 STARTTLS"), "the server does not support login with PLAIN or LOGIN"),
        (("AUTH", "535 not you"), "permanent error (535): not you"),
        (("MAIL", "530 who are you"), "permanent error (530): who are you"),
        (("MAIL", "534 another way"), "permanent error (534): another way"),
        (("RCPT", "535 not you"), "permanent error (535): not you"),
        (
            ("RCPT", "554 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied"),
            "permanent error (554): 5.7.1 <unknown[192.0.2.1]>: Client host rejected: Access denied",
        ),
        (
            ("RCPT", "553 5.7.1 <a@example.org>: Sender address rejected: not owned by user alice"),
            "permanent error (553): 5.7.1 <a@example.org>: Sender address rejected: not owned by user alice",
        ),
        (("RCPT", "550 5.1.8 no such domain"), "permanent error (550): 5.1.8 no such domain"),
        (("DATA", "538 not in the clear"), "permanent error (538): not in the clear"),
    ] {
        let (_dir, host) = start("starttls", &[changed]).await;
        let (status, problem) = host.send(json!({ "provider": "mail", "to": ["bob@example.org"], "text": "a" })).await;
        let problem = (status, problem["type"].as_str(), problem["detail"].as_str());
        assert_eq!(problem, (503, Some("urn:provost:problem:unauthorized"), Some(expected)));
        host.terminate();
        let (_, log) = host.wait();
        let alarm = format!(
            "the other side refuses this host: check the provider's configuration, and its login first provider=\"mail\" \
             failure={expected}"
        );
        let alarms: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
        assert!(matches!(alarms[..], [line] if line.ends_with(&alarm)), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn an_answer_has_an_end() {
    const ENDLESS: (u16, &str) = (503, "network error: the server's answer has no end");
    let lines: &str = "250-and more\r\n".repeat(10_000).leak();
    let short: &str = "250-\r\n".repeat(100_000).leak();
    let line: &str = "250 and more, ".repeat(10_000).leak();
    for tls in ["none", "starttls", "tls"] {
        for said in ["", "EHLO", "RCPT", "."] {
            check(tls, &[(said, lines)], &[ENDLESS]).await;
            check(tls, &[(said, short)], &[ENDLESS]).await;
            check(tls, &[(said, line)], &[ENDLESS]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_came_in_the_clear_was_not_said_under_tls() {
    const CORRUPT: &str = "starting TLS with localhost: received corrupt message of type InvalidContentType";
    let refused = (".", "550 not taken");
    for put_in in ["220 go ahead\r\n250 forged", "220 go ahead\r\n250 forged\r\n250 forged\r\n334 VXNlcm5hbWU6"] {
        check("starttls", &[("STARTTLS", put_in), refused], &[(503, CORRUPT)]).await;
    }
}

/// A name of the domain alone is sent in ASCII to any server. What stands before the `@` cannot be, and needs one that takes all of Unicode.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn an_address_that_is_not_ascii_needs_a_server_that_takes_it() {
    const REFUSED: (u16, &str) = (422, "the server does not support addresses that are not ASCII (SMTPUTF8)");
    let never = ("MAIL", "450 not without SMTPUTF8");
    for tls in ["none", "starttls", "tls"] {
        check_to(&["bøb@example.org"], tls, &[never], &[REFUSED, REFUSED]).await;
        check_to(&["alice@example.org", "bøb@example.org"], tls, &[never], &[REFUSED]).await;
    }
    let known = ("RCPT TO:<bøb@example.org>", "250 recipient known");
    let nobody = ("RCPT", "550 nobody");
    let asked = ("MAIL FROM:<a@example.org> SMTPUTF8 BODY=8BITMIME", "250 sender known");
    let both = ("EHLO", "250-here\r\n250-8BITMIME\r\n250 SMTPUTF8");
    check_to(&["bøb@example.org"], "none", &[both, asked, never, known, nobody], &[(200, "250 taken")]).await;
    // The mail names its recipient.
    let addresses_alone = ("EHLO", "250-here\r\n250 SMTPUTF8");
    let refused = (422, "the server does not support mails that are not ASCII (8BITMIME)");
    check_to(&["bøb@example.org"], "none", &[addresses_alone, never], &[refused]).await;
    let ascii = ("RCPT TO:<bob@xn--mller-kva.example>", "250 recipient known");
    check_to(&["bob@müller.example"], "none", &[ascii, nobody], &[(200, "250 taken")]).await;
}
