//! Mail through the built host to a real server, Exim, as Debian's package `exim4-daemon-light` installs it.
//!
//! A target of its own, since it needs a program that not every machine has, and root: Exim takes a connection that
//! somebody else accepted, as inetd does, from root only. The test accepts, so no port is chosen beforehand, and no
//! time passes until the server is up.

use crate::support::certificate::Certificate;
use crate::support::mail::{read, whole};
use crate::support::{Host, dir};
use serde_json::json;
use std::fs::{self, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

const USER: &str = "alice";
const PASSWORD: &str = "correct horse";

/// Where mail is taken for `example.org`, after a login over TLS, and kept in the queue.
const CONFIGURATION: &str = r#"
primary_hostname = localhost
spool_directory = @/spool
log_file_path = @/spool/%slog
tls_advertise_hosts = *
tls_certificate = @/bundle.pem
tls_privatekey = @/key.pem
auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}
acl_smtp_rcpt = recipient
queue_only
keep_environment =
host_lookup =

begin acl
recipient:
  deny message = log in first
       !authenticated = *
  defer message = come back later
       local_parts = full
  deny message = no such user here
       !domains = example.org
  accept

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_set_id = $auth2
  server_condition = ${if and{{eq{$auth2}{USER}}{eq{$auth3}{PASSWORD}}}}
"#;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn exim_takes_the_mail() {
    let (dir, certificate) = (dir(), Certificate::new());
    let port = exim(dir.path(), &certificate);
    let provider = format!(
        "[providers.mail]\nplugin = \"smtp\"\nhost = \"localhost\"\nport = {port}\nuser = \"{USER}\"\n\
        password = \"{PASSWORD}\"\nfrom = \"Provost <provost@example.org>\"\n"
    );
    let bundle = dir.path().join("bundle.pem");
    let host = Host::start_with(&provider, |command| {
        command.env("SSL_CERT_FILE", bundle);
    });
    let message = |id: &str, to: &str| json!({ "provider": "mail", "id": id, "to": [to], "subject": "a", "text": "one\n.\nthree" });

    let (status, answer) = host.send(message("m1", "bob@example.org")).await;
    assert_eq!(status, 200, "{answer}");
    let reference = answer["receipt"]["reference"].as_str().expect("the server answers");
    let (_, id) = reference.split_once("id=").expect("Exim answers with its id");
    let spool = dir.path().join("spool/input");
    let text = fs::read_to_string(spool.join(format!("{id}-D"))).expect("the mail is in the queue");
    assert!(text.ends_with("one\n.\nthree\n"), "{text}");
    let headers = fs::read_to_string(spool.join(format!("{id}-H"))).expect("the mail is in the queue");
    for part in ["-auth_id alice", "<provost@example.org>", "Message-ID: <m1@example.org>", "esmtpsa"] {
        assert!(headers.contains(part), "{part} is not in {headers}");
    }

    let (all, expected) = whole("mail");
    let (status, answer) = host.send(all).await;
    assert_eq!(status, 200, "{answer}");
    let reference = answer["receipt"]["reference"].as_str().expect("the server answers");
    let (_, id) = reference.split_once("id=").expect("Exim answers with its id");
    let kept = kept(&spool, id);
    assert_eq!(read(std::slice::from_ref(&kept)), [expected], "{kept}");

    let (status, answer) = host.send(message("m2", "full@example.org")).await;
    assert_eq!((status, answer["type"].as_str()), (503, Some("urn:provost:problem:temporary-failure")), "{answer}");
    let (status, answer) = host.send(message("m3", "bob@example.net")).await;
    assert_eq!((status, answer["type"].as_str()), (422, Some("urn:provost:problem:refused")), "{answer}");
}

/// A mail of the queue. Each header there has its length in front, and a letter that says which one it is; the body its name.
fn kept(spool: &Path, id: &str) -> String {
    let part = |name: &str| fs::read_to_string(spool.join(format!("{id}-{name}"))).expect("the mail is in the queue");
    let (headers, body) = (part("H"), part("D"));
    let (_, mut headers) = headers.split_once("\n\n").expect("an envelope, and headers");
    let (_, body) = body.split_once('\n').expect("a name, and a body");
    let mut mail = String::new();
    while !headers.is_empty() {
        let (length, rest) = headers.split_at(headers.find(|c: char| !c.is_ascii_digit()).expect("a length"));
        let (kind, rest) = rest.split_at("P ".len());
        let (header, rest) = rest.split_at(length.parse().expect("a length"));
        // What Exim has replaced stays, with a mark.
        mail += if kind.starts_with('*') { "" } else { header };
        headers = rest;
    }
    mail + "\n" + body
}

/// Serves each connection by an Exim of its own, and returns the port.
fn exim(dir: &Path, certificate: &Certificate) -> u16 {
    let program = program();
    certificate.write_bundle(dir);
    let key = certificate.write_key(dir);
    // Exim reads these as its own user.
    for path in [dir, &key] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("a file of the test's own");
    }
    let text = CONFIGURATION.replace('@', dir.to_str().expect("a temporary directory's name is text"));
    let configuration = dir.join("exim.conf");
    fs::write(&configuration, text.replace("USER", USER).replace("PASSWORD", PASSWORD)).expect("a temporary file");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    thread::spawn(move || {
        for connection in listener.incoming() {
            serve(&program, &configuration, connection.expect("a connection"));
        }
    });
    port
}

fn serve(program: &Path, configuration: &Path, connection: TcpStream) {
    let copy = OwnedFd::from(connection.try_clone().expect("a copy of the connection"));
    let mut child = Command::new(program)
        .arg("-C")
        .arg(configuration)
        .arg("-bs")
        .stdin(Stdio::from(OwnedFd::from(connection)))
        .stdout(Stdio::from(copy))
        .spawn()
        .expect("Exim starts");
    thread::spawn(move || child.wait());
}

fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = dirs.map(|dir| dir.join("exim4")).find(|path| path.is_file());
    found.expect("this test needs exim4: install Debian's exim4-daemon-light, and run it as root")
}
