//! Mail through the built host to a second real server, chasquid, as Debian's package `chasquid` installs it: it takes a mail
//! after a login over TLS, and gives it to a delivery agent. What arrives there says what was sent.
//!
//! It gets a socket that listens already, as from systemd, and a pipe for what it delivers: so no port is chosen beforehand, and no time
//! passes until the server is up or the mail there.

use crate::support::certificate::Certificate;
use crate::support::mail::{read, whole};
use crate::support::{Host, PATIENCE, dir};
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

const USER: &str = "alice@example.org";
const PASSWORD: &str = "correct horse";

const CONFIGURATION: &str = r#"
hostname: "localhost"
submission_address: "systemd"
data_dir: "@/data"
mail_log_path: "<stderr>"
mail_delivery_agent_bin: "/bin/sh"
mail_delivery_agent_args: "-c"
mail_delivery_agent_args: "cat > '@/delivered'"
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn chasquid_delivers_what_was_sent() {
    let (dir, certificate) = (dir(), Certificate::new());
    let (_server, port) = Server::start(dir.path(), &certificate);
    let bundle = certificate.write_bundle(dir.path());
    let provider = format!(
        "[providers.mail]\nplugin = \"smtp\"\nhost = \"localhost\"\nport = {port}\nuser = \"{USER}\"\n\
        password = \"{PASSWORD}\"\nfrom = \"Provost <provost@example.org>\"\n"
    );
    let host = Host::start_with(&provider, |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    let (mut message, expected) = whole("mail");
    let (status, answer) = host.send(message.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let delivered = delivered(dir.path());
    assert!(delivered.contains("Message-ID: <whole@example.org>"), "{delivered}");
    assert_eq!(read(std::slice::from_ref(&delivered)), [expected], "{delivered}");

    message["id"] = "nobody".into();
    message["to"] = serde_json::json!(["nobody@example.org"]);
    let (status, answer) = host.send(message).await;
    assert_eq!((status, answer["type"].as_str()), (422, Some("urn:provost:problem:refused")), "{answer}");
}

/// What the server hands over next.
fn delivered(dir: &Path) -> String {
    let (path, (sender, receiver)) = (dir.join("delivered"), channel());
    thread::spawn(move || sender.send(fs::read_to_string(path)));
    receiver.recv_timeout(PATIENCE).expect("the server delivers").expect("a mail is text")
}

/// The running server, killed when it is dropped.
struct Server(Child);

impl Server {
    /// Starts the server with its configuration and its queue in `dir`, and returns its port.
    fn start(dir: &Path, certificate: &Certificate) -> (Self, u16) {
        let config = dir.join("config");
        let certificates = config.join("certs/localhost");
        for new in [&certificates, &config.join("domains/example.org"), &dir.join("data")] {
            fs::create_dir_all(new).expect("a temporary directory");
        }
        fs::rename(certificate.write_bundle(&certificates), certificates.join("fullchain.pem"))
            .expect("a temporary file");
        fs::rename(certificate.write_key(&certificates), certificates.join("privkey.pem")).expect("a temporary file");
        let text = CONFIGURATION.replace('@', dir.to_str().expect("a temporary directory's name is text"));
        fs::write(config.join("chasquid.conf"), text).expect("a temporary file");
        run(Command::new("mkfifo").arg(dir.join("delivered")));
        for user in [USER, "bob@example.org"] {
            let directory = format!("-C={}", config.display());
            run(Command::new("chasquid-util").args([&directory, "user-add", user, &format!("--password={PASSWORD}")]));
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let start =
            "LISTEN_FDS=1 LISTEN_FDNAMES=submission LISTEN_PID=$$ exec chasquid -config_dir \"$0\" 3<&0 </dev/null";
        let mut command = Command::new("sh");
        command.args(["-c", start]).arg(&config).stdin(Stdio::from(OwnedFd::from(listener)));
        (Self(command.stderr(Stdio::null()).spawn().expect("sh is everywhere")), port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
