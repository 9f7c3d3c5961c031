use super::*;
use provost_sdk::tokio;
use provost_test::{Answer, HttpServer, message, provider};

const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

async fn config() -> (String, HttpServer) {
    let server = HttpServer::start().await;
    let allowed = "whitelist_subnets = [\"127.0.0.0/8\"]";
    (format!("url = \"{}/hook\"\nsecret = \"whsec_{KEY}\"\n{allowed}\n", server.url()), server)
}

async fn with_logins() -> (String, HttpServer) {
    let (config, server) = config().await;
    (config + "basic = { user = \"alice\", password = \"hunter2\" }\nheaders = { X-Token = \"t0ken\" }\n", server)
}

provost_test::conformance!(Webhook, with_logins().await, secrets = [KEY, "hunter2", "t0ken"]);

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn what_refuses_the_host_is_no_refusal_of_the_message() {
    let (config, server) = config().await;
    let webhook = provider::<Webhook>(&config).expect("a valid configuration");
    for (status, text) in [
        (301, "301 Moved Permanently"),
        (302, "302 Found"),
        (304, "304 Not Modified"),
        (307, "307 Temporary Redirect"),
        (308, "308 Permanent Redirect"),
        (401, "401 Unauthorized"),
        (403, "403 Forbidden"),
        (404, "404 Not Found"),
        (405, "405 Method Not Allowed"),
        (407, "407 Proxy Authentication Required"),
        (410, "410 Gone"),
    ] {
        server.answer(Answer::new(status).header("location", "/elsewhere"));
        let expected = DeliveryError::unauthorized(format!("the server answered {text}"));
        assert_eq!(webhook.deliver(&message("hello")).await, Err(expected));
        let asked: Vec<_> = server.requests().into_iter().map(|request| request.path).collect();
        assert!(asked.iter().all(|path| path == "/hook"), "{status}: {asked:?}");
    }
    for (status, text) in [(400, "400 Bad Request"), (413, "413 Payload Too Large"), (422, "422 Unprocessable Entity")]
    {
        server.answer(Answer::new(status));
        let expected = DeliveryError::permanent(format!("the server answered {text}"));
        assert_eq!(webhook.deliver(&message("hello")).await, Err(expected));
    }
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn settings_that_cannot_work_are_errors() {
    let check = |url: &str, more: &str, expected: &str| {
        let config = format!("url = \"{url}\"\nsecret = \"{KEY}\"\n{more}");
        let error = provider::<Webhook>(&config).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), Some(expected), "{config}");
    };
    let url = "https://example.org";
    check("https://example.org:0", "", "url: nothing can listen on port 0");
    check("https://", "", "url: this is not a URL: empty host");
    check("https://example.org.", "", "url: no host can have this name: it ends with a dot");
    let meant = "which is not on the internet: if it is meant, add it to `whitelist_subnets`";
    check("http://127.0.0.1:8080/", "", &format!("url: its host is 127.0.0.1 (loopback), {meant}"));
    check("http://0x7f.1", "", &format!("url: its host is 127.0.0.1 (loopback), {meant}"));
    check("http://[fd00::1]", "", &format!("url: its host is fd00::1 (unique local), {meant}"));
    check(
        url,
        "whitelist_subnets = [\"lan\"]",
        "whitelist_subnets: `lan` is not a network such as \"10.0.0.0/8\", or an address",
    );
    check(
        url,
        "[headers]\n\"a b\" = \"1\"\nx-a = \"1\"\nX-A = \"2\"\nWebhook-Id = \"1\"\nx-b = \"ä\"\nx-c = \"1\\n\"",
        "headers.Webhook-Id: this header is set by the plugin: remove it; \
        headers.a b: no header has such a name: use letters, digits and `-`; \
        headers.x-a: the same header is there in other letters: keep one of them; \
        headers.x-b: no header has such a value: it may have ASCII characters only, and no line feed; \
        headers.x-c: no header has such a value: it may have ASCII characters only, and no line feed",
    );
    // What has the wrong type may be a secret.
    check(url, "basic = \"alice:hunter2\"", "basic: invalid type: a text, expected a table");
    check(url, "headers = \"Authorization: hunter2\"", "headers: invalid type: a text, expected a table");
    check(
        "https://alice@example.org",
        "bearer = \"t\"\nbasic = { user = \"a\", password = \"b\" }\nheaders = { Authorization = \"c\" }",
        "bearer: logs in, as `basic` does: keep one of them; \
        headers.authorization: logs in, as `basic` does: keep one of them; \
        url: logs in, as `basic` does: keep one of them",
    );
    check(
        url,
        "basic = { user = \"a:b\", password = \"c\" }",
        "basic.user: a user's name has no `:` and no control character",
    );
    check(
        url,
        "basic = { user = \"a\", password = \"c\\n\" }",
        "basic.password: a password has no control character, such as a line feed",
    );
    check(
        url,
        "bearer = \"a b\"",
        "bearer: a token has visible ASCII characters only, no space and no line feed: copy the token alone",
    );
    let empty = provider::<Webhook>("url = \"https://example.org\"\nsecret = \"  \"").err();
    assert_eq!(
        empty.map(|error| error.to_string()).as_deref(),
        Some("secret: empty: set it, say where it is by `env:NAME` or `file:/PATH`, or remove it")
    );
}

/// A name is looked up for each connection, and each time its addresses are looked at.
#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_name_that_resolves_to_this_machine() {
    let (config, server) = config().await;
    let by_name = config.replace("127.0.0.1", "localhost");
    let webhook = provider::<Webhook>(&by_name).expect("a valid configuration");
    webhook.deliver(&message("hello")).await.expect("it is delivered");
    let not_allowed = by_name.replace("127.0.0.0/8", "10.0.0.0/8");
    let webhook = provider::<Webhook>(&not_allowed).expect("a name says nothing");
    match webhook.deliver(&message("hello")).await {
        Err(DeliveryError::Temporary { reason, retry_after: None }) => {
            let reason = reason.replace("::1", "127.0.0.1");
            let expected = "the URL's host resolves to 127.0.0.1 (loopback), which is not on the internet: if it is meant, add it \
                            to `whitelist_subnets`";
            assert_eq!(reason, expected);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn a_message_is_posted_and_signed() {
    let (config, server) = config().await;
    let webhook = provider::<Webhook>(&config).expect("a valid configuration");
    let receipt = webhook.deliver(&message("hello")).await.expect("it is delivered");
    assert_eq!(receipt, Receipt::with_reference("200 OK"));
    let request = server.requests().pop().expect("a request");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook"));
    assert!(!request.headers.contains_key("authorization"), "{:?}", request.headers);
    let body = String::from_utf8(request.body).expect("JSON is text");
    let key = Key::parse(KEY).expect("a valid key");
    let timestamp = request.headers["webhook-timestamp"].parse().expect("seconds");
    assert_eq!(request.headers["webhook-signature"], signature::sign(&[key], "test-1", timestamp, &body));

    server.answer(Answer::new(503).header("retry-after", "7"));
    let error = webhook.deliver(&message("hello")).await.expect_err("it is refused");
    let expected = std::time::Duration::from_secs(7);
    assert!(
        matches!(&error, DeliveryError::Temporary { retry_after: Some(after), .. } if *after == expected),
        "{error:?}"
    );
}

#[tokio::test(flavor = "multi_thread", crate = "provost_sdk::tokio")]
async fn headers_and_logins_are_sent() {
    let (config, server) = config().await;
    for (more, expected) in [
        (
            "basic = { user = \"Aladdin\", password = \"open sesame\" }",
            ("authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ),
        ("bearer = \"t0ken\"", ("authorization", "Bearer t0ken")),
        ("headers = { Authorization = \"Token t0ken\" }", ("authorization", "Token t0ken")),
        ("headers = { X-Team = \"ops and more\" }", ("x-team", "ops and more")),
        ("headers = { User-Agent = \"ours\" }", ("user-agent", "ours")),
    ] {
        let webhook = provider::<Webhook>(&format!("{config}{more}\n")).expect("a valid configuration");
        webhook.deliver(&message("hello")).await.expect("it is delivered");
        let request = server.requests().pop().expect("a request");
        assert_eq!(request.headers[expected.0], expected.1);
        assert_eq!(request.headers["content-type"], "application/json");
    }
}
