//! Messages through the built host and the bundled plugins, to a real file, HTTP server and SMTP server.

use crate::support::certificate::Certificate;
use crate::support::receiver::{OTHER_SECRET, Receiver, SECRET};
use crate::support::smtp::{PASSWORD, SmtpServer};
use crate::support::{Host, client, dir};
use serde_json::{Value, json};

/// Each message is delivered, also one that was.
const AGAIN: &str = "idempotency_limit = 0\n";

fn message(provider: &str) -> Value {
    json!({
        "provider": provider,
        "id": "message-1",
        "to": ["Bob <bob@example.org>"],
        "subject": "Grüße",
        "text": "two\nlines",
        "metadata": { "host": "web-1" },
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_file_gets_a_line() {
    let dir = dir();
    let path = dir.path().join("new/messages.jsonl");
    let host = Host::start(&format!("[providers.log]\nplugin = \"file\"\npath = {path:?}\n"));
    let (status, answer) = host.send(message("log")).await;
    let receipt = json!({ "reference": format!("{} at byte 0", path.display()) });
    assert_eq!((status, answer), (200, json!({ "id": "message-1", "provider": "log", "receipt": receipt })));
    let line = "{\"id\":\"message-1\",\"to\":[\"Bob <bob@example.org>\"],\"subject\":\"Grüße\",\
        \"text\":\"two\\nlines\",\"metadata\":{\"host\":\"web-1\"}}\n";
    assert_eq!(std::fs::read_to_string(&path).expect("the file is there"), line);

    let (status, answer) = host.send(json!({ "provider": "log", "text": "without an id" })).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["id"].as_str().expect("the host makes one");
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert!(text.starts_with(line) && text.lines().nth(1).is_some_and(|line| line.contains(id)), "{text}");
}

/// What `file` and `webhook` hand on is what the caller sent.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn html_and_attachments_are_handed_on() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let path = dir.path().join("messages.jsonl");
    let host = Host::start(&format!("[providers.file]\npath = {path:?}\n{}", receiver.provider("hook")));
    let mut sent = message("file");
    sent["html"] = json!("<p>two</p>");
    sent["attachments"] =
        json!([{ "name": "Grüße.bin", "content_type": "application/octet-stream", "content": "AP8NCg==" }]);
    assert_eq!(host.send(sent.clone()).await.0, 200);
    sent["provider"] = json!("hook");
    assert_eq!(host.send(sent.clone()).await.0, 200);
    sent.as_object_mut().expect("an object").remove("provider");
    let line = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(serde_json::from_str::<Value>(&line).expect("a line is JSON"), sent);
    let body: Value = serde_json::from_slice(&receiver.requests()[0].body).expect("the body is JSON");
    assert_eq!(body, json!({ "type": "message", "data": sent }));

    sent["provider"] = json!("file");
    sent["attachments"][0]["content"] = json!("no base64");
    let (status, answer) = host.send(sent).await;
    let detail = answer["detail"].as_str().unwrap_or_default();
    let expected = "attachments[0].content: not base64 with padding and without line breaks: ";
    assert!(status == 400 && detail.contains(expected), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_file_that_hangs_keeps_its_places() {
    let dir = dir();
    let path = dir.path().join("messages.jsonl");
    // A writer waits for the lock as it would for a disk that hangs.
    let lock = std::fs::File::create(&path).expect("a temporary file");
    lock.lock().expect("nobody else has it");
    let host =
        Host::start(&format!("[providers.file]\npath = {path:?}\ntimeout = \"100ms\"\nconcurrency = 1\nqueue = 0\n"));
    assert_eq!(host.send(message("file")).await.0, 504);
    for _ in 0..3 {
        assert_eq!(host.send(message("file")).await.0, 429, "the first is still under way");
    }
    drop(lock);
    while host.send(message("file")).await.0 == 429 {}
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(text.lines().count(), 2, "one that was given up, and one that was not: {text}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_full_file_system_is_temporary() {
    // Writing to /dev/full fails as a full disk does.
    let host = Host::start("[providers.file]\npath = \"/dev/full\"\n");
    let (status, answer) = host.send(message("file")).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(answer["detail"], "appending to /dev/full: No space left on device (os error 28)");
}

/// What the caller calls the request is in its answer, in the log and in what the other side gets.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn requests_can_be_followed() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    for (path, status) in [("/v1/messages", 200), ("/none", 404)] {
        let request = client().post(host.url(path)).header("x-request-id", "request-7").header("traceparent", TRACE);
        let answer = request.json(&message("hook")).send().await.expect("the host answers");
        let returned = ["x-request-id", "traceparent"].map(|name| answer.headers()[name].to_str().expect("ASCII"));
        assert_eq!((answer.status().as_u16(), returned), (status, ["request-7", TRACE]));
    }
    let requests = receiver.requests();
    let [request] = requests.as_slice() else { panic!("{} requests came", requests.len()) };
    assert_eq!(
        (&request.headers["x-request-id"], &request.headers["traceparent"]),
        (&"request-7".parse().expect("a header"), &TRACE.parse().expect("a header"))
    );
    host.terminate();
    let (_, log) = host.wait();
    assert!(
        log.contains(": delivered provider=\"hook\" id=\"message-1\" request=\"request-7\" milliseconds="),
        "{log}"
    );
}

/// Only the proxy knows where the far side is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_proxy_of_the_environment_is_used() {
    let receiver = Receiver::start().await;
    let provider = receiver.provider("hook");
    let (_, proxy) = provider.split_once("url = \"").expect("it has a URL");
    let (proxy, _) = proxy.split_once("/hook\"").expect("it has a path");
    let host = Host::start_with(&provider.replace(proxy, "http://hooks.example.invalid"), |command| {
        command.env("HTTP_PROXY", proxy);
    });
    let (status, answer) = host.send(message("hook")).await;
    assert_eq!((status, &answer["receipt"]["reference"]), (200, &json!("204 No Content")));
    assert_eq!(receiver.requests()[0].headers["host"], "hooks.example.invalid");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_webhook_is_signed() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook").replace(SECRET, &format!("{OTHER_SECRET} {SECRET}")));
    let (status, answer) = host.send(message("hook")).await;
    assert_eq!((status, &answer["receipt"]["reference"]), (200, &json!("204 No Content")));

    let requests = receiver.requests();
    let [request] = requests.as_slice() else { panic!("{} requests came", requests.len()) };
    assert_eq!(request.headers["webhook-id"], "message-1");
    for secret in [SECRET, OTHER_SECRET] {
        let verifier = standardwebhooks::Webhook::new(secret).expect("a valid secret");
        verifier.verify(&request.body, &request.headers).expect("the signature is valid");
    }
    assert!(!request.headers.contains_key("x-request-id") && !request.headers.contains_key("traceparent"));
    let mut data = message("hook");
    data.as_object_mut().expect("an object").remove("provider");
    let body: Value = serde_json::from_slice(&request.body).expect("the body is JSON");
    assert_eq!(body, json!({ "type": "message", "data": data }));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_a_webhooks_answer_means() {
    let receiver = Receiver::start().await;
    let host = Host::start(&format!("{AGAIN}{}", receiver.provider("hook")));
    let elsewhere = Receiver::start().await;
    let location = format!("http://{}/", elsewhere.address);
    for (answer, expected) in [
        (200, 200),
        (204, 200),
        (400, 422),
        (413, 422),
        // The operator's URL is wrong.
        (301, 503),
        (404, 503),
        (410, 503),
        (401, 503),
        (403, 503),
        (407, 503),
        (408, 503),
        (500, 503),
    ] {
        receiver.answer(answer, &[("location", &location)]);
        assert_eq!(host.send(message("hook")).await.0, expected, "for {answer}");
    }
    assert_eq!(elsewhere.requests().len(), 0, "no redirect is followed");

    receiver.answer(429, &[("retry-after", "7")]);
    let response = client().post(host.url("/v1/messages")).json(&message("hook")).send().await.expect("an answer");
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_mail_is_sent() {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let bundle = certificate.write_bundle(dir.path());
    let host = Host::start_with(&format!("{AGAIN}{}", server.provider("mail", PASSWORD)), |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    let (status, answer) = host.send(message("mail")).await;
    assert_eq!((status, &answer["receipt"]["reference"]), (200, &json!("250 queued as 1")));
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails came", mails.len()) };
    assert_eq!((mail.from.as_str(), mail.to.as_slice()), ("provost@example.org", &["bob@example.org".to_owned()][..]));
    for line in
        ["From: Provost <provost@example.org>", "To: Bob <bob@example.org>", "Message-ID: <message-1@example.org>"]
    {
        assert!(mail.text.lines().any(|found| found == line), "{line} is not in {}", mail.text);
    }
    assert!(mail.text.ends_with("two\r\nlines\r\n"), "{}", mail.text);

    for (recipient, expected) in [("full@example.org", 503), ("nobody@example.org", 422), ("no address", 422)] {
        let mut refused = message("mail");
        refused["to"] = json!([recipient]);
        assert_eq!(host.send(refused).await.0, expected, "for {recipient}");
    }
    let mut nobody = message("mail");
    nobody["to"] = json!([]);
    assert_eq!(host.send(nobody).await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_wrong_password_is_never_shown() {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let bundle = certificate.write_bundle(dir.path());
    let host = Host::start_with(&server.provider("mail", "hunter2"), |command| {
        command.env("SSL_CERT_FILE", bundle).args(["--log", "trace"]);
    });
    let (status, answer) = host.send(message("mail")).await;
    // The message is as good as before: whoever runs the host has to act, and is told so once in a while.
    assert_eq!((status, &answer["type"]), (503, &json!("urn:provost:problem:unauthorized")), "{answer}");
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    assert_eq!(host.send(message("mail")).await.0, 503);
    host.terminate();
    let (_, log) = host.wait();
    assert!(!log.contains("hunter2"), "{log}");
    let alarms: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert!(matches!(alarms[..], [line] if line.contains("the other side refuses this host")), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_caller_cannot_forge_a_line_of_the_log() {
    let host = Host::start("[providers.mail]\nplugin = \"smtp\"\nhost = \"localhost\"\nfrom = \"a@example.org\"\n");
    let mut forged = message("mail");
    forged["to"] = json!(["nobody\r\nINFO delivered provider=\"mail\"\n\u{1b}[2K"]);
    assert_eq!(host.send(forged).await.0, 422);
    host.terminate();
    let (_, log) = host.wait();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("nobody")).collect();
    assert!(matches!(lines[..], [line] if line.contains("nobody\\r\\nINFO delivered")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_mail_server_that_is_not_trusted_gets_nothing() {
    let (dir, certificate) = (dir(), Certificate::new());
    let server = SmtpServer::start(&certificate).await;
    let other = Certificate::new().write_bundle(dir.path());
    let host = Host::start_with(&server.provider("mail", PASSWORD), |command| {
        command.env("SSL_CERT_FILE", other);
    });
    let (status, answer) = host.send(message("mail")).await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("certificate")), "{answer}");
    assert_eq!(server.mails().len(), 0);
}
