//! Which certificate the built host shows, also after SIGHUP, and what it says of one in its configuration: whole messages.

use crate::support::certificate::Certificate;
use crate::support::tls::{TLS, connect, reload, send, start};
use crate::support::{Host, dir, provost, write_config};
use std::fs;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::ALL_VERSIONS;
use tokio_rustls::rustls::version::{TLS12, TLS13};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn certificates_are_read_again() {
    let [first, second, third] = [(); 3].map(|()| Certificate::new());
    let (host, dir) = start(&first, "");
    let mut before = connect(&host, &first.pem(), ALL_VERSIONS, &[]).await.expect("the first");
    assert!(send(&mut before).await.0.starts_with("HTTP/1.1 200 "));
    second.write_bundle(dir.path());
    second.write_key(dir.path());
    reload(&host, 1, 0).await;
    connect(&host, &first.pem(), ALL_VERSIONS, &[]).await.expect_err("it was replaced");
    connect(&host, &second.pem(), ALL_VERSIONS, &[]).await.expect("the second");
    // Half of a change: the one in force stays.
    third.write_key(dir.path());
    reload(&host, 1, 1).await;
    connect(&host, &second.pem(), ALL_VERSIONS, &[]).await.expect("the second, still");
    third.write_bundle(dir.path());
    reload(&host, 2, 1).await;
    connect(&host, &third.pem(), ALL_VERSIONS, &[]).await.expect("the third");
    assert!(send(&mut before).await.0.starts_with("HTTP/1.1 200 "), "an open connection stays");
    drop(before);
    host.terminate();
    let (_, log) = host.wait();
    let refused = format!(
        "server.tls.key_file: it is not the key of the certificate in {}\n",
        dir.path().join("bundle.pem").display()
    );
    assert!(log.contains(&refused), "{log}");
}

/// A reading can also turn TLS on, for new connections.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn connections_from_before_stay_as_they_are() {
    let certificate = Certificate::new();
    let host = Host::start("metrics_listen = \"127.0.0.1:0\"\n");
    let dir = host.config.parent().expect("a file is in a directory");
    certificate.write_bundle(dir);
    certificate.write_key(dir);
    let mut before = TcpStream::connect(host.address).await.expect("the host listens");
    let mut ask = async || {
        before.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the host reads");
        let mut answer = [0; 4096];
        let count = before.read(&mut answer).await.expect("the host answers");
        String::from_utf8_lossy(&answer[..count]).starts_with("HTTP/1.1 200 ")
    };
    assert!(ask().await);
    write_config(dir, &format!("[server]\nlisten = \"127.0.0.1:0\"\n{TLS}"));
    reload(&host, 1, 0).await;
    connect(&host, &certificate.pem(), ALL_VERSIONS, &[]).await.expect("it has TLS now");
    assert!(ask().await);
}

/// Those between the certificate and the root are sent.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_chain_leads_to_a_root() {
    let key = || rcgen::KeyPair::generate().expect("a key");
    let authority = |name: &str| {
        let mut params = rcgen::CertificateParams::new([]).expect("no names");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params
    };
    let root = rcgen::CertifiedIssuer::self_signed(authority("root"), key()).expect("a root");
    let between = rcgen::CertifiedIssuer::signed_by(authority("between"), key(), &root).expect("signed by the root");
    let own = key();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&own, &between).expect("signed");
    let (host, dir) = start(&Certificate::new(), "");
    fs::write(dir.path().join("bundle.pem"), certificate.pem() + &between.pem()).expect("a temporary file");
    fs::write(dir.path().join("key.pem"), own.serialize_pem()).expect("a temporary file");
    reload(&host, 1, 0).await;
    connect(&host, &root.pem(), &[&TLS12], &[]).await.expect("it leads to the root");
    connect(&host, &root.pem(), &[&TLS13], &[]).await.expect("it leads to the root");
}

/// What `--check` says, with `@` for the test's directory.
fn check(dir: &Path, tls: &str) -> (Option<i32>, String) {
    let shown = dir.to_str().expect("a temporary directory's name is text");
    let listen = if tls.starts_with("listen") { "" } else { "listen = \"127.0.0.1:0\"\n" };
    let config = write_config(dir, &format!("[server]\n{listen}{}\n", tls.replace('@', shown)));
    let output = provost().arg("--config").arg(config).arg("--check").output().expect("the host starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).replace(shown, "@"))
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn what_is_wrong_with_a_certificate_is_said_at_once() {
    let (dir, certificate) = (dir(), Certificate::new());
    certificate.write_bundle(dir.path());
    certificate.write_key(dir.path());
    let other = rcgen::KeyPair::generate().expect("a key").serialize_pem();
    let encrypted = other.replace("PRIVATE", "ENCRYPTED PRIVATE");
    let broken = "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n";
    for (name, text) in [("other.pem", &*other), ("encrypted.pem", &encrypted), ("broken.pem", broken), ("empty", "")] {
        fs::write(dir.path().join(name), text).expect("a temporary file");
    }
    let none = "no private key is in it: PEM has one from `-----BEGIN PRIVATE KEY-----` on";
    for (tls, expected) in [
        ("tls = {}", vec!["server.tls: missing field `certificate`"]),
        ("tls = { certificate = \"bundle.pem\" }", vec!["server.tls.key: missing: set it, or `key_file`"]),
        (
            "tls = { certificate = \"none.pem\", key = \"file:@/none.pem\" }",
            vec!["server.tls.key: reading @/none.pem: No such file or directory (os error 2)"],
        ),
        (
            "tls = { certificate = \"none.pem\", key_file = \"none.pem\" }",
            vec![
                "server.tls.certificate: reading @/none.pem: No such file or directory (os error 2)",
                "server.tls.key_file: reading @/none.pem: No such file or directory (os error 2)",
            ],
        ),
        (
            "tls = { certificate = \"key.pem\", key_file = \"bundle.pem\" }",
            vec![
                "server.tls.certificate: no certificate is in @/key.pem: PEM has one from `-----BEGIN CERTIFICATE-----` on",
                &format!("server.tls.key_file: {none}"),
            ],
        ),
        (
            "tls = { certificate = \"broken.pem\", key = \"hunter2\" }",
            vec![
                "server.tls.certificate: number 1 in @/broken.pem cannot be read: invalid peer certificate: BadEncoding",
                &format!("server.tls.key: {none}"),
            ],
        ),
        (
            "tls = { certificate = \"bundle.pem\", key = \"file:@/other.pem\" }",
            vec!["server.tls.key: it is not the key of the certificate in @/bundle.pem"],
        ),
        (
            "tls = { certificate = \"bundle.pem\", key_file = \"encrypted.pem\" }",
            vec![
                "server.tls.key_file: the key has a password: write it without one, as `openssl pkey -in KEY -out KEY_WITHOUT` does",
            ],
        ),
        (
            "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\", key = \"file:@/key.pem\" }",
            vec!["server.tls.key: `key_file` is there too: keep one of them"],
        ),
        (
            "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\", kye = 1 }",
            vec!["server.tls.kye: unknown key; did you mean `key`?"],
        ),
        (
            "listen = \"unix:provost.sock\"\ntls = { certificate = \"bundle.pem\", key_file = \"key.pem\" }",
            vec!["server.tls: a unix socket has no TLS: remove it, or let `server.listen` be an address"],
        ),
    ] {
        let expected: String = expected.iter().map(|error| format!("error: @/config.toml: {error}\n")).collect();
        assert_eq!(check(dir.path(), tls), (Some(1), expected), "{tls}");
    }
    let right = "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\" }";
    assert_eq!(check(dir.path(), right), (Some(0), String::new()));
}

#[test]
#[ignore = "needs the files that `cargo xtask test` builds"]
fn a_certificate_that_has_expired_is_a_warning() {
    let dir = dir();
    let key = rcgen::KeyPair::generate().expect("a key");
    let pem = |from: i32, until: i32| {
        let mut params = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&key).expect("a certificate").pem()
    };
    let all = [pem(2000, 2001), pem(2000, 9000), pem(8000, 9000)].concat();
    fs::write(dir.path().join("bundle.pem"), all).expect("a temporary file");
    fs::write(dir.path().join("key.pem"), key.serialize_pem()).expect("a temporary file");
    let (code, log) = check(dir.path(), "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\" }");
    let warnings: Vec<_> = log.lines().filter_map(|line| Some(line.split_once(" WARN ")?.1)).collect();
    let expected = [
        "number 1 in @/bundle.pem expired at 2001-01-01T00:00:00Z: renew it",
        "number 3 in @/bundle.pem is not valid before 8000-01-01T00:00:00Z: check the clock of this machine",
    ]
    .map(|warning| format!("provost::config::tls: server.tls.certificate: {warning}"));
    assert_eq!((code, warnings), (Some(0), expected.iter().map(String::as_str).collect()), "{log}");
}
