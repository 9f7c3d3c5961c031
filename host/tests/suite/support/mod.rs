//! What the tests share: the built program, the servers it talks to, certificates.
//!
//! Nothing here waits for a time to pass: a host is ready when it says where it listens.

// Each test target uses a part of it.
#![allow(dead_code)]

pub mod caller;
pub mod certificate;
pub mod container;
pub mod load;
pub mod mail;
pub mod random;
pub mod receiver;
pub mod smtp;
pub mod tls;
pub mod unruly;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// The plugins of the tree. The only list of them in these tests: a tree of yours may have more.
pub const BUNDLED: [&str; 6] = ["file", "ntfy", "slack", "smtp", "telegram", "webhook"];

/// Their files.
pub fn bundled() -> impl Iterator<Item = String> {
    BUNDLED.iter().map(|name| format!("{name}.prov"))
}

/// The directory with the built host, SDK and plugins.
pub fn dist() -> PathBuf {
    let Some(dir) = std::env::var_os("XTASK_DIST").map(PathBuf::from) else {
        panic!("XTASK_DIST is not set: it names the directory of the built host and plugins; run `cargo xtask test`");
    };
    assert!(dir.join("provost").is_file(), "XTASK_DIST={} holds no host: run `cargo xtask test`", dir.display());
    dir.canonicalize().expect("a directory that exists has a path")
}

/// A host of its own with its libraries and plugins, in `dir`; without what plugins ship.
pub fn copy_dist(dir: &Path) {
    let entries = std::fs::read_dir(dist()).expect("the built files").map(|entry| entry.expect("an entry").path());
    copy(&entries.filter(|path| path.is_file()).collect::<Vec<_>>(), dir);
}

/// Writes a file that is started afterwards.
pub fn write_program(path: &Path, bytes: &[u8]) {
    let dir = dir();
    let written = dir.path().join("written");
    std::fs::write(&written, bytes).expect("a temporary file");
    copy(&[written], path);
}

/// By a process of its own: what this one writes, a process that another test just starts has open, too, for a moment,
/// and nobody can start it meanwhile ("Text file busy").
fn copy(files: &[PathBuf], to: &Path) {
    let status = Command::new("cp").args(files).arg(to).status().expect("cp is everywhere");
    assert!(status.success(), "cp {files:?} {}", to.display());
}

/// What the built host's libc says: glibc and musl have words of their own.
pub fn libc<'a>(glibc: &'a str, musl: &'a str) -> &'a str {
    let host = std::fs::read(dist().join("provost")).expect("the host is there");
    let record = provost_record::read(&host).expect("it has a record");
    if record.target.ends_with("musl") { musl } else { glibc }
}

/// The host, in its own directory and with nothing of this process's environment: cargo's LD_LIBRARY_PATH would make it
/// load another SDK, and a proxy or a bundle of certificates would change what is tested.
pub fn provost() -> Command {
    let dist = dist();
    let mut command = Command::new(dist.join("provost"));
    command.current_dir(dist).env_clear().stdin(Stdio::null());
    command
}

/// What the configuration has of a token, by the program that people would use.
pub fn digest(token: &str) -> String {
    let mut command = Command::new("sha256sum");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sha256sum is everywhere");
    child.stdin.take().expect("it was asked for").write_all(token.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).expect("it is text");
    format!("sha256:{}", text.split(' ').next().unwrap_or_default())
}

/// A directory of the test's own, removed at its end.
pub fn dir() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

/// Writes `config.toml` into `dir`.
pub fn write_config(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("config.toml");
    std::fs::write(&path, text).expect("a temporary file");
    path
}

/// Prints a figure. Not by `println!`: of a test that succeeds the harness shows nothing.
pub fn print(figure: &str) {
    writeln!(std::io::stderr(), "{figure}").expect("stderr is open");
}

/// How long to wait for an end that comes at once, or never.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running host, killed when it is dropped.
pub struct Host {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// What it logged until it listened.
    pub start: String,
    /// Its configuration, which can be written anew.
    pub config: PathBuf,
    log: Receiver<String>,
    _dir: TempDir,
}

impl Host {
    /// Starts the host with all bundled plugins; `[server]` is there already.
    pub fn start(providers: &str) -> Self {
        Self::start_with(providers, |_| {})
    }

    /// The same, with a change to the command.
    pub fn start_with(providers: &str, change: impl FnOnce(&mut Command)) -> Self {
        let dir = dir();
        let config = write_config(dir.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{providers}"));
        let mut command = provost();
        command.arg("--config").arg(&config);
        command.args(bundled().flat_map(|plugin| ["--prov".to_owned(), plugin]));
        change(&mut command);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the host starts");
        let stderr = child.stderr.take().expect("it was asked for");
        let (address, start, log) = listening(stderr);
        Self { child, address, start, config, log, _dir: dir }
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// The address of a path of the API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where its metrics are, if they have an address of their own.
    pub fn metrics_address(&self) -> &str {
        let line = self.start.lines().find_map(|line| line.split_once("metrics and health address="));
        line.expect("the log says where they are").1
    }

    /// Sends a message, and returns status and answer.
    pub async fn send(&self, message: Value) -> (u16, Value) {
        send(&self.url("/v1/messages"), message).await
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> String {
        metrics(&self.url("/metrics")).await
    }

    /// Ends the host at once, without its knowledge.
    pub fn kill(&self) {
        signal(self.child.id(), "KILL");
    }

    /// Tells the host to end, as `docker stop` does.
    pub fn terminate(&self) {
        terminate(self.child.id());
    }

    /// Waits for the host's end, and returns how it ended and what it logged.
    pub fn wait(mut self) -> (ExitStatus, String) {
        // Whole once nobody can write to it any more, which is when the host has ended.
        let log = self.log.recv_timeout(PATIENCE).expect("the host stops");
        (self.child.wait().expect("it is this process's own"), log)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the log of a host that starts (`--log debug`), until it loads its plugins.
pub fn loading(log: &mut impl BufRead) {
    let mut line = String::new();
    while !line.contains(" loading ") {
        line.clear();
        assert_ne!(log.read_line(&mut line).expect("the log is text"), 0, "the host ended by itself");
    }
}

/// Tells a process to end.
pub fn terminate(process: u32) {
    signal(process, "TERM");
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let (name, process) = (format!("-{name}"), process.to_string());
    let status = Command::new("kill").args([name, process]).status().expect("kill is everywhere");
    assert!(status.success(), "the process is there to be told");
}

/// How a process ended, which it does soon.
pub async fn ended(child: &mut Child) -> ExitStatus {
    let end = async {
        loop {
            match child.try_wait().expect("it is this process's own") {
                Some(status) => break status,
                None => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, end).await.expect("the process ends")
}

/// A plain HTTP client.
pub fn client() -> reqwest::Client {
    client_builder().build().expect("a plain client")
}

/// What makes one, to be changed.
pub fn client_builder() -> reqwest::ClientBuilder {
    // Features unify, so the client of the tests too is one that wants to be told.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// Sends a message to an API's address.
pub async fn send(url: &str, message: Value) -> (u16, Value) {
    let response = client().post(url).json(&message).send().await.expect("the host answers");
    (response.status().as_u16(), response.json().await.expect("the answer is JSON"))
}

/// What an API says of what it counted.
pub async fn metrics(url: &str) -> String {
    let response = client().get(url).send().await.expect("the host answers");
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.expect("it is text")
}

/// Reads the log up to the line that says where the host listens; the rest is read in the background.
fn listening(stderr: ChildStderr) -> (SocketAddr, String, Receiver<String>) {
    let mut reader = BufReader::new(stderr);
    let mut log = String::new();
    loop {
        let begin = log.len();
        let read = reader.read_line(&mut log).expect("the log is text");
        assert_ne!(read, 0, "the host ended before it listened:\n{log}");
        if let Some(address) = address(&log[begin..]) {
            let (start, (ended, whole)) = (log.clone(), channel());
            thread::spawn(move || {
                reader.read_to_string(&mut log).expect("the log is text");
                // An error says that the test has ended.
                let _ = ended.send(log);
            });
            return (address, start, whole);
        }
    }
}

/// The address in the line that says where the host listens.
pub fn address(line: &str) -> Option<SocketAddr> {
    let (_, rest) =
        line.split_once("listening address=").or_else(|| line.split_once(r#""message":"listening","address":""#))?;
    rest.split([' ', '"']).next()?.trim_end().parse().ok()
}
