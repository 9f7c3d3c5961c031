//! The finished image, started with its own command: a message through each bundled plugin, then an orderly end.
//!
//! `XTASK_IMAGE` names the image and `XTASK_RUNTIME` the program that runs it, docker or podman.

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use support::certificate::Certificate;
use support::receiver::{Receiver, SECRET};
use support::smtp::{PASSWORD, SmtpServer};
use support::{address, folder, send, write_config};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `cargo xtask test`"))
}

/// Runs the runtime and returns what it printed.
fn runtime(arguments: &[&str]) -> String {
    let program = variable("XTASK_RUNTIME");
    let output = Command::new(&program).args(arguments).output().expect("the runtime starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {}\n{stderr}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).expect("a runtime prints text").trim().to_owned()
}

/// A container, removed with its volumes when it is dropped.
struct Container {
    id: String,
}

impl Container {
    /// Starts the image with these files in place of its configuration and of the system's certificates.
    fn start(config: &Path, bundle: &Path) -> Self {
        let mount = |from: &Path, to: &str| format!("type=bind,source={},target={to},readonly", from.display());
        let id = runtime(&[
            "create",
            "--read-only",
            "--network",
            "host",
            "--mount",
            &mount(config, "/etc/provost/config.toml"),
            "--mount",
            &mount(bundle, "/etc/provost/bundle.pem"),
            "--env",
            "SSL_CERT_FILE=/etc/provost/bundle.pem",
            &variable("XTASK_IMAGE"),
        ]);
        let container = Self { id };
        runtime(&["start", &container.id]);
        container
    }

    /// Follows the log up to the line that says where the host listens.
    fn listening(&self) -> SocketAddr {
        let mut logs = Command::new(variable("XTASK_RUNTIME"))
            .args(["logs", "--follow", &self.id])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the runtime starts");
        let stderr = logs.stderr.take().expect("it was asked for");
        let mut log = String::new();
        let found = BufReader::new(stderr).lines().map_while(Result::ok).find_map(|line| {
            log += &(line.clone() + "\n");
            address(&line)
        });
        // Following would only end with the container.
        let _ = logs.kill();
        let _ = logs.wait();
        found.unwrap_or_else(|| panic!("the host ended before it listened:\n{log}"))
    }

    fn inspect(&self, format: &str) -> String {
        runtime(&["inspect", "--format", format, &self.id])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // After a failed test too; nothing more can be done when this fails.
        let _ = Command::new(variable("XTASK_RUNTIME")).args(["rm", "--volumes", "--force", &self.id]).output();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_delivers_and_ends() {
    let (folder, certificate) = (folder(), Certificate::new());
    let receiver = Receiver::start().await;
    let server = SmtpServer::start(&certificate).await;
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[providers.file]\npath = \"/var/lib/provost/messages.jsonl\"\n{}{}",
        receiver.provider("webhook"),
        server.provider("smtp", PASSWORD),
    );
    let container = Container::start(
        &readable(folder.path(), &write_config(folder.path(), &config)),
        &readable(folder.path(), &certificate.write_bundle(folder.path())),
    );
    let url = format!("http://{}/v1/messages", container.listening());

    for provider in ["file", "smtp", "webhook"] {
        let message = json!({
            "provider": provider, "id": format!("to-{provider}"), "to": ["bob@example.org"], "text": "hello",
        });
        let (status, answer) = send(&url, message).await;
        assert_eq!(status, 200, "{answer}");
    }
    let kept = folder.path().join("kept.jsonl");
    runtime(&[
        "cp",
        &format!("{}:/var/lib/provost/messages.jsonl", container.id),
        kept.to_str().expect("a temporary file's name is text"),
    ]);
    let kept: Value = serde_json::from_slice(&std::fs::read(kept).expect("it was copied")).expect("one line of JSON");
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

    runtime(&["stop", &container.id]);
    assert_eq!(container.inspect("{{.State.ExitCode}}"), "0");
}

/// Lets the image's user read a file of the test's own.
fn readable(folder: &Path, file: &Path) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    for (path, mode) in [(folder, 0o755), (file, 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("a file of the test's own");
    }
    file.to_owned()
}
