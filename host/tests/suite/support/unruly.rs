//! The host with the plugin `unruly`, which misbehaves as it is told.

use super::{Host, PATIENCE, dir};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Tells the plugin to block where nobody has asked it for anything: in its `initialiser` or its `finaliser`.
pub const BLOCKS: &str = "UNRULY_BLOCKS";

/// A host with misbehaving providers and one, `file`, that behaves.
pub struct Unruly {
    /// The host.
    pub host: Host,
    file: PathBuf,
    _dir: TempDir,
}

impl Unruly {
    /// Starts it; `providers` are those that misbehave.
    pub fn start(providers: &str) -> Self {
        Self::start_with(providers, |_| {})
    }

    /// The same, with a change to the command.
    pub fn start_with(providers: &str, change: impl FnOnce(&mut Command)) -> Self {
        let dir = dir();
        let file = dir.path().join("messages.jsonl");
        // Part of `[server]`, which the host's configuration begins with.
        let config = format!(
            "shutdown_deadline = \"100ms\"\nidempotency_limit = 0\n{providers}[providers.file]\npath = {file:?}\n"
        );
        let host = Host::start_with(&config, |command| {
            command.args(["--prov", "unruly.prov"]);
            change(command);
        });
        Self { host, file, _dir: dir }
    }

    /// Sends a message, and returns status and answer.
    pub async fn send(&self, provider: &str) -> (u16, Value) {
        self.host.send(json!({ "provider": provider, "id": "message-1", "text": "a" })).await
    }

    /// What `/metrics` says of panics.
    pub async fn panics(&self) -> String {
        let text = self.host.metrics().await;
        text.split_inclusive('\n').filter(|line| !line.starts_with('#') && line.contains("panics")).collect()
    }

    /// Delivers through the other provider, lets the host end as it should, and returns its log.
    pub async fn end(self) -> String {
        self.end_with(0).await
    }

    /// The same with this exit code.
    pub async fn end_with(self, code: i32) -> String {
        let (status, answer) = self.send("file").await;
        assert_eq!(status, 200, "{answer}");
        let text = std::fs::read_to_string(&self.file).expect("the message is there");
        assert!(text.contains("\"message-1\""), "{text}");
        self.host.terminate();
        let (status, log) = self.host.wait();
        assert_eq!(status.code(), Some(code), "{log}");
        log
    }
}

/// A provider of the behaviour's name, with one place.
pub fn provider(behaviour: &str) -> String {
    format!("[providers.{behaviour}]\nplugin = \"unruly\"\nbehaviour = \"{behaviour}\"\nconcurrency = 1\nqueue = 0\n")
}

/// The same, soon given up.
pub fn impatient(behaviour: &str) -> String {
    provider(behaviour) + "timeout = \"100ms\"\n"
}

/// Lets the host of a command that has begun refuse a configuration; returns the lines that are errors, and all of them.
pub async fn errors_of(mut command: Command, config: &Path) -> (Vec<String>, String) {
    command.args(["--check", "--prov", "unruly.prov", "--config"]).arg(config);
    let run = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, run).await.expect("the host stops").expect("the host starts");
    let stderr = String::from_utf8(output.stderr).expect("messages are text");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{stderr}");
    (stderr.lines().filter(|line| line.starts_with("error: ")).map(str::to_owned).collect(), stderr)
}
