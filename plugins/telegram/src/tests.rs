//! Against a server that takes what the Bot API documents, and nothing else.

use super::*;
use provost_sdk::serde::Deserialize;
use provost_sdk::serde_json::{self, Value, json};
use provost_sdk::tokio;
use provost_test::{Answer, HttpRequest, HttpServer, message, provider};
use std::time::Duration;

const TOKEN: &str = "123456:ABC-DEF_hunter2";
const METHOD: &str = "/bot123456:ABC-DEF_hunter2/sendMessage";

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde", deny_unknown_fields)]
struct SendMessage {
    chat_id: Value,
    text: String,
    parse_mode: Option<String>,
}

fn error(code: u16, description: &str) -> Answer {
    let body = json!({ "ok": false, "error_code": code, "description": description });
    Answer::new(code).body(&body.to_string())
}

/// What Telegram answers.
fn telegram(request: &HttpRequest) -> Answer {
    if request.path != METHOD {
        return if request.path.ends_with("/sendMessage") {
            error(401, "Unauthorized")
        } else {
            error(404, "Not Found")
        };
    }
    if request.method != "POST" || request.headers.get("content-type").is_none_or(|kind| kind != "application/json") {
        return error(400, "Bad Request: message text is empty");
    }
    let Ok(sent) = serde_json::from_slice::<SendMessage>(&request.body) else {
        return error(400, "Bad Request: can't parse the arguments");
    };
    let shown = match sent.parse_mode.as_deref() {
        None => sent.text,
        Some("HTML") => match unmarked(&sent.text) {
            Some(text) => text,
            None => return error(400, "Bad Request: can't parse entities"),
        },
        Some(_) => return error(400, "Bad Request: unsupported parse_mode"),
    };
    match (shown.encode_utf16().count(), sent.chat_id.as_i64(), sent.chat_id.as_str()) {
        (0, ..) => error(400, "Bad Request: message text is empty"),
        (4097.., ..) => error(400, "Bad Request: message is too long"),
        (_, Some(7), _) => error(403, "Forbidden: bot was blocked by the user"),
        (_, Some(chat), _) => sent_to(chat),
        (_, _, Some(name)) if name.starts_with('@') && name != "@nobody" => sent_to(-100),
        _ => error(400, "Bad Request: chat not found"),
    }
}

fn sent_to(chat: i64) -> Answer {
    let result = json!({ "message_id": 42, "date": 1, "chat": { "id": chat, "type": "private" }, "text": "" });
    Answer::new(200).body(&json!({ "ok": true, "result": result }).to_string())
}

/// What is shown of a text in HTML with bold parts; `None` if it is not valid.
fn unmarked(text: &str) -> Option<String> {
    let text = text.replace("<b>", "").replace("</b>", "");
    let rest = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
    let shown = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    (!rest.contains(['<', '>', '&'])).then_some(shown)
}

async fn config() -> (String, HttpServer) {
    let server = HttpServer::start_with(telegram).await;
    (format!("url = \"{}\"\ntoken = \"{TOKEN}\"\nchat = \"-1001\"", server.url()), server)
}

/// The kit's message has a recipient that Telegram does not know.
async fn willing() -> (String, HttpServer) {
    let server = HttpServer::start_with(|_| sent_to(1)).await;
    (format!("url = \"{}\"\ntoken = \"{TOKEN}\"", server.url()), server)
}

provost_test::conformance!(Telegram, willing().await, secrets = [TOKEN]);

fn message_to(to: &[&str]) -> Message {
    Message { to: to.iter().map(|&to| to.to_owned()).collect(), ..message("a < b") }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_message_is_sent() {
    let (config, server) = config().await;
    let telegram = provider::<Telegram>(&config).expect("a valid configuration");
    for (to, chat, reference) in [
        (&[][..], json!(-1001), "message 42 in chat -1001"),
        (&["5"], json!(5), "message 42 in chat 5"),
        (&["@alerts"], json!("@alerts"), "message 42 in chat -100"),
    ] {
        assert_eq!(telegram.deliver(&message_to(to)).await, Ok(Receipt::with_reference(reference)));
        let request = server.requests().pop().expect("a request");
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        assert_eq!(body, json!({ "chat_id": chat, "text": "<b>Test</b>\na &lt; b", "parse_mode": "HTML" }));
    }
    for (to, expected) in [
        (&["@nobody"][..], "Telegram answered 400: Bad Request: chat not found"),
        (&["7"], "Telegram answered 403: Forbidden: bot was blocked by the user"),
        (&["5", "6"], "`to` has 2 recipients, and this provider takes one: send each a message"),
    ] {
        assert_eq!(telegram.deliver(&message_to(to)).await, Err(DeliveryError::permanent(expected)));
    }
    let nothing = telegram.deliver(&Message::default()).await;
    assert_eq!(nothing, Err(DeliveryError::permanent("Telegram answered 400: Bad Request: message text is empty")));

    // The same refusals of the configuration's chat are not the message's fault.
    for (chat, expected) in [
        ("@nobody", "Telegram answered 400: Bad Request: chat not found"),
        ("7", "Telegram answered 403: Forbidden: bot was blocked by the user"),
    ] {
        let default = provider::<Telegram>(&config.replace("-1001", chat)).expect("a valid configuration");
        assert_eq!(default.deliver(&message_to(&[])).await, Err(DeliveryError::unauthorized(expected)));
    }

    let other = provider::<Telegram>(&config.replace("hunter2", "other")).expect("a valid configuration");
    let refused = other.deliver(&message_to(&[])).await;
    assert_eq!(refused, Err(DeliveryError::unauthorized("Telegram answered 401: Unauthorized")));
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn what_answers_mean() {
    let later = |reason: &str, seconds: Option<u64>| DeliveryError::Temporary {
        reason: reason.to_owned(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let limited = json!({
        "ok": false,
        "error_code": 429,
        "description": "Too Many Requests: retry after 30",
        "parameters": { "retry_after": 30 },
    });
    let migrated = json!({
        "ok": false,
        "error_code": 400,
        "description": "Bad Request: group chat was upgraded to a supergroup chat",
        "parameters": { "migrate_to_chat_id": -1002 },
    });
    let moved =
        "Telegram answered 400: Bad Request: group chat was upgraded to a supergroup chat; the chat's id is now -1002";
    let (config, server) = config().await;
    let telegram = provider::<Telegram>(&config).expect("a valid configuration");
    for (answer, expected) in [
        (Answer::new(429).body(&limited.to_string()), {
            later("Telegram answered 429: Too Many Requests: retry after 30", Some(30))
        }),
        (error(429, "Too Many Requests").header("retry-after", "7"), {
            later("Telegram answered 429: Too Many Requests", Some(7))
        }),
        (error(404, "Not Found"), DeliveryError::unauthorized("Telegram answered 404: Not Found")),
        (error(500, "Internal Server Error"), later("Telegram answered 500: Internal Server Error", None)),
        (error(400, TOKEN), DeliveryError::permanent("Telegram answered 400: ***")),
        (Answer::new(502).body("<html>"), later("the server answered 502 Bad Gateway", None)),
        (Answer::new(200).body("{\"ok\":true}"), {
            later("the server answered 200 OK, but not as Telegram does", None)
        }),
    ] {
        server.answer(answer.clone());
        assert_eq!(telegram.deliver(&message_to(&[])).await, Err(expected), "{answer:?}");
    }
    let refused =
        |code, description: &str| (error(code, description), format!("Telegram answered {code}: {description}"));
    for (answer, reason) in [
        (Answer::new(400).body(&migrated.to_string()), moved.to_owned()),
        refused(400, "Bad Request: chat not found"),
        refused(400, "Bad Request: not enough rights to send text messages to the chat"),
        refused(400, "Bad Request: need administrator rights in the channel chat"),
        refused(400, "Bad Request: CHAT_WRITE_FORBIDDEN"),
        refused(403, "Forbidden: bot was kicked from the group chat"),
    ] {
        server.answer(answer.clone());
        let expected = DeliveryError::unauthorized(reason.clone());
        assert_eq!(telegram.deliver(&message_to(&[])).await, Err(expected), "{answer:?}");
        server.answer(answer.clone());
        let expected = DeliveryError::permanent(reason);
        assert_eq!(telegram.deliver(&message_to(&["5"])).await, Err(expected), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn no_error_of_a_connection_has_the_token() {
    let (config, server) = config().await;
    let telegram = provider::<Telegram>(&config).expect("a valid configuration");
    drop(server);
    let error = telegram.deliver(&message_to(&[])).await.expect_err("nobody listens");
    assert!(matches!(error, DeliveryError::Temporary { .. }), "{error:?}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn settings_that_cannot_work_are_errors() {
    let wrong = "token: not a bot's token such as `123456:ABC-DEF`: copy what BotFather gave you";
    for (config, expected) in [
        ("", "missing field `token`"),
        ("token = \"hunter2\"", wrong),
        ("token = \"1:\"", wrong),
        ("token = \"1:a/../b\"", wrong),
        ("token = \"1:a?b\"\nurl = \"a\"", &format!("{wrong}; url: this is not a URL: relative URL without a base")),
        ("token = \"1:a\"\nchat = \"\"", "chat: not a chat such as `-1001234567890` or `@name`"),
        ("token = \"1:a\"\nchat = \"name\"", "chat: not a chat such as `-1001234567890` or `@name`"),
        ("token = \"1:a\"\nchat = \"@a b\"", "chat: not a chat such as `-1001234567890` or `@name`"),
    ] {
        assert_eq!(provider::<Telegram>(config).err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
    let config = provost_test::config::<Telegram>("token = \"1:a\"").expect("a valid configuration");
    assert_eq!(config.url, "https://api.telegram.org");
}
