//! The built host where nobody reads its log: it answers, counts the lines that find no place, and ends all the same.

use crate::support::{
    PATIENCE, address, client, client_builder, dir, ended, metrics, provost, terminate, write_config,
};
use reqwest::Client;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStderr, ExitStatus, Stdio};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// More lines than a pipe and the host's memory hold: a message with such an id is logged in more than 130 bytes.
const MESSAGES: usize = 10_000;
const ID: &str = "an-id-with-as-many-characters-as-an-id-may-have--that-is-64-----";

/// A host with a log that nobody reads further than needed.
struct Stalled {
    child: Child,
    url: String,
    log: BufReader<ChildStderr>,
    /// Where its messages go.
    _dir: TempDir,
}

impl Drop for Stalled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Stalled {
    /// With more providers.
    async fn start(more: &str) -> Self {
        let dir = dir();
        let path = dir.path().join("messages");
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nidempotency_limit = 0\nshutdown_deadline = \"1s\"\n[providers.file]\npath = {path:?}\n{more}"
        );
        let mut command = provost();
        command.arg("--config").arg(write_config(dir.path(), &config)).args([
            "--prov",
            "file.prov",
            "--prov",
            "unruly.prov",
        ]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the host starts");
        let mut log = BufReader::new(child.stderr.take().expect("it was asked for"));
        let url = loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).expect("the log is text"), 0, "the host ended before it listened");
            if let Some(address) = address(&line) {
                break format!("http://{address}");
            }
        };
        let (client, mut senders) = (client(), JoinSet::new());
        for _ in 0..8 {
            let (client, url) = (client.clone(), format!("{url}/v1/messages"));
            senders.spawn(async move {
                let message = json!({ "provider": "file", "id": ID, "text": "a" });
                for _ in 0..MESSAGES / 8 {
                    let response = client.post(&url).json(&message).send().await.expect("the host answers");
                    assert_eq!(response.status(), 200);
                }
            });
        }
        senders.join_all().await;
        Self { child, url, log, _dir: dir }
    }

    /// How many lines were dropped, as `/metrics` says.
    async fn dropped(&self) -> usize {
        let text = metrics(&format!("{}/metrics", self.url)).await;
        let line = text.lines().find_map(|line| line.strip_prefix("provost_log_lines_dropped_total "));
        line.expect("it is counted").parse().expect("a number")
    }

    /// Tells the host to end. How it ended, and what it had logged.
    async fn end(mut self) -> (ExitStatus, String) {
        terminate(self.child.id());
        let status = ended(&mut self.child).await;
        let mut log = String::new();
        self.log.read_to_string(&mut log).expect("the log is text");
        (status, log)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_log_that_nobody_reads_stops_nothing() {
    let host = Stalled::start("").await;
    let health = client().get(format!("{}/healthz", host.url)).send().await.expect("the host answers");
    assert_eq!(health.status(), 200);
    assert!(host.dropped().await > 0);
    let (status, log) = host.end().await;
    assert_eq!(status.code(), Some(0));
    // What has left the host is whole lines, the oldest ones.
    assert!(log.ends_with('\n') && log.lines().all(|line| line.contains(" delivered ")), "{log}");
}

/// What is lost is said at the end, in vain.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn an_end_that_loses_messages_needs_no_reader_either() {
    let held = "[providers.held]\nplugin = \"unruly\"\nbehaviour = \"never-answer\"\ntimeout = \"1h\"\n";
    let host = Stalled::start(held).await;
    let message = client().post(format!("{}/v1/messages", host.url)).json(&json!({ "provider": "held", "text": "a" }));
    let caller = tokio::spawn(message.send());
    let in_flight = "provost_deliveries_in_flight{provider=\"held\"} 1\n";
    while !metrics(&format!("{}/metrics", host.url)).await.contains(in_flight) {}
    let (status, _) = host.end().await;
    assert_eq!(status.code(), Some(1));
    let answer = caller.await.expect("no panic").expect("the host answers");
    assert_eq!(answer.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_late_reader_is_told_what_it_missed() {
    let mut host = Stalled::start("").await;
    let dropped = host.dropped().await;
    let expected = format!("log lines dropped: whoever reads stderr is too slow lines={dropped}");
    let mut line = String::new();
    while !line.contains(" log lines dropped") {
        line.clear();
        assert_ne!(host.log.read_line(&mut line).expect("the log is text"), 0, "the host says what was dropped");
    }
    assert!(line.contains(" WARN ") && line.trim_end().ends_with(&expected), "{line}");
    let (status, log) = host.end().await;
    assert_eq!(status.code(), Some(0));
    assert!(log.contains("shutting down"), "{log}");
}

/// Where the log cannot be written, its lines are counted.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn lines_that_cannot_be_written_are_counted() {
    let dir = dir();
    let config = format!(
        "[server]\nlisten = \"unix:provost.sock\"\n[providers.file]\npath = {:?}\n",
        dir.path().join("messages")
    );
    let full = File::options().write(true).open("/dev/full").expect("it is there");
    let (mut child, client) = at_a_socket(dir.path(), &config, full.into());
    let counted = async {
        loop {
            // It may not listen yet.
            let Ok(response) = client.get("http://localhost/metrics").send().await else { continue };
            let text = response.text().await.expect("text");
            if !text.contains("\nprovost_log_lines_dropped_total 0\n") {
                break text;
            }
        }
    };
    let text = tokio::time::timeout(PATIENCE, counted).await.expect("it is counted");
    assert!(text.contains("\nprovost_log_lines_dropped_total "), "{text}");
    terminate(child.id());
    assert_eq!(ended(&mut child).await.code(), Some(0));
}

/// The reader of a host before this one left a pipe full.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_log_that_is_full_before_the_start_stops_nothing() {
    let dir = dir();
    let config = "[server]\nlisten = \"unix:provost.sock\"\n";
    let (_reader, mut writer) = std::io::pipe().expect("a pipe");
    let size = rustix::pipe::fcntl_getpipe_size(&writer).expect("it is a pipe");
    writer.write_all(&vec![b'\n'; size]).expect("there is room");
    let (mut child, client) = at_a_socket(dir.path(), config, writer.into());
    let answered = async {
        // It may not listen yet.
        while !client.get("http://localhost/healthz").send().await.is_ok_and(|answer| answer.status() == 200) {}
    };
    tokio::time::timeout(PATIENCE, answered).await.expect("it starts");
    terminate(child.id());
    assert_eq!(ended(&mut child).await.code(), Some(0));
}

/// A host with this stderr, and a client that asks it at its socket.
fn at_a_socket(dir: &Path, config: &str, stderr: Stdio) -> (Child, Client) {
    let mut command = provost();
    command.arg("--config").arg(write_config(dir, config)).args(["--prov", "file.prov"]);
    let child = command.stderr(stderr).spawn().expect("the host starts");
    (child, client_builder().unix_socket(dir.join("provost.sock")).build().expect("a client"))
}
