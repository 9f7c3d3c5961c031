//! The built host at a unix socket: who may ask, whom it replaces, and what is left of it.

use crate::support::{PATIENCE, client_builder, dir, provost, signal, terminate, write_config};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// A host at `provost.sock` in a directory, killed when it is dropped.
struct Local {
    child: Child,
    log: BufReader<ChildStderr>,
    path: PathBuf,
}

/// Its command. The path is relative: it begins where the configuration is.
fn command(dir: &Path, rest: &str) -> Command {
    let file = dir.join("messages");
    let text = format!("[server]\nlisten = \"unix:provost.sock\"\n{rest}[providers.file]\npath = {file:?}\n");
    let mut command = provost();
    command.arg("--config").arg(write_config(dir, &text)).args(["--prov", "file.prov"]);
    command
}

impl Local {
    fn start(dir: &Path, rest: &str) -> Self {
        let mut child = command(dir, rest).stderr(Stdio::piped()).spawn().expect("the host starts");
        let mut log = BufReader::new(child.stderr.take().expect("it was asked for"));
        let path = dir.join("provost.sock");
        let expected = format!("listening address=unix:{} ", path.display());
        let mut text = String::new();
        while !text.contains(&expected) {
            assert_ne!(log.read_line(&mut text).expect("the log is text"), 0, "the host ended:\n{text}");
        }
        Self { child, log, path }
    }

    /// An answer's status and body.
    async fn ask(&self, method: reqwest::Method, path: &str, host: &str) -> (u16, Value) {
        let client = client_builder().unix_socket(self.path.as_path()).build().expect("a client");
        let request = client.request(method, format!("http://{host}{path}"));
        let request = request.json(&json!({ "provider": "file", "text": "a" }));
        let answer = request.send().await.expect("the host answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn send(&self, host: &str) -> (u16, Value) {
        self.ask(reqwest::Method::POST, "/v1/messages", host).await
    }

    /// Waits for its end, and returns its exit code and what it logged since it listened.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.log.read_to_string(&mut log).expect("the log is text");
        (self.child.wait().expect("it is this process's own").code(), log)
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// A second host, which ends with this error.
fn fails(dir: &Path, expected: &str) {
    let Output { status, stderr, .. } = command(dir, "").output().expect("the host starts");
    let (config, path) = (dir.join("config.toml"), dir.join("provost.sock"));
    let key = format!("error: {}: server.listen: listening on unix:{}: ", config.display(), path.display());
    assert_eq!(String::from_utf8_lossy(&stderr), format!("{key}{expected}\n"));
    assert_eq!(status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn programs_of_this_machine_send() {
    let dir = dir();
    let host = Local::start(dir.path(), "hosts = [\"api.example\"]\npeer_connections_limit = 1\n");
    assert_eq!(mode(&host.path), 0o660);
    let (status, answer) = host.send("api.example").await;
    assert_eq!((status, &answer["provider"]), (200, &json!("file")), "{answer}");
    let (status, problem) = host.send("localhost").await;
    assert_eq!((status, &problem["detail"]), (421, &json!("`localhost` is not in `server.hosts`")));
    // They have no address, so none of them is the same peer as another.
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut stream = UnixStream::connect(&host.path).await.expect("the host listens");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the host reads");
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 4096])).await.expect("an answer or an end");
        assert!(read.is_ok_and(|count| count > 0), "{} are open", open.len());
        open.push(stream);
    }
    terminate(host.child.id());
    let path = host.path.clone();
    assert_eq!(host.wait().0, Some(0));
    assert!(!path.exists(), "the socket is removed");
}

/// Sends a request, or half of one.
async fn begin(host: &Local, path: &str, length: usize, body: &str) -> UnixStream {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = UnixStream::connect(&host.path).await.expect("the host listens");
    stream.write_all((head + body).as_bytes()).await.expect("the host reads");
    stream
}

/// A socket holds some 200 kB, and the answer is longer.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_reads_slowly_has_all_at_the_end() {
    const MESSAGES: usize = 5000;
    let dir = dir();
    let host = Local::start(dir.path(), &format!("shutdown_deadline = \"24s\"\nbatch_limit = {MESSAGES}\n"));
    let body = json!({ "messages": vec![json!({ "provider": "none", "text": "" }); MESSAGES] }).to_string();
    let mut slow = begin(&host, "/v1/messages:batch", body.len(), &body).await;
    let mut answer = vec![slow.read_u8().await.expect("an answer")];
    let mut half = begin(&host, "/v1/messages", 100, "{").await;
    terminate(host.child.id());
    let mut refused = String::new();
    tokio::time::timeout(PATIENCE, half.read_to_string(&mut refused)).await.expect("it is told").expect("all of it");
    assert!(refused.contains("urn:provost:problem:ending"), "{refused}");
    drop(half);
    let mut part = vec![0; 1 << 16];
    while let count @ 1.. = slow.read(&mut part).await.expect("all of the answer") {
        answer.extend_from_slice(&part[..count]);
        tokio::time::sleep(Duration::from_micros(count as u64)).await;
    }
    let answer = String::from_utf8(answer).expect("text");
    let (_, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let answer: Value = serde_json::from_str(body).expect("a whole answer");
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(MESSAGES));
    drop(slow);
    assert_eq!(host.wait().0, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_token_can_be_needed_there_too() {
    let dir = dir();
    let host = Local::start(dir.path(), "anonymous = \"nobody\"\nsocket_mode = \"0600\"\n");
    assert_eq!(mode(&host.path), 0o600);
    assert_eq!(host.send("localhost").await.0, 401);
    assert_eq!(host.ask(reqwest::Method::GET, "/healthz", "localhost").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_socket_of_a_dead_host_is_replaced_and_that_of_a_living_one_is_not() {
    let dir = dir();
    let mut killed = Local::start(dir.path(), "");
    killed.child.kill().and_then(|()| killed.child.wait()).expect("it runs");
    assert!(killed.path.exists(), "nobody removed it");
    let host = Local::start(dir.path(), "");
    assert_eq!(host.send("localhost").await.0, 200);
    fails(dir.path(), "another program listens there: stop it, or choose another path");
    assert_eq!(host.send("localhost").await.0, 200);
    // What another host has put there meanwhile is not this one's to remove.
    let kept = dir.path().join("kept");
    fs::rename(&host.path, &kept).expect("a directory of the test's own");
    let other = Local::start(dir.path(), "");
    terminate(host.child.id());
    assert_eq!(host.wait().0, Some(0));
    assert_eq!(other.send("localhost").await.0, 200);
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_file_that_is_no_socket_stays() {
    let dir = dir();
    let path = dir.path().join("provost.sock");
    fs::write(&path, "precious").expect("a temporary file");
    fails(dir.path(), "the file there is no socket: remove it, or choose another path");
    assert_eq!(fs::read_to_string(&path).expect("it stays"), "precious");
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn its_place_does_not_change_while_it_runs() {
    let dir = dir();
    let mut host = Local::start(dir.path(), "");
    command(dir.path(), "socket_mode = \"0666\"\n");
    signal(host.child.id(), "HUP");
    let expected = format!(
        "the configuration from before stays in force: {}: server.socket_mode: it cannot change while the host runs: \
         start the host again, or change it back\n",
        dir.path().join("config.toml").display()
    );
    let mut log = String::new();
    while !log.contains(&expected) {
        assert_ne!(host.log.read_line(&mut log).expect("the log is text"), 0, "the host ended:\n{log}");
    }
    assert_eq!(mode(&host.path), 0o660);
}

/// Where the configuration is named without a directory.
#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_socket_can_be_beside_the_configuration() {
    let dir = dir();
    write_config(dir.path(), "[server]\nlisten = \"unix:provost.sock\"\n");
    let output = provost().args(["--config", "config.toml", "--check"]).current_dir(dir.path()).output();
    let output = output.expect("the host starts");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn what_cannot_be_a_socket_is_said_at_once() {
    let dir = dir();
    let long = format!("/{}", "x".repeat(107));
    for (keys, expected) in [
        ("listen = \"unix:\"", "listen: `unix:` names no file: a socket needs one, such as \"unix:/run/provost.sock\""),
        (
            &*format!("listen = \"unix:{long}\""),
            "listen: the path of a socket may have 107 bytes, and this one has 108: choose a shorter one",
        ),
        (
            "listen = \"/run/provost.sock\"",
            "listen: `/run/provost.sock` is not an address with a port such as \"0.0.0.0:8080\", nor a socket such as \
             \"unix:/run/provost.sock\"",
        ),
        (
            "metrics_listen = \"unix:/run/provost.sock\"",
            "metrics_listen: `unix:/run/provost.sock` is not an address with a port such as \"0.0.0.0:9090\"",
        ),
        ("socket_mode = \"1777\"", "socket_mode: `1777` is not a mode of 1 to 777 in octal digits, such as \"0660\""),
        (
            "listen = \"unix:..\"",
            "listen: `unix:..` names no file: a socket needs one, such as \"unix:/run/provost.sock\"",
        ),
        (
            "listen = \"unix:/nowhere/provost.sock\"",
            "listen: listening on unix:/nowhere/provost.sock: the directory /nowhere: No such file or directory (os error 2)",
        ),
        (
            "listen = \"unix:/dev/null/provost.sock\"",
            "listen: listening on unix:/dev/null/provost.sock: /dev/null is no directory",
        ),
        (
            "listen = \"unix:/dev/null\"",
            "listen: listening on unix:/dev/null: the file there is no socket: remove it, or choose another path",
        ),
        (
            "socket_mode = \"0440\"",
            "socket_mode: `0440`: nobody may write to the socket, so nobody can send requests: use \"0660\"",
        ),
        ("socket_mode = \"rw\"", "socket_mode: `rw` is not a mode of 1 to 777 in octal digits, such as \"0660\""),
    ] {
        let config = write_config(dir.path(), &format!("[server]\n{keys}\n"));
        let output = provost().arg("--config").arg(&config).arg("--check").output().expect("the host starts");
        let expected = format!("error: {}: server.{expected}\n", config.display());
        assert_eq!((String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()), (&*expected, Some(1)));
    }
}
