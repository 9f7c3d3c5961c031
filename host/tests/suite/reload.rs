//! The built host reads its configuration again at SIGHUP: all of it or nothing, and no message is lost meanwhile.

use crate::support::caller::{Caller, ONE_EACH};
use crate::support::certificate::Certificate;
use crate::support::receiver::{OTHER_SECRET, Receiver, SECRET};
use crate::support::unruly::provider;
use crate::support::{
    Host, PATIENCE, address, bundled, client, digest, dir, ended, loading, provost, signal, terminate, write_config,
};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes the rest of the configuration anew.
fn write(host: &Host, rest: &str) {
    std::fs::write(&host.config, format!("[server]\nlisten = \"127.0.0.1:0\"\n{rest}")).expect("a temporary file");
}

/// Signals, and waits until the configuration was read `done` times in all, and refused `refused` times.
async fn reload(host: &Host, done: u64, refused: u64) {
    signal(host.process(), "HUP");
    let expected = [("done", done), ("refused", refused)]
        .map(|(result, count)| format!("provost_reloads_total{{result=\"{result}\"}} {count}\n"))
        .concat();
    while !host.metrics().await.contains(&expected) {
        tokio::task::yield_now().await;
    }
}

fn file(name: &str, dir: &Path) -> String {
    format!("[providers.{name}]\nplugin = \"file\"\npath = {:?}\n", dir.join(name))
}

async fn names(host: &Host) -> Value {
    let answer = client().get(host.url("/v1/providers")).send().await.expect("the host answers");
    let answer: Value = answer.json().await.expect("JSON");
    let providers = answer["providers"].as_array().expect("a list").iter();
    providers.map(|provider| provider["name"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_configuration_counts_whole_or_not_at_all() {
    let dir = dir();
    let host = Host::start(&file("one", dir.path()));
    let message = |provider: &str| json!({ "provider": provider, "text": "a" });
    assert_eq!(host.send(message("one")).await.0, 200);

    write(&host, &format!("recipients_limit = 0\n{}{}", file("one", dir.path()), file("two", dir.path())));
    reload(&host, 1, 0).await;
    assert_eq!(names(&host).await, json!(["one", "two"]));
    assert_eq!(host.send(message("two")).await.0, 200);
    // It counts on.
    assert_eq!(host.send(message("one")).await.0, 200);
    let delivered = "provost_deliveries_total{provider=\"one\",outcome=\"delivered\"} 2\n";
    assert!(host.metrics().await.contains(delivered), "{}", host.metrics().await);
    let (status, problem) = host.send(json!({ "provider": "one", "text": "a", "to": ["b"] })).await;
    let detail = json!("recipients in `to`: 1, and `server.recipients_limit` allows 0");
    assert_eq!((status, &problem["detail"]), (400, &detail));

    // One error in the host's part, one in a provider's.
    write(&host, &format!("body_limit = 0\n{}[providers.file]\n", file("three", dir.path())));
    reload(&host, 1, 1).await;
    std::fs::write(&host.config, "[server]\nlisten = \"127.0.0.2:0\"\n").expect("a temporary file");
    reload(&host, 1, 2).await;
    assert_eq!(names(&host).await, json!(["one", "two"]));
    assert_eq!(host.send(message("two")).await.0, 200);
    let config = host.config.display().to_string();
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    for error in [
        "server.body_limit: must be 1 to 1073741824",
        "providers.file: missing field `path`",
        "server.listen: it cannot change while the host runs: start the host again, or change it back",
    ] {
        let line =
            format!("ERROR provost::http::reload: the configuration from before stays in force: {config}: {error}");
        assert!(log.contains(&line), "{line} is not in {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn no_message_is_lost_meanwhile() {
    let dir = dir();
    let providers = format!("{}concurrency = 1000\n", file("one", dir.path()));
    let host = Host::start(&providers);
    let ends = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (url, ends, client) = (host.url("/v1/messages"), Arc::clone(&ends), client());
            tokio::spawn(async move {
                let mut sent = 0;
                while !ends.load(Ordering::Relaxed) {
                    let message = json!({ "provider": "one", "text": "a" });
                    let answer = client.post(&url).json(&message).send().await;
                    assert_eq!(answer.expect("the host answers").status(), 200);
                    sent += 1;
                }
                sent
            })
        })
        .collect();
    for round in 1..=10 {
        write(&host, &format!("field_limit = {round}\n{providers}"));
        reload(&host, round, 0).await;
    }
    ends.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.await.expect("each is answered");
    }
    let lines = std::fs::read_to_string(dir.path().join("one")).expect("the file").lines().count();
    assert_eq!(lines, sent);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_waits_gets_the_answer_of_the_provider_that_was_asked() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    let held = receiver.hold().await;
    let change = async {
        receiver.arrived().await;
        write(&host, "");
        reload(&host, 1, 0).await;
        assert_eq!(names(&host).await, json!([]));
        let metrics = host.metrics().await;
        assert!(metrics.contains("provost_deliveries_in_flight{provider=\"hook\"} 1\n"), "{metrics}");
        drop(held);
    };
    let ((status, answer), ()) = tokio::join!(host.send(json!({ "provider": "hook", "text": "a" })), change);
    assert_eq!(status, 200, "{answer}");
}

/// Whose caller has gone, too: it goes along its route, and is tried again, with the providers that it was for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_message_of_before_comes_to_its_end_without_its_caller() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let again = "timeout = \"1h\"\nretry = { attempts = 2, first_delay = \"1s\" }\n";
    let host = Host::start(&format!("{ONE_EACH}{}{again}{}", receiver.provider("hook"), file("file", dir.path())));
    receiver.answer(503, &[]);
    for (done, message) in [
        json!({ "provider": "hook", "id": "a1", "text": "a" }),
        json!({ "provider": "hook", "text": "a" }),
        json!({ "route": ["hook", "file"], "text": "a" }),
    ]
    .into_iter()
    .enumerate()
    {
        let held = receiver.hold().await;
        let mut caller = Caller::connect(&host, "127.0.0.2").await;
        caller.begin("/v1/messages", &message).await;
        receiver.arrived().await;
        drop(caller.leave(&host).await);
        reload(&host, done as u64 + 1, 0).await;
        drop(held);
        tokio::time::timeout(PATIENCE, receiver.arrived())
            .await
            .unwrap_or_else(|_| panic!("not tried again: {message}"));
    }
    let delivered = async {
        while !host.metrics().await.contains("provost_deliveries_total{provider=\"file\",outcome=\"delivered\"} 1\n") {}
    };
    tokio::time::timeout(PATIENCE, delivered).await.expect("the route goes on");
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_delivery_of_before_is_given_up_at_the_end_like_any_other() {
    let receiver = Receiver::start().await;
    let host = Host::start(&receiver.provider("hook"));
    let _held = receiver.hold().await;
    let change = async {
        receiver.arrived().await;
        write(&host, "shutdown_deadline = \"1s\"\n");
        reload(&host, 1, 0).await;
        host.terminate();
    };
    let ((status, problem), ()) =
        tokio::join!(host.send(json!({ "provider": "hook", "id": "lost", "text": "a" })), change);
    assert_eq!((status, &problem["type"]), (503, &json!("urn:provost:problem:ending")));
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(": not delivered provider=\"hook\" id=\"lost\" "), "{log}");
}

/// A token and a secret that were changed: in the configuration, and in a file that it names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn tokens_and_secrets_are_read_again() {
    let (dir, receiver) = (dir(), Receiver::start().await);
    let secret = dir.path().join("secret");
    let provider = receiver.provider("hook").replace(SECRET, &format!("file:{}", secret.display()));
    let config = |token: &str| format!("[clients.a]\ntokens = [\"{}\"]\n{provider}", digest(token));
    std::fs::write(&secret, SECRET).expect("a temporary file");
    let host = Host::start(&config("old"));
    let send = async |token: &str| {
        let request = client().post(host.url("/v1/messages")).bearer_auth(token);
        let answer = request.json(&json!({ "provider": "hook", "text": "a" })).send().await;
        answer.expect("the host answers").status().as_u16()
    };
    assert_eq!((send("old").await, send("new").await), (200, 401));
    std::fs::write(&secret, OTHER_SECRET).expect("a temporary file");
    write(&host, &config("new"));
    signal(host.process(), "HUP");
    while send("new").await != 200 {}
    assert_eq!(send("old").await, 401);
    let requests = receiver.requests();
    let [before, after] = requests.as_slice() else { panic!("{} requests came", requests.len()) };
    for (request, secret, other) in [(before, SECRET, OTHER_SECRET), (after, OTHER_SECRET, SECRET)] {
        let verified = [secret, other].map(|secret| {
            let verifier = standardwebhooks::Webhook::new(secret).expect("a valid secret");
            verifier.verify(&request.body, &request.headers).is_ok()
        });
        assert_eq!(verified, [true, false]);
    }
}

/// Which certificates are trusted, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn trusted_certificates_are_read_again() {
    let (dir, old, new) = (dir(), Certificate::new(), Certificate::new());
    let receiver = Receiver::start_tls(&new).await;
    let bundle = old.write_bundle(dir.path());
    let host = Host::start_with(&receiver.provider("hook"), |command| {
        command.env("SSL_CERT_FILE", &bundle);
    });
    let message = json!({ "provider": "hook", "text": "a" });
    assert_eq!(host.send(message.clone()).await.0, 503);
    new.write_bundle(dir.path());
    reload(&host, 1, 0).await;
    let (status, answer) = host.send(message).await;
    assert_eq!(status, 200, "{answer}");
}

/// What is logged is read again, too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn files_and_filters_are_read_again() {
    let dir = dir();
    let (one, log) = (file("one", dir.path()), "[log]\nfilter = \"off\"\n");
    let host = Host::start(&one);
    write(&host, &format!("{log}{one}"));
    reload(&host, 1, 0).await;
    assert_eq!(host.send(json!({ "provider": "one", "id": "unseen", "text": "a" })).await.0, 200);
    write(&host, &one);
    reload(&host, 2, 0).await;
    assert_eq!(host.send(json!({ "provider": "one", "id": "seen", "text": "a" })).await.0, 200);
    host.terminate();
    let (_, log) = host.wait();
    assert!(log.contains("id=\"seen\"") && !log.contains("id=\"unseen\""), "{log}");
}

/// Starts a host with all plugins, those of the tests too. While it loads them, changes its configuration and sends it SIGHUP.
fn hung_up(dir: &Path, before: &str, after: &str) -> (Child, BufReader<ChildStderr>) {
    let mut command = provost();
    command.arg("--config").arg(write_config(dir, before)).args(["--prov", "unruly.prov", "--log", "debug"]);
    command.args(bundled().flat_map(|plugin| ["--prov".to_owned(), plugin]));
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut log = BufReader::new(child.stderr.take().expect("it was asked for"));
    loading(&mut log);
    write_config(dir, after);
    signal(child.id(), "HUP");
    (child, log)
}

/// Whether SIGHUP was sent to a process that has not taken it yet.
fn is_pending(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("nobody has waited for its end");
    let signals = status.lines().find_map(|line| line.strip_prefix("ShdPnd:")).expect("Linux says so");
    u64::from_str_radix(signals.trim(), 16).expect("hexadecimal digits") & 1 == 1
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_signal_while_it_starts_ends_nothing() {
    let dir = dir();
    let config = format!("[server]\nstartup_deadline = \"1h\"\n{}", provider("block-in-constructor"));
    let (mut child, _log) = hung_up(dir.path(), &config, &config);
    let taken = async {
        while is_pending(child.id()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("a signal is taken at once");
    assert_eq!(child.try_wait().expect("it is this process's own"), None, "it starts for an hour");
    terminate(child.id());
    assert_eq!(ended(&mut child).await.code(), Some(128 + 15));
}

/// Whether a provider of this name has threads, whose names have 15 letters at most.
fn is_begun(process: u32, provider: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs").map_while(Result::ok);
    threads.map(|thread| thread.path().join("comm")).any(|name| {
        // One may end meanwhile.
        std::fs::read_to_string(name).is_ok_and(|name| name.trim() == &provider[..15])
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_end_does_not_wait_for_a_configuration_that_is_being_read() {
    const STUCK: &str = "block-in-constructor";
    let dir = dir();
    let config = format!("startup_deadline = \"1h\"\n{}", file("one", dir.path()));
    let host = Host::start_with(&config, |command| {
        command.args(["--prov", "unruly.prov"]);
    });
    write(&host, &(config + &provider(STUCK)));
    signal(host.process(), "HUP");
    let begun = async {
        while !is_begun(host.process(), STUCK) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it reads the configuration at once");
    assert_eq!(host.send(json!({ "provider": "one", "text": "a" })).await.0, 200);
    host.terminate();
    let (status, log) = host.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_signal_while_it_starts_is_remembered() {
    let dir = dir();
    let before = format!("[server]\nlisten = \"127.0.0.1:0\"\n{}", file("one", dir.path()));
    let after = format!("{before}{}", file("two", dir.path()));
    let (mut child, log) = hung_up(dir.path(), &before, &after);
    let mut lines = log.lines().map(|line| line.expect("the log is text"));
    let host = lines.find_map(|line| address(&line)).expect("it listens");
    let rest = std::thread::spawn(move || lines.for_each(drop));
    let reloaded = async {
        let url = format!("http://{host}/v1/providers/two");
        while client().get(&url).send().await.expect("the host answers").status() != 200 {}
    };
    tokio::time::timeout(PATIENCE, reloaded).await.expect("it reads the configuration again");
    terminate(child.id());
    assert_eq!(ended(&mut child).await.code(), Some(0));
    rest.join().expect("the log is text");
}
