//! A host with TLS, and clients that look at each step.

use super::certificate::Certificate;
use super::{Host, PATIENCE, dir, metrics, signal, write_config};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// The keys of a certificate in the directory of the configuration.
pub const TLS: &str =
    "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\" }\nmetrics_listen = \"127.0.0.1:0\"\n";

/// A host with this certificate, which is where the paths above lead; and where it stores messages.
pub fn start(certificate: &Certificate, rest: &str) -> (Host, TempDir) {
    let dir = dir();
    certificate.write_bundle(dir.path());
    certificate.write_key(dir.path());
    let provider = format!("[providers.file]\npath = {:?}\n", dir.path().join("messages"));
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{TLS}{rest}{provider}"));
    let host = Host::start_with("", |command| {
        command.env("PROVOST_CONFIG", config);
    });
    (host, dir)
}

/// What it counted. It says so without TLS.
async fn counted(host: &Host) -> String {
    let line = host.start.lines().find_map(|line| line.split_once("metrics and health address="));
    metrics(&format!("http://{}/metrics", line.expect("the log says where they are").1)).await
}

/// Waits until `expected` is a part of it.
pub async fn counts(host: &Host, expected: &str) {
    while !counted(host).await.contains(expected) {
        tokio::task::yield_now().await;
    }
}

/// A client that trusts one certificate, and wants to speak one of `protocols`.
pub fn trusting(
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate")).expect("a certificate");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(versions).expect("ring knows them");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// How a handshake by this client begins.
pub fn hello(client: Arc<ClientConfig>) -> Vec<u8> {
    let mut session = ClientConnection::new(client, "localhost".try_into().expect("a name")).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("memory takes all");
    hello
}

/// A handshake by a client that trusts one certificate, and wants to speak one of `protocols`.
pub async fn connect(
    host: &Host,
    trusted: &str,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> io::Result<TlsStream<TcpStream>> {
    let client = trusting(trusted, versions, protocols);
    let stream = TcpStream::connect(host.address).await.expect("the host listens");
    let handshake = TlsConnector::from(client).connect("localhost".try_into().expect("a name"), stream);
    tokio::time::timeout(PATIENCE, handshake).await.expect("it ends")
}

/// Sends a message over a connection that stays open, and returns the answer's head and body.
pub async fn send(stream: &mut TlsStream<TcpStream>) -> (String, Value) {
    let body = json!({ "provider": "file", "text": "a".repeat(100_000) }).to_string();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.expect("the host reads");
    stream.flush().await.expect("the host reads");
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut part).await.expect("the host answers");
        answer.extend(&part[..count]);
        let text = String::from_utf8_lossy(&answer);
        assert!(count > 0, "the host closed the connection after {text}");
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            return (head.to_owned(), body);
        }
    }
}

/// Reads the configuration again, until so many readings were in force and so many refused.
pub async fn reload(host: &Host, done: u64, refused: u64) {
    signal(host.process(), "HUP");
    let [done, refused] = [("done", done), ("refused", refused)]
        .map(|(result, count)| format!("provost_reloads_total{{result=\"{result}\"}} {count}\n"));
    counts(host, &(done + &refused)).await;
}
