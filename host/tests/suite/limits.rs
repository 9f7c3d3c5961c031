//! What a message may have, and what callers can take of the built host's memory.

use crate::support::load::in_small_chunks;
use crate::support::unruly::provider;
use crate::support::{Host, client, dir};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
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
    const BODIES: usize = 3;
    let host = Host::start(FILE);
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
