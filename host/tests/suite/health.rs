//! `--health`, which asks a running host as an image's health check does: whole messages, and exit codes.

use crate::support::certificate::Certificate;
use crate::support::receiver::Receiver;
use crate::support::{Host, PATIENCE, dir, provost, write_config};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Output, Stdio};

/// Asks with a configuration that names `listen`, and with the rest of an image's command.
async fn query(listen: SocketAddr) -> Output {
    query_with(dir().path(), &format!("listen = \"{listen}\"\n")).await
}

/// Asks with these keys of the server, in a configuration in `dir`.
async fn query_with(dir: &Path, server: &str) -> Output {
    // That a provider's plugin is not there is no affair of the answer.
    let config = write_config(dir, &format!("[server]\n{server}[providers.a]\nplugin = \"b\"\n"));
    let mut command = provost();
    command.arg("--config").arg(config).args(["--prov", "none.prov", "--health"]);
    let run = tokio::process::Command::from(command).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, run).await.expect("it ends").expect("the host starts")
}

/// Where nobody answers as a host would, one line says what is there.
async fn fails(listen: SocketAddr, expected: &str) {
    is_failure(&query(listen).await, expected);
}

fn is_failure(output: &Output, expected: &str) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {expected}\n"));
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_host_is_healthy_until_its_end() {
    let host = Host::start("");
    let address = host.address;
    let everywhere = SocketAddr::from(([0, 0, 0, 0], address.port()));
    for listen in [address, everywhere] {
        is_success(&query(listen).await);
    }
    host.terminate();
    assert_eq!(host.wait().0.code(), Some(0));
    for listen in [address, everywhere] {
        fails(listen, &format!("http://{address}/healthz: Connection refused (os error 111)")).await;
    }
}

fn is_success(output: &Output) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    assert_eq!(output.status.code(), Some(0));
}

/// The certificate is for another name than the address that is asked, and need not be the one of the file any more.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_host_with_tls_is_asked_by_tls() {
    let (dir, other) = (dir(), dir());
    for (dir, certificate) in [(&dir, Certificate::new()), (&other, Certificate::new())] {
        certificate.write_bundle(dir.path());
        certificate.write_key(dir.path());
    }
    let tls = "tls = { certificate = \"bundle.pem\", key_file = \"key.pem\" }\n";
    let started = write_config(dir.path(), &format!("[server]\nlisten = \"127.0.0.1:0\"\n{tls}"));
    let host = Host::start_with("", |command| {
        command.env("PROVOST_CONFIG", started);
    });
    let address = host.address;
    for dir in [&dir, &other] {
        is_success(&query_with(dir.path(), &format!("listen = \"{address}\"\n{tls}")).await);
    }
    // One that was changed meanwhile, and not whole.
    let no_key = tls.replace("key.pem", "none.pem");
    is_success(&query_with(dir.path(), &format!("listen = \"{address}\"\n{no_key}")).await);
    fails(address, &format!("http://{address}/healthz: answered 400 Bad Request, not 200")).await;
    host.terminate();
    assert_eq!(host.wait().0.code(), Some(0));
    let config = format!("listen = \"{address}\"\n{tls}");
    let url = format!("https://{address}/healthz");
    is_failure(&query_with(dir.path(), &config).await, &format!("{url}: Connection refused (os error 111)"));

    let plain = Host::start("");
    let config = format!("listen = \"{}\"\n{tls}", plain.address);
    let expected = "received corrupt message of type InvalidContentType";
    is_failure(&query_with(dir.path(), &config).await, &format!("https://{}/healthz: {expected}", plain.address));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = silent.local_addr().expect("it is bound");
    let output = query_with(dir.path(), &format!("listen = \"{address}\"\n{tls}")).await;
    is_failure(&output, &format!("https://{address}/healthz: no answer within 3s"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_host_at_a_unix_socket_is_asked_there() {
    let dir = dir();
    let server = "listen = \"unix:provost.sock\"\n";
    let config = write_config(dir.path(), &format!("[server]\n{server}"));
    let mut command = provost();
    let mut child = command.arg("--config").arg(config).stderr(Stdio::piped()).spawn().expect("the host starts");
    let log = BufReader::new(child.stderr.take().expect("it was asked for"));
    let mut log = log.lines().map_while(Result::ok);
    let path = dir.path().join("provost.sock");
    let listens = log.any(|line| line.contains(&format!("listening address=unix:{} ", path.display())));
    assert!(listens, "the host ended");
    is_success(&query_with(dir.path(), server).await);
    child.kill().and_then(|()| child.wait()).expect("it runs");
    let url = format!("http://localhost/healthz at unix:{}", path.display());
    let output = query_with(dir.path(), server).await;
    is_failure(&output, &format!("{url}: Connection refused (os error 111)"));
    std::fs::remove_file(&path).expect("it was left");
    let output = query_with(dir.path(), server).await;
    is_failure(&output, &format!("{url}: No such file or directory (os error 2)"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn who_else_listens_there_is_no_healthy_host() {
    let receiver = Receiver::start().await;
    let url = format!("http://{}/healthz", receiver.address);
    fails(receiver.address, &format!("{url}: answered 204 No Content, not 200")).await;
    let held = receiver.hold().await;
    fails(receiver.address, &format!("{url}: no answer within 3s")).await;
    drop(held);

    for (greeting, expected) in [
        (
            "220 mail.example.org ESMTP\r\n",
            "answered \"220 mail.example.org ESMTP\", which is not HTTP: another program listens there",
        ),
        ("", "the connection was closed without an answer"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let greet = async {
            let (mut stream, _) = listener.accept().await.expect("it is asked");
            let mut request = [0; 1024];
            // What was not read would reset the connection, and the answer with it.
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut request).await.expect("a request");
            tokio::io::AsyncWriteExt::write_all(&mut stream, greeting.as_bytes()).await.expect("it listens");
        };
        let expected = format!("http://{address}/healthz: {expected}");
        tokio::join!(greet, fails(address, &expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn what_cannot_be_asked() {
    let dir = dir();
    let config = write_config(dir.path(), "[server]\nlisten = \"127.0.0.1:0\"\n");
    let shown = config.display();
    for (text, expected) in [
        ("[server]\nlisten = \"127.0.0.1:0\"\n", "server.listen: port 0 changes at each start; choose a fixed port"),
        (
            "lisen = 1\n[server]\nlisten = \"127.0.0.1:9\"\n",
            "lisen: unknown key; remove it, or use one of clients, include, log, providers, server\n\
             error: http://127.0.0.1:9/healthz: Connection refused (os error 111)",
        ),
    ] {
        write_config(dir.path(), text);
        let output = provost().arg("--health").arg("--config").arg(&config).output().expect("the host starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {shown}: {expected}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// The host that refused the configuration is well.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn a_wrong_configuration_does_not_make_a_host_ill() {
    let host = Host::start("");
    let address = host.address;
    is_success(&query_with(dir().path(), &format!("listen = \"{address}\"\nlisen = 1\n")).await);
    host.kill();
    host.wait();
    let dir = dir();
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"{address}\"\nlisen = 1\n"));
    let output = provost().arg("--health").arg("--config").arg(&config).output().expect("the host starts");
    let expected = format!(
        "error: {}: server.lisen: unknown key; did you mean `listen`?\nerror: http://{address}/healthz: Connection refused (os error 111)\n",
        config.display()
    );
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(1), expected.as_str()));
}
