//! `cargo xtask send`: what goes to a host, and what its answers are in words. The host here is a socket; the real one answers the
//! quick start in CI.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;

use crate::support::{Run, Tree};
use serde_json::{Value, json};

/// What xtask sends with these arguments, and what it says when it gets `answer`.
fn send(tree: &Tree, args: &[&str], stdin: &str, answer: &str) -> (String, Value, Run) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let answer = answer.to_owned();
    let host = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).expect("a header"), 0, "{head}");
        }
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
        let mut body = vec![0; length.expect("a length").parse().expect("a number")];
        reader.read_exact(&mut body).expect("a body");
        let (head_of_answer, text) = answer.split_once("\n\n").expect("a head");
        let head_of_answer = head_of_answer.replace('\n', "\r\n");
        let length = text.len();
        let mut stream = reader.into_inner();
        write!(stream, "HTTP/1.1 {head_of_answer}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}")
            .expect("xtask reads the answer");
        (head, serde_json::from_slice(&body).expect("JSON"))
    });
    let mut command = tree.command(&[&["send"], args, &["--url", &url]].concat());
    let mut xtask =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    xtask.stdin.take().expect("a pipe").write_all(stdin.as_bytes()).expect("it reads");
    let output = xtask.wait_with_output().expect("it ends");
    let (head, body) = host.join().expect("a request");
    let mut run = tree.masked(output);
    run.stderr = run.stderr.replace(&url, "[URL]/");
    (head, body, run)
}

const DELIVERED: &str = "200 OK\n\n{\"id\":\"a1\",\"provider\":\"file\",\"receipt\":{\"reference\":\"line 7\"}}";

#[test]
fn a_message_from_options_or_as_json() {
    let tree = Tree::small("send");
    let (request, body, run) = send(&tree, &["file", "--text", "hello"], "", DELIVERED);
    assert!(request.starts_with("POST /messages HTTP/1.1\r\n") && !request.contains("authorization"), "{request}");
    assert_eq!(body, json!({ "provider": "file", "text": "hello", "to": [], "metadata": {} }));
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (Some(0), "file delivered a1: line 7\n", ""));

    let options = ["--token", "t1", "--subject", "s", "--to", "a", "--to", "b", "--metadata", "k=v=w", "--id", "a1"];
    let (request, body, run) =
        send(&tree, &[&["file", "--text", "x"], &options[..]].concat(), "", "200 OK\n\n{\"id\":\"a1\",\"receipt\":{}}");
    let expected = json!({
        "provider": "file", "text": "x", "subject": "s", "to": ["a", "b"], "metadata": { "k": "v=w" }, "id": "a1"
    });
    assert_eq!((body, run.stdout.as_str()), (expected, "file delivered a1\n"));
    assert!(request.contains("\r\nauthorization: Bearer t1\r\n"), "{request}");

    tree.write("text.html", "<p>x</p>\n");
    tree.write("a b.PDF", "%PDF");
    let files = ["--html", "text.html", "--attach", "a b.PDF", "--attach", "text.html"];
    let (_, body, _) = send(&tree, &[&["file", "--text", "x"], &files[..]].concat(), "", DELIVERED);
    let expected = json!({
        "provider": "file", "text": "x", "to": [], "metadata": {}, "html": "<p>x</p>\n", "attachments": [
            { "name": "a b.PDF", "content_type": "application/pdf", "content": "JVBERg==" },
            { "name": "text.html", "content_type": "text/html", "content": "PHA+eDwvcD4K" },
        ],
    });
    assert_eq!(body, expected);

    let (_, body, run) = send(&tree, &["file", "--json", "-", "--format", "json"], "{\"text\": \"x\"}", DELIVERED);
    assert_eq!(body, json!({ "provider": "file", "text": "x" }));
    assert_eq!(run.stdout, DELIVERED.lines().skip(2).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn a_problem_in_words() {
    let tree = Tree::small("send-problem");
    let problem =
        r#"{"type":"urn:a","title":"refused","status":422,"detail":"no such mailbox","provider":"file","id":"a1"}"#;
    for (head, advice) in [
        ("422 Unprocessable Entity", ""),
        ("401 Unauthorized", "; name a client's token with --token"),
        ("503 Service Unavailable", "; send it again with --id a1 later"),
        ("429 Too Many Requests\nRetry-After: 7", "; send it again with --id a1 in 7 s"),
        ("504 Gateway Timeout", "; it may have arrived: to send it again, use the same id with --id a1"),
    ] {
        let (_, _, run) = send(&tree, &["file", "--text", "x"], "", &format!("{head}\n\n{problem}"));
        let expected = format!("error: file did not deliver the message: no such mailbox (refused){advice}\n");
        assert_eq!((run.code, run.stdout.as_str(), run.stderr), (Some(1), "", expected));
    }
    let (_, _, run) = send(&tree, &["file", "--text", "x"], "", "404 Not Found\n\n<html>\n");
    let expected =
        "error: [URL]/messages does not answer as a host does: `<html>`: expected value at line 1 column 1\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), expected));
}

#[test]
fn what_cannot_be_sent() {
    let tree = Tree::small("send-wrong");
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    tree.write("other.json", "{\"provider\": \"smtp\", \"text\": \"x\"}");
    tree.write("list.json", "[]");
    for (args, expected) in [
        (
            ["file", "--text", "x", "--url", &format!("http://{closed}")].as_slice(),
            format!(
                "no host answers at http://{closed}/messages: Connection refused (os error 111); start one with \
                 `cargo xtask run`, or name another with --url"
            ),
        ),
        (
            &["file", "--text", "x", "--url", "https://example.org"],
            "`https://example.org` does not begin with `http://`; messages are sent without TLS".to_owned(),
        ),
        (&["file", "--json", "other.json"], "the message is for the provider \"smtp\", not for `file`".to_owned()),
        (
            &["file", "--json", "list.json"],
            "list.json is not a message: a JSON object is expected: invalid type: sequence, expected a map at line 1 column 0"
                .to_owned(),
        ),
        (&["file", "--json", "none.json"], "reading none.json: No such file or directory (os error 2)".to_owned()),
    ] {
        let run = tree.xtask(&[&["send"], args].concat());
        assert_eq!((run.code, run.stdout.as_str(), run.stderr), (Some(1), "", format!("error: {expected}\n")));
    }
    tree.replace("Cargo.toml", "send-path = \"/messages\"\n", "");
    let run = tree.xtask(&["send", "file", "--text", "x"]);
    let expected = "error: this host takes no messages; set `send-path` in [workspace.metadata.image] to the path of its HTTP API\n";
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), expected));
}
