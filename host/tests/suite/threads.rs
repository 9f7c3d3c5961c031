//! The built host where the system gives it too few threads: it says for what, and ends.

use crate::support::{PATIENCE, address, copy_dist, dir, write_config};
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
async fn last_line(dir: &Path, plugins: &[&str], config: &Path, threads: usize) -> Option<String> {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups", "prlimit", &format!("--nproc={threads}")]);
    command.arg("./provost").args(plugins).arg("--config").arg(config).current_dir(dir);
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
    let with_provider = format!("{server}[providers.file]\npath = {messages:?}\n");
    let (system, tokio) =
        ("Resource temporarily unavailable (os error 11)", "the system provides no more threads; see the log");
    let run = async |plugins: &[&str], config: &str, threads| {
        let config = write_config(dir.path(), config);
        let ended = tokio::time::timeout(PATIENCE, last_line(dir.path(), plugins, &config, threads)).await;
        let ended = ended.unwrap_or_else(|_| panic!("with {threads} threads the host neither listens nor ends"));
        ended.map(|line| line.replace(&format!("{}: ", config.display()), ""))
    };
    let file = ["--prov", "file.prov"];
    let loader = format!("error: starting the thread that loads plugins: {system}");
    let provider = format!("error: providers.file: starting the provider's threads: {tokio}");
    let api = [system, tokio].map(|why| format!("error: starting the API's threads: {why}"));
    // The process itself is one thread. One that has ended may be counted for a while: what is left after the loader's is not
    // certain, and so the API is asked where nothing is loaded.
    assert_eq!(run(&file, &with_provider, 1).await.as_ref(), Some(&loader));
    assert_eq!(run(&file, &with_provider, 2).await.as_ref(), Some(&provider));
    assert_eq!(run(&[], server, 1).await.as_ref(), Some(&api[0]));
    assert_eq!(run(&[], server, 2).await.as_ref(), Some(&api[1]));

    let expected = [loader, provider].into_iter().chain(api).collect::<Vec<_>>();
    let enough = 4 + thread::available_parallelism().expect("this machine tells").get();
    for threads in 3..=enough {
        let last = run(&file, &with_provider, threads).await;
        assert!(last.as_ref().is_none_or(|last| expected.contains(last)), "{threads} threads: {last:?}");
    }
}
