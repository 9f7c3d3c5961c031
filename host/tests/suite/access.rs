//! Who may send messages to the built host: by token, by address, through which provider, and how often.

use crate::support::{Host, address, client, digest, dir, provost, write_config};
use reqwest::Response;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Stdio};
use tempfile::TempDir;
use tokio::task::JoinSet;

async fn send(host: SocketAddr, token: Option<&str>, provider: &str) -> Response {
    let request = client().post(format!("http://{host}/v1/messages"));
    let request = request.json(&json!({ "provider": provider, "text": "a" }));
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    request.send().await.expect("the host answers")
}

/// Status and kind of the problem, or the status alone.
async fn outcome(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let answer: Value = response.json().await.expect("JSON");
    let kind = answer["type"].as_str().unwrap_or_default();
    (status, kind.trim_start_matches("urn:provost:problem:").to_owned())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn clients_have_tokens_providers_and_a_rate() {
    let dir = dir();
    let provider = |name: &str| format!("[providers.{name}]\nplugin = \"file\"\npath = {:?}\n", dir.path().join(name));
    let clients = format!(
        "[clients.one]\ntokens = [\"{}\", \"{}\"]\n[clients.two]\ntokens = [\"{}\"]\nproviders = [\"b\"]\nrate_limit = 1\n",
        digest("old"),
        digest("new"),
        digest("two")
    );
    let host = Host::start(&(clients + &provider("a") + &provider("b")));
    for (token, provider, status, kind) in [
        (None, "a", 401, "unauthenticated"),
        (Some("none"), "a", 401, "unauthenticated"),
        (Some("old"), "a", 200, ""),
        (Some("new"), "b", 200, ""),
        (Some("two"), "a", 403, "forbidden"),
        (Some("two"), "b", 200, ""),
    ] {
        let response = send(host.address, token, provider).await;
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401, "{token:?} {provider}");
        assert_eq!(outcome(response).await, (status, kind.to_owned()), "{token:?} {provider}");
    }
    // All at once: however slow the machine is, they do not take as many seconds as they are.
    let mut senders = JoinSet::new();
    for _ in 0..20 {
        let address = host.address;
        senders.spawn(async move { send(address, Some("two"), "b").await });
    }
    let (taken, refused): (Vec<_>, Vec<_>) = senders.join_all().await.into_iter().partition(|one| one.status() == 200);
    assert!(taken.len() < 20 && !refused.is_empty(), "{} were taken", taken.len());
    for response in refused {
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(outcome(response).await, (429, "rate-limited".to_owned()));
    }
    assert_eq!(send(host.address, Some("new"), "b").await.status(), 200);
    let answer = client().get(host.url("/v1/providers")).bearer_auth("two").send().await.expect("the host answers");
    let answer: Value = answer.json().await.expect("JSON");
    let names: Vec<_> = answer["providers"].as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["b"]);
    // Of what a client may not use it is told nothing, not even a name.
    for (name, hint) in [("a", "did you mean `b`?"), ("aa", "GET /v1/providers lists all providers")] {
        let request = client().get(host.url(&format!("/v1/providers/{name}"))).bearer_auth("two");
        let problem: Value = request.send().await.expect("the host answers").json().await.expect("JSON");
        let detail = format!("there is no provider `{name}`: {hint}");
        assert_eq!((&problem["status"], &problem["detail"]), (&json!(404), &json!(detail)));
    }
    for (path, status) in [("/healthz", 200), ("/metrics", 401), ("/v1/providers", 401)] {
        let answer = client().get(host.url(path)).send().await.expect("the host answers");
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn metrics_and_health_can_have_an_address_of_their_own() {
    let token = digest("one");
    let clients = format!("metrics_listen = \"127.0.0.1:0\"\n[clients.one]\ntokens = [\"{token}\"]\n");
    let host = Host::start(&clients);
    let metrics = host.metrics_address();
    for (path, status) in [("/metrics", 200), ("/healthz", 200), ("/readyz", 200), ("/v1/providers", 404)] {
        let answer = client().get(format!("http://{metrics}{path}")).send().await.expect("the host answers");
        assert_eq!(answer.status(), status, "{path}");
    }
    assert_eq!(client().get(host.url("/metrics")).send().await.expect("the host answers").status(), 401);
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// An address of this machine that is not loopback, if it has one: connecting a UDP socket sends nothing.
fn outside() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("192.0.2.1:9").expect("this machine has a network");
    socket.local_addr().expect("it is bound").ip()
}

/// A host that listens everywhere, and its directory.
fn everywhere(server: &str, token: Option<&str>) -> (Child, SocketAddr, TempDir) {
    let dir = dir();
    let path = dir.path().join("messages");
    let text = format!("[server]\nlisten = \"0.0.0.0:0\"\n{server}[providers.file]\npath = {path:?}\n");
    let mut command = provost();
    command.arg("--config").arg(write_config(dir.path(), &text)).args(["--prov", "file.prov"]);
    command.envs(token.map(|token| ("PROVOST_TOKEN", token)));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the host starts");
    let mut log = BufReader::new(child.stderr.take().expect("it was asked for")).lines().map_while(Result::ok);
    let found = log.find_map(|line| address(&line)).expect("it listens");
    std::thread::spawn(move || log.for_each(drop));
    (child, found, dir)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn nobody_asks_from_outside_without_a_token() {
    for (server, given, near, far) in [
        ("", None, 200, 401),
        ("", Some("correct horse"), 401, 401),
        ("anonymous = \"everyone\"\n", None, 200, 200),
        ("anonymous = \"loopback\"\n", None, 200, 401),
        ("anonymous = \"nobody\"\n", None, 401, 401),
    ] {
        let (mut child, host, _dir) = everywhere(server, given);
        let mut printed = BufReader::new(child.stdout.take().expect("it was asked for"));
        let (here, there) = (([127, 0, 0, 1], host.port()).into(), (outside(), host.port()).into());
        for (from, expected) in [(here, near), (there, far)] {
            assert_eq!(send(from, None, "file").await.status(), expected, "{server} {given:?}");
        }
        let mut line = String::new();
        if server.is_empty() && given.is_none() {
            printed.read_line(&mut line).expect("text");
            let begin = "no client is configured: until the next start, requests need the token ";
            assert!(line.starts_with(begin), "{line}");
        }
        let token = given.or(line.split_whitespace().last()).unwrap_or("unknown");
        let expected = if token == "unknown" { 401 } else { 200 };
        assert_eq!(send(there, Some(token), "file").await.status(), expected, "{server} {given:?}");
        child.kill().and_then(|()| child.wait()).expect("it runs");
        let rest = std::io::read_to_string(printed).expect("text");
        assert_eq!(rest, "", "{server} {given:?}");
    }
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_token_of_the_environment_can_be_in_a_header() {
    let dir = dir();
    let config = write_config(dir.path(), "");
    for token in ["pässwort", "a\nb"] {
        let output = provost().arg("--config").arg(&config).arg("--check").env("PROVOST_TOKEN", token).output();
        let output = output.expect("the host starts");
        let error =
            "error: PROVOST_TOKEN in the environment has a line break or a letter beyond ASCII, which no header has\n";
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), error));
    }
}

/// The variable makes a client, which may have no more in common with the others than they have with each other.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn the_token_of_the_environment_is_a_clients_own() {
    let dir = dir();
    let clients =
        format!("[clients.default]\ntokens = [{:?}]\n[clients.shop]\ntokens = [{:?}]\n", digest("one"), digest("two"));
    let config = write_config(dir.path(), &clients);
    let check = |token: &str, expected: &[&str]| {
        let output = provost().arg("--config").arg(&config).arg("--check").env("PROVOST_TOKEN", token).output();
        let output = output.expect("the host starts");
        let errors: String = expected.iter().map(|error| format!("error: {}: {error}\n", config.display())).collect();
        let code = if errors.is_empty() { 0 } else { 1 };
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(code), errors.as_str())
        );
    };
    let name = "clients.default: PROVOST_TOKEN in the environment makes a client of this name: name this one otherwise";
    check("", &[]);
    check("  ", &[]);
    check("three", &[name]);
    check(
        " two\n",
        &[name, "clients.shop.tokens: PROVOST_TOKEN in the environment is one of them: each client has its own"],
    );
}
