//! Against a server that takes what ntfy documents, and nothing else.

use super::*;
use provost_sdk::serde::Deserialize;
use provost_sdk::serde_json::{Value, json};
use provost_sdk::tokio;
use provost_test::{Answer, HttpRequest, HttpServer, message, provider};
use std::time::Duration;

const TOKEN: &str = "tk_hunter2";

#[derive(Deserialize)]
#[serde(crate = "provost_sdk::serde", deny_unknown_fields)]
struct Publish {
    topic: String,
    message: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    priority: Option<u8>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    click: Option<String>,
}

fn error(code: u32, status: u16, error: &str) -> Answer {
    Answer::new(status).body(&json!({ "code": code, "http": status, "error": error }).to_string())
}

/// What ntfy answers. The topics `open` and `alerts` exist; only `open` can do without a login.
fn ntfy(request: &HttpRequest) -> Answer {
    if request.path != "/" || !["POST", "PUT"].contains(&request.method.as_str()) {
        return error(40401, 404, "page not found");
    }
    // `alice:hunter2`
    let known = ["Bearer tk_hunter2", "Basic YWxpY2U6aHVudGVyMg=="];
    let login = request.headers.get("authorization").map(String::as_str);
    if login.is_some_and(|login| !known.contains(&login)) {
        return error(40101, 401, "unauthorized");
    }
    let Ok(sent) = serde_json::from_slice::<Publish>(&request.body) else {
        return error(40024, 400, "invalid request: request body must be valid JSON");
    };
    let letter = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    match sent {
        Publish { topic, .. } if topic.is_empty() || topic.len() > 64 || !topic.chars().all(letter) => {
            error(40009, 400, "invalid request: topic invalid")
        }
        Publish { topic, .. } if topic != "open" && login.is_none() => error(40301, 403, "forbidden"),
        Publish { priority: Some(0 | 6..), .. } => error(40007, 400, "invalid request: priority invalid"),
        Publish { message, .. } if message.len() > 4096 => {
            error(40014, 400, "invalid request: attachments not allowed")
        }
        Publish { topic, message, title, priority, tags, click } => Answer::new(200).body(
            &json!({
                "id": "hwQ2YpKdmg", "time": 1_700_000_000, "expires": 1_700_043_200, "event": "message", "topic": topic,
                "message": message, "title": title, "priority": priority, "tags": tags, "click": click,
            })
            .to_string(),
        ),
    }
}

async fn server(login: &str) -> (String, HttpServer) {
    let server = HttpServer::start_with(ntfy).await;
    (format!("url = \"{}\"\ntopic = \"alerts\"\n{login}", server.url()), server)
}

/// The kit's message has a recipient that no topic can have.
async fn willing(login: &str) -> (String, HttpServer) {
    let server = HttpServer::start_with(|_| Answer::new(200).body("{\"id\":\"a\"}")).await;
    (format!("url = \"{}\"\n{login}", server.url()), server)
}

provost_test::conformance!(Ntfy, willing("token = \"tk_hunter2\"").await, secrets = [TOKEN]);

mod by_name {
    use super::*;

    provost_test::conformance!(Ntfy, willing("user = \"alice\"\npassword = \"hunter2\"").await, secrets = ["hunter2"],);
}

fn message_to(to: &[&str]) -> Message {
    Message { to: to.iter().map(|&to| to.to_owned()).collect(), ..message("the text") }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_message_is_published() {
    for login in ["token = \"tk_hunter2\"", "user = \"alice\"\npassword = \"hunter2\""] {
        let (config, server) = server(login).await;
        let ntfy = provider::<Ntfy>(&config).expect("a valid configuration");
        for (to, topic) in [(&[][..], "alerts"), (&["disk"], "disk")] {
            let mut message = message_to(to);
            message.metadata =
                [("priority", "4"), ("tags", "a,b"), ("click", "https://example.org"), ("host", "web-1")]
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into();
            assert_eq!(ntfy.deliver(&message).await, Ok(Receipt::with_reference("hwQ2YpKdmg")));
            let body: Value = serde_json::from_slice(&server.requests().pop().expect("a request").body).expect("JSON");
            let expected = json!({
                "topic": topic, "title": "Test", "message": "the text", "priority": 4, "tags": ["a", "b"],
                "click": "https://example.org",
            });
            assert_eq!(body, expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn refusals() {
    let (config, server) = server("").await;
    let ntfy = provider::<Ntfy>(&config).expect("a valid configuration");
    assert_eq!(ntfy.deliver(&message_to(&["open"])).await, Ok(Receipt::with_reference("hwQ2YpKdmg")));
    let invalid = "the server answered 400 Bad Request: invalid request: topic invalid";
    let several = "`to` has 2 recipients, and this provider takes one: send each a message";
    for (to, expected) in [
        (&["no topic"][..], DeliveryError::permanent(invalid)),
        (&["open", "alerts"], DeliveryError::permanent(several)),
        (&["alerts"], DeliveryError::permanent("the server answered 403 Forbidden: forbidden; the host has no login")),
        (&[], DeliveryError::unauthorized("the server answered 403 Forbidden: forbidden; the host has no login")),
    ] {
        assert_eq!(ntfy.deliver(&message_to(to)).await, Err(expected));
    }
    let known = provider::<Ntfy>(&format!("{config}\ntoken = \"{TOKEN}\"")).expect("a valid configuration");
    for (to, expected) in [
        (&["alerts"][..], DeliveryError::permanent("the server answered 403 Forbidden: forbidden")),
        (&[], DeliveryError::unauthorized("the server answered 403 Forbidden: forbidden")),
    ] {
        server.answer(error(40301, 403, "forbidden"));
        assert_eq!(known.deliver(&message_to(to)).await, Err(expected));
    }
    let later = |reason: &str, seconds: Option<u64>| DeliveryError::Temporary {
        reason: reason.to_owned(),
        retry_after: seconds.map(Duration::from_secs),
    };
    let limited = "limit reached: too many requests";
    for (answer, expected) in [
        (error(42901, 429, limited).header("retry-after", "7"), {
            later(&format!("the server answered 429 Too Many Requests: {limited}"), Some(7))
        }),
        (Answer::new(403).body("<html>"), DeliveryError::unauthorized("the server answered 403 Forbidden")),
        (error(50701, 507, "disk full"), later("the server answered 507 Insufficient Storage: disk full", None)),
        (Answer::new(502).body("<html>"), later("the server answered 502 Bad Gateway", None)),
        (Answer::new(200).body("<html>"), later("the server answered 200 OK, but not as ntfy does", None)),
        // Of an answer that is this long, the end is not read.
        (
            Answer::new(200).body(&format!("{{\"id\":\"a\"{}}}", " ".repeat(1 << 20))),
            later("the server answered 200 OK, but not as ntfy does", None),
        ),
    ] {
        server.answer(answer.clone());
        assert_eq!(ntfy.deliver(&message_to(&["open"])).await, Err(expected), "{answer:?}");
    }
    let other = provider::<Ntfy>(&format!("{config}\ntoken = \"tk_other\"")).expect("a valid configuration");
    let expected = DeliveryError::unauthorized("the server answered 401 Unauthorized: unauthorized");
    assert_eq!(other.deliver(&message_to(&["open"])).await, Err(expected));
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn settings_that_cannot_work_are_errors() {
    let login = "url: it has a login: set `token`, or `user` and `password`, instead";
    let path =
        "url: ntfy takes messages only at its root: remove path, query and fragment, and put the topic into `topic`";
    for (config, expected) in [
        ("url = \"https://ntfy.sh/alerts\"", path),
        ("url = \"https://ntfy.sh//\"", path),
        ("url = \"https://ntfy.sh?auth=hunter2\"", path),
        ("url = \"https://ntfy.sh/#alerts\"", path),
        ("url = \"https://alice:hunter2@ntfy.sh/\"", login),
        ("url = \"https://alice@ntfy.sh/\"", login),
        ("url = \"https://:hunter2@ntfy.sh/\"", login),
        ("token = \"a\"\nuser = \"b\"", "token: `user` or `password` is there too: keep one way to log in"),
        ("user = \"a\"", "user: missing password: set `password`"),
        ("password = \"a\"", "password: missing user: set `user`"),
        (
            "user = \"a:b\"\npassword = \"c\\n\"",
            "user: a user's name has no `:` and no control character; \
             password: a password has no control character, such as a line feed",
        ),
        (
            "url = \"ftp://a\"\ntoken = \"a\\n\"\ntopic = \"a b\"",
            "url: `ftp` is neither https nor http; token: a token has visible ASCII characters only, no space and \
             no line feed: copy the token alone; topic: not 1 to 64 letters, digits, `-` or `_`",
        ),
    ] {
        assert_eq!(provider::<Ntfy>(config).err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
    let config = provost_test::config::<Ntfy>("").expect("a valid configuration");
    assert_eq!(config.url, "https://ntfy.sh");
}
