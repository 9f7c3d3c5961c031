//! The finished image, started with its own command: messages through each plugin, plugins that panic, an
//! orderly end.

use crate::support::certificate::Certificate;
use crate::support::container::Container;
use crate::support::load::in_small_chunks;
use crate::support::receiver::{Receiver, SECRET};
use crate::support::smtp::{PASSWORD, SmtpServer};
use crate::support::{PATIENCE, dir, load, metrics, send, write_config};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Where the image's configuration lies.
const CONFIG: &str = "/etc/provost/config.toml";

/// What the metrics say when the configuration was read again.
const RELOADED: &str = "provost_reloads_total{result=\"done\"} 1\n";

/// A bundle that the host is told of.
const OWN_BUNDLE: &str = "/etc/provost/bundle.pem";

/// The bundle that it finds by itself.
const BASES_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

fn write_providers(dir: &Path, providers: &str) -> PathBuf {
    let file = "[providers.file]\npath = \"/var/lib/provost/messages.jsonl\"\n";
    write_config(dir, &format!("[server]\nlisten = \"127.0.0.1:0\"\nidempotency_limit = 0\n{file}{providers}"))
}

/// Sends one message through a provider.
async fn send_to(url: &str, provider: &str) -> (u16, Value) {
    let id = format!("to-{provider}");
    send(url, json!({ "provider": provider, "id": id, "to": ["bob@example.org"], "text": "hello" })).await
}

async fn delivers(url: &str, providers: &[&str]) {
    for provider in providers {
        let (status, answer) = send_to(url, provider).await;
        assert_eq!(status, 200, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_image_delivers_and_ends() {
    let (dir, certificate) = (dir(), Certificate::new());
    let receiver = Receiver::start().await;
    let server = SmtpServer::start(&certificate).await;
    let providers = receiver.provider("webhook") + &server.provider("smtp", PASSWORD);
    let config = write_providers(dir.path(), &providers);
    let bundle = certificate.write_bundle(dir.path());
    let container =
        Container::create(&[(&config, CONFIG), (&bundle, OWN_BUNDLE)], &[&format!("SSL_CERT_FILE={OWN_BUNDLE}")]);
    let url = format!("http://{}/v1/messages", container.start());

    delivers(&url, &["file", "smtp", "webhook"]).await;
    let kept = container.read("/var/lib/provost/messages.jsonl", dir.path());
    let kept: Value = serde_json::from_str(&kept).expect("one line of JSON");
    assert_eq!(kept["id"], "to-file");
    let requests = receiver.requests();
    let [request] = requests.as_slice() else { panic!("{} requests came", requests.len()) };
    let verifier = standardwebhooks::Webhook::new(SECRET).expect("a valid secret");
    verifier.verify(&request.body, &request.headers).expect("the signature is valid");
    let mails = server.mails();
    let [mail] = mails.as_slice() else { panic!("{} mails came", mails.len()) };
    assert!(mail.text.contains("Message-ID: <to-smtp@example.org>"), "{}", mail.text);

    let user = container.inspect("{{.Config.User}}");
    assert!(!["", "0", "root"].contains(&user.split(':').next().unwrap_or_default()), "the user is `{user}`");
    // `--network host` says that the process runs on this machine; the two runtimes' `top` take different arguments.
    let status = std::fs::read_to_string(format!("/proc/{}/status", container.inspect("{{.State.Pid}}")));
    let status = status.expect("the host runs");
    let users = status.lines().find_map(|line| line.strip_prefix("Uid:")).expect("a process has a user");
    assert!(users.split_whitespace().all(|id| id != "0"), "the host runs as root: {users}");
    container.stop();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn another_user_is_told_where_it_cannot_write() {
    let dir = dir();
    let config = write_providers(dir.path(), "");
    let user = ["--user", "12345:12345"];
    let container = Container::create_with(&user, &[(&config, CONFIG)], &[]);
    let error = "error: /etc/provost/config.toml: providers.file.path: no file can be made in /var/lib/provost: Permission \
        denied (os error 13); let the user that the host runs as write there\n";
    assert_eq!(container.run().await, (Some(1), error.to_owned()));
    let state = dir.path().join("state");
    std::fs::create_dir(&state).expect("a temporary directory");
    std::fs::set_permissions(&state, PermissionsExt::from_mode(0o777)).expect("a directory of the test's own");
    let mount = format!("type=bind,source={},target=/var/lib/provost", state.display());
    let container = Container::create_with(&[&user[..], &["--mount", &mount]].concat(), &[(&config, CONFIG)], &[]);
    delivers(&format!("http://{}/v1/messages", container.start()), &["file"]).await;
    container.stop();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_image_trusts_its_bases_bundle() {
    let (dir, certificate) = (dir(), Certificate::new());
    let receiver = Receiver::start_tls(&certificate).await;
    let stranger = Receiver::start_tls(&Certificate::new()).await;
    let server = SmtpServer::start(&certificate).await;
    let providers = [receiver.provider("webhook"), stranger.provider("stranger"), server.provider("smtp", PASSWORD)];
    let config = write_providers(dir.path(), &providers.concat());
    let bundle = dir.path().join("ca-certificates.crt");
    std::fs::write(&bundle, bases_bundle(dir.path()) + &certificate.pem()).expect("a temporary file");
    let container = Container::create(&[(&config, CONFIG), (&bundle, BASES_BUNDLE)], &[]);
    let url = format!("http://{}/v1/messages", container.start());

    delivers(&url, &["smtp", "webhook"]).await;
    assert_eq!((receiver.requests().len(), server.mails().len()), (1, 1));
    let (status, answer) = send_to(&url, "stranger").await;
    assert_eq!(status, 503, "{answer}");
    assert!(answer["detail"].as_str().is_some_and(|detail| detail.contains("certificate")), "{answer}");
    container.stop();
}

/// Arguments would replace the image's command.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn variables_change_what_the_image_s_command_says() {
    let container = Container::create(&[], &["PROVOST_CONFIG=/none", "PROVOST_LOG_FORMAT=json"]);
    let (code, log) = container.run().await;
    let mut line: Value = serde_json::from_str(&log).expect("one line of JSON");
    line["timestamp"] = Value::Null;
    let message = "reading the configuration /none: No such file or directory (os error 2)";
    let expected = json!({ "timestamp": null, "level": "ERROR", "target": "provost", "message": message });
    assert_eq!((code, line), (Some(1), expected));
}

/// The host is the first process of its container, which the system protects from signals that it does not wait for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_image_reads_its_configuration_again() {
    let dir = dir();
    let config = write_providers(dir.path(), "");
    let container = Container::create(&[(&config, CONFIG)], &[]);
    let address = container.start();
    delivers(&format!("http://{address}/v1/messages"), &["file"]).await;
    write_providers(dir.path(), "[providers.other]\nplugin = \"file\"\npath = \"/var/lib/provost/other.jsonl\"\n");
    container.signal("HUP");
    let done = async { while !metrics(&format!("http://{address}/metrics")).await.contains(RELOADED) {} };
    tokio::time::timeout(PATIENCE, done).await.expect("it reads the configuration at once");
    delivers(&format!("http://{address}/v1/messages"), &["file", "other"]).await;
    container.stop();
}

/// What the image itself trusts; only `scratch` brings nothing.
fn bases_bundle(dir: &Path) -> String {
    let image = Container::create(&[], &[]);
    if image.inspect("{{index .Config.Labels \"org.opencontainers.image.base.name\"}}") == "scratch" {
        return String::new();
    }
    let bundle = image.read(BASES_BUNDLE, dir);
    assert!(bundle.contains("-----BEGIN CERTIFICATE-----"), "no certificate in the base's {BASES_BUNDLE}");
    bundle
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_panic_in_the_image_ends_one_delivery() {
    let (dir, certificate) = (dir(), Certificate::new());
    let receiver = Receiver::start().await;
    let server = SmtpServer::start(&certificate).await;
    let behaviours = ["panic-before-await", "panic-after-await", "panic-with-unruly-payload"];
    let unruly = behaviours.map(|name| format!("[providers.{name}]\nplugin = \"unruly\"\nbehaviour = \"{name}\"\n"));
    let providers = receiver.provider("webhook") + &server.provider("smtp", PASSWORD) + &unruly.concat();
    let config = write_providers(dir.path(), &providers);
    let bundle = certificate.write_bundle(dir.path());
    let container =
        Container::create(&[(&config, CONFIG), (&bundle, OWN_BUNDLE)], &[&format!("SSL_CERT_FILE={OWN_BUNDLE}")]);
    let url = format!("http://{}/v1/messages", container.start());

    for behaviour in behaviours {
        let (status, answer) = send_to(&url, behaviour).await;
        assert_eq!((status, &answer["type"]), (500, &json!("urn:provost:problem:panic")), "{answer}");
        assert_eq!(answer["provider"], behaviour);
        delivers(&url, &["file", "smtp", "webhook"]).await;
    }
    container.stop();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_plugin_that_is_never_loaded_ends_the_start() {
    let dir = dir();
    let config = write_config(dir.path(), "[server]\nstartup_deadline = \"1s\"\n");
    let container = Container::create(&[(&config, CONFIG)], &["UNRULY_BLOCKS=initialiser"]);
    let expected = "error: loading unruly.prov: the plugin `unruly` did not finish its initialisers within 1s \
        (`server.startup_deadline`)\n";
    assert_eq!(container.run().await, (Some(1), expected.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn the_image_answers_its_health_check() {
    let dir = dir();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"{free}\"\n"));
    let container = Container::create(&[(&config, CONFIG)], &[]);
    assert_eq!(container.start(), free);
    // The command that docker runs by itself; podman takes no health check out of an OCI image.
    container.execute(&["./provost", "--config", CONFIG, "--health"]);
    container.stop();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn ten_thousand_panics_in_the_image_leave_nothing_behind() {
    let dir = dir();
    // The image's own command names every plugin, and a plugin without a provider is fine.
    let config = write_providers(dir.path(), &load::providers());
    let container = Container::create(&[(&config, CONFIG)], &[]);
    let address = format!("http://{}", container.start());
    load::ten_thousand_panics(&address, &container.inspect("{{.State.Pid}}")).await;
    delivers(&format!("{address}/v1/messages"), &["file"]).await;
    container.stop();
}

/// However bodies are cut, a small machine is enough for as many as `server.memory_limit` allows. The system ends a host that needs more.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn small_chunks_do_not_fill_a_small_machine() {
    let dir = dir();
    let file = "[providers.file]\npath = \"/var/lib/provost/messages.jsonl\"\n";
    let server = "[server]\nlisten = \"127.0.0.1:0\"\nmemory_limit = 1052672\nidempotency_limit = 0\n";
    let config = write_config(dir.path(), &format!("{server}{file}"));
    // As much swap as memory means: none beside it.
    let limits = ["--memory", "32m", "--memory-swap", "32m"];
    let container = Container::create_with(&limits, &[(&config, CONFIG)], &[]);
    let address = container.start();
    let request = in_small_chunks(&json!({ "provider": "file", "text": "a".repeat(1_000_000) }).to_string());
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let request = request.clone();
        senders.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the host listens");
            // A body for which there is no room is not read to its end.
            let _ = stream.write_all(&request).await;
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer).await;
            answer.get(..12).map(str::to_owned)
        });
    }
    let answers = senders.join_all().await;
    let taken = answers.iter().flatten().filter(|answer| *answer == "HTTP/1.1 200").count();
    assert!(taken >= 1, "{answers:?}");
    assert_eq!(container.inspect("{{.State.OOMKilled}}"), "false");
    delivers(&format!("http://{address}/v1/messages"), &["file"]).await;
    container.stop();
}
