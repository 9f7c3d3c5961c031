//! Against a server that takes what Slack documents, and nothing else.

use super::*;
use provost_sdk::serde::Deserialize;
use provost_sdk::{serde_json, tokio};
use provost_test::{Answer, HttpRequest, HttpServer, message, provider};
use std::time::Duration;

const TOKEN: &str = "xoxb-1234";
const HOOK: &str = "/services/T0/B0/hunter2";

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde", deny_unknown_fields)]
struct PostMessage {
    channel: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde", deny_unknown_fields)]
struct Hook {
    text: String,
}

/// What Slack answers.
fn slack(request: &HttpRequest) -> Answer {
    let json = request.headers.get("content-type").is_some_and(|kind| kind == "application/json; charset=utf-8");
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", HOOK) => match serde_json::from_slice::<Hook>(&request.body) {
            Ok(hook) if json && !hook.text.is_empty() => Answer::new(200).body("ok"),
            Ok(_) if json => Answer::new(400).body("no_text"),
            _ => Answer::new(400).body("invalid_payload"),
        },
        ("POST", "/services/T0/B0/gone") => Answer::new(404).body("no_service"),
        ("POST", "/api/chat.postMessage") => Answer::new(200).body(&api(request, json).to_string()),
        _ => Answer::new(404),
    }
}

fn api(request: &HttpRequest, json: bool) -> Value {
    let error = |error| json!({ "ok": false, "error": error });
    match request.headers.get("authorization").map(String::as_str) {
        Some("Bearer xoxb-1234") => {}
        Some(_) => return error("invalid_auth"),
        None => return error("not_authed"),
    }
    if !json {
        return error("invalid_form_data");
    }
    match serde_json::from_slice::<PostMessage>(&request.body) {
        Err(_) => error("invalid_arguments"),
        Ok(sent) if sent.text.is_empty() => error("no_text"),
        Ok(sent) if sent.channel.starts_with('#') => error("channel_not_found"),
        Ok(sent) => json!({ "ok": true, "channel": sent.channel, "ts": "1503435956.000247", "message": {} }),
    }
}

async fn bot() -> (String, HttpServer) {
    let server = HttpServer::start_with(slack).await;
    (format!("url = \"{}/api\"\ntoken = \"{TOKEN}\"\nchannel = \"C1\"", server.url()), server)
}

async fn hook() -> (String, HttpServer) {
    let server = HttpServer::start_with(slack).await;
    (format!("webhook = \"{}{HOOK}\"", server.url()), server)
}

provost_test::conformance!(Slack, bot().await, secrets = [TOKEN]);

mod by_webhook {
    use super::*;

    provost_test::conformance!(Slack, hook().await, secrets = ["hunter2"]);
}

fn message_to(to: &[&str]) -> Message {
    Message { to: to.iter().map(|&to| to.to_owned()).collect(), ..message("a < b") }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_bot_posts() {
    let (config, server) = bot().await;
    let slack = provider::<Slack>(&config).expect("a valid configuration");
    for (to, channel) in [(&[][..], "C1"), (&["C2"], "C2")] {
        let receipt = slack.deliver(&message_to(to)).await;
        let expected = format!("message 1503435956.000247 in channel {channel}");
        assert_eq!(receipt, Ok(Receipt::with_reference(expected)));
        let request = server.requests().pop().expect("a request");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body, json!({ "channel": channel, "text": "*Test*\na &lt; b" }));
    }
    let several = slack.deliver(&message_to(&["C1", "C2"])).await;
    let reason = "`to` has 2 recipients, and this provider takes one: send each a message";
    assert_eq!(several, Err(DeliveryError::permanent(reason)));
    let none = slack.deliver(&message_to(&["#none"])).await;
    assert_eq!(none, Err(DeliveryError::permanent("Slack answered `channel_not_found`")));
    assert_eq!(server.requests().len(), 3, "several recipients are refused before anything is sent");

    for word in ["channel_not_found", "is_archived", "not_in_channel", "restricted_action"] {
        let refused = json!({ "ok": false, "error": word }).to_string();
        let reason = format!("Slack answered `{word}`");
        server.answer(Answer::new(200).body(&refused));
        let named = slack.deliver(&message_to(&["C2"])).await;
        assert_eq!(named, Err(DeliveryError::permanent(reason.clone())));
        server.answer(Answer::new(200).body(&refused));
        assert_eq!(slack.deliver(&message_to(&[])).await, Err(DeliveryError::unauthorized(reason)));
    }

    let other = provider::<Slack>(&config.replace(TOKEN, "xoxb-other")).expect("a valid configuration");
    let refused = other.deliver(&message_to(&[])).await;
    assert_eq!(refused, Err(DeliveryError::unauthorized("Slack answered `invalid_auth`")));
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_webhook_posts() {
    let (config, server) = hook().await;
    let slack = provider::<Slack>(&config).expect("a valid configuration");
    assert_eq!(slack.deliver(&message_to(&[])).await, Ok(Receipt::with_reference("ok")));
    let request = server.requests().pop().expect("a request");
    assert_eq!(request.body, br#"{"text":"*Test*\na &lt; b"}"#);
    assert!(!request.headers.contains_key("authorization"));
    let named = slack.deliver(&message_to(&["C1"])).await;
    let reason = "an incoming webhook posts to its own channel: leave `to` empty";
    assert_eq!(named, Err(DeliveryError::permanent(reason)));
    let nothing = slack.deliver(&Message::default()).await;
    assert_eq!(nothing, Err(DeliveryError::permanent("the server answered 400 Bad Request: no_text")));

    let gone = provider::<Slack>(&config.replace("hunter2", "gone")).expect("a valid configuration");
    let refused = gone.deliver(&message_to(&[])).await;
    assert_eq!(refused, Err(DeliveryError::unauthorized("Slack answered `no_service`")));
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn what_answers_mean() {
    let later = |reason: &str, seconds: Option<u64>| DeliveryError::Temporary {
        reason: reason.to_owned(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let refused = |error: &str| Answer::new(200).body(&json!({ "ok": false, "error": error }).to_string());
    let limited = Answer::new(429).header("retry-after", "30").body("{\"ok\":false,\"error\":\"ratelimited\"}");
    // Read to its end, it would be a receipt.
    let large = " ".repeat(2 << 20) + "{\"ok\":true}";
    let ((bot, api), (hook, webhook)) = (bot().await, hook().await);
    for (server, config, cases) in [
        (
            api,
            bot,
            vec![
                (refused("is_archived"), DeliveryError::unauthorized("Slack answered `is_archived`")),
                (refused("msg_too_long"), DeliveryError::permanent("Slack answered `msg_too_long`")),
                (refused("token_revoked"), DeliveryError::unauthorized("Slack answered `token_revoked`")),
                (refused("internal_error"), later("Slack answered `internal_error`", None)),
                (limited, later("Slack answered `ratelimited`", Some(30))),
                (refused("<b>no</b>"), later("the server answered 200 OK, but not as Slack does", None)),
                (Answer::new(200), later("the server answered 200 OK, but not as Slack does", None)),
                (Answer::new(200).body(&large), later("the server answered 200 OK, but not as Slack does", None)),
                (Answer::new(502).body("<html>"), later("the server answered 502 Bad Gateway", None)),
            ],
        ),
        (
            webhook,
            hook,
            vec![
                (Answer::new(410).body("channel_is_archived"), {
                    DeliveryError::unauthorized("Slack answered `channel_is_archived`")
                }),
                (Answer::new(403).body("invalid_token"), {
                    DeliveryError::unauthorized("Slack answered `invalid_token`")
                }),
                (Answer::new(500).body("rollup_error"), {
                    later("the server answered 500 Internal Server Error: rollup_error", None)
                }),
                (Answer::new(429).header("retry-after", "30"), {
                    later("the server answered 429 Too Many Requests", Some(30))
                }),
                (Answer::new(200).body("<html>"), later("the server answered 200 OK, but not as Slack does", None)),
            ],
        ),
    ] {
        let slack = provider::<Slack>(&config).expect("a valid configuration");
        for (answer, expected) in cases {
            server.answer(answer.clone());
            assert_eq!(slack.deliver(&message_to(&[])).await, Err(expected), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn settings_that_cannot_work_are_errors() {
    for (config, expected) in [
        ("", "webhook: missing: set it, or `token`"),
        ("webhook = \"https://example.org\"\ntoken = \"a\"", "token: `webhook` is there too: keep one of them"),
        (
            "webhook = \"hunter2:a\"\nchannel = \"C1\"\nurl = \"https://slack.com/api\"",
            "webhook: not an address such as `https://hooks.slack.com/services/...`; channel: an incoming webhook has its own: \
             remove this; url: an incoming webhook has its own: remove this",
        ),
        (
            "token = \"a\\n\"\nurl = \"ftp://example.org\"",
            "url: `ftp` is neither https nor http; token: a token has visible ASCII characters only, no space and \
             no line feed: copy the token alone",
        ),
        ("token = \"a\"\nchannel = \"\"", "channel: not a channel such as `C0123456789`: copy its id from Slack"),
        ("token = \"a\"\nchannel = \"a b\"", "channel: not a channel such as `C0123456789`: copy its id from Slack"),
    ] {
        assert_eq!(provider::<Slack>(config).err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
    let config = provost_test::config::<Slack>("token = \"a\"").expect("a valid configuration");
    match Way::new(config) {
        Ok(Way::Bot { url, .. }) => assert_eq!(url.as_str(), "https://slack.com/api/chat.postMessage"),
        _ => panic!("a bot"),
    }
}
