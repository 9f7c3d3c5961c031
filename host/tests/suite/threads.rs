//! The built host where the system gives it too few threads: it says for what, and ends.

use crate::support::{PATIENCE, address, copy_dist, dir, write_config};
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// Nobody's: the system counts threads by user, and spares root.
const USER: &str = "4242";

/// The last line that a host with so many threads says, unless it listens.
async fn last_line(dir: &Path, config: &Path, threads: usize) -> Option<String> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", &format!("--nproc={threads}")]);
    command.args(["./provost", "--prov", "file.prov", "--config"]).arg(config).current_dir(dir);
    command.env_clear().env("PATH", "/usr/bin:/bin").stderr(Stdio::piped()).kill_on_drop(true);
    let mut host = command.spawn().expect("setpriv starts");
    let mut lines = BufReader::new(host.stderr.take().expect("it was asked for")).lines();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.expect("the log is text") {
        if address(&line).is_some() {
            host.kill().await.expect("it runs");
            return None;
        }
        last = line;
    }
    assert_eq!(host.wait().await.expect("it is this process's own").code(), Some(1), "{last}");
    Some(last)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn too_few_threads_are_an_error() {
    let dir = dir();
    copy_dist(dir.path());
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("a directory of the test's own");
    let messages = dir.path().join("messages.jsonl");
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nstartup_deadline = \"1s\"\n";
    let config = write_config(dir.path(), &format!("{server}[providers.file]\npath = {messages:?}\n"));
    let (system, tokio) =
        ("Resource temporarily unavailable (os error 11)", "the system provides no more threads; see the log");
    let provider = format!("{}: providers.file: starting the provider's threads", config.display());
    let steps = [
        format!("error: starting the thread that loads plugins: {system}"),
        format!("error: {provider}: {tokio}"),
        format!("error: starting the API's threads: {system}"),
        format!("error: starting the API's threads: {tokio}"),
    ];
    let run = async |threads| {
        let ended = tokio::time::timeout(PATIENCE, last_line(dir.path(), &config, threads)).await;
        ended.unwrap_or_else(|_| panic!("with {threads} threads the host neither listens nor ends"))
    };
    // The process itself is one, the provider has two. A thread that has ended may be counted for a while, and so a limit that
    // is just enough may be too low.
    let enough = 4 + thread::available_parallelism().expect("this machine tells").get();
    for (threads, step) in [(1, 0), (2, 1)] {
        assert_eq!(run(threads).await.as_ref(), Some(&steps[step]), "{threads} threads");
    }
    let mut seen = BTreeSet::new();
    for threads in (3..=enough).cycle().take(40) {
        let last = run(threads).await;
        assert!(last.as_ref().is_none_or(|last| steps.contains(last)), "{threads} threads: {last:?}");
        seen.extend(last);
    }
    assert!(seen.contains(&steps[2]) && seen.contains(&steps[3]), "the API's threads are told of too: {seen:?}");
}
