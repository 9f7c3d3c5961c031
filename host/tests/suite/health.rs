//! `--health`, which asks a running host as an image's health check does: whole messages, and exit codes.

use crate::support::receiver::Receiver;
use crate::support::{Host, PATIENCE, dir, provost, write_config};
use std::net::SocketAddr;
use std::process::Output;

/// Asks with a configuration that names `listen`, and with the rest of an image's command.
async fn query(listen: SocketAddr) -> Output {
    let dir = dir();
    // That a provider's plugin is not there is no affair of the answer.
    let config = write_config(dir.path(), &format!("[server]\nlisten = \"{listen}\"\n[providers.a]\nplugin = \"b\"\n"));
    let mut command = provost();
    command.arg("--config").arg(config).args(["--prov", "none.prov", "--health"]);
    let run = tokio::process::Command::from(command).kill_on_drop(true).output();
    tokio::time::timeout(PATIENCE, run).await.expect("it ends").expect("the host starts")
}

/// Where nobody answers as a host would, one line says what is there.
async fn fails(listen: SocketAddr, expected: &str) {
    let output = query(listen).await;
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
        let output = query(listen).await;
        assert_eq!((output.stdout.as_slice(), String::from_utf8_lossy(&output.stderr).as_ref()), (&b""[..], ""));
        assert_eq!(output.status.code(), Some(0));
    }
    host.terminate();
    assert_eq!(host.wait().0.code(), Some(0));
    for listen in [address, everywhere] {
        fails(listen, &format!("http://{address}/healthz: Connection refused (os error 111)")).await;
    }
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
        ("lisen = 1\n", "lisen: unknown key; remove it, or use one of clients, include, log, providers, server"),
    ] {
        write_config(dir.path(), text);
        let output = provost().arg("--health").arg("--config").arg(&config).output().expect("the host starts");
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {shown}: {expected}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}
