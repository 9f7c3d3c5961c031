//! No connection of the built host keeps a small packet back until the other side has confirmed the one before (RFC 896): that costs 40 ms
//! for each of a mail's short lines.

use crate::support::receiver::Receiver;
use crate::support::{Host, client};
use rustix::net::{getpeername, sockopt::tcp_nodelay};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Whether the host's connection with this address sends at once.
fn sends_at_once(host: &Host, other: SocketAddr) -> Option<bool> {
    let process = i32::try_from(host.process()).ok().and_then(Pid::from_raw).expect("it runs");
    let process = pidfd_open(process, PidfdFlags::empty()).expect("it runs");
    let files = fs::read_dir(format!("/proc/{}/fd", host.process())).expect("it runs");
    let mut files = files.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok());
    files.find_map(|file| {
        let file = pidfd_getfd(&process, file, PidfdGetfdFlags::empty()).ok()?;
        let peer = SocketAddr::try_from(getpeername(&file).ok()??).ok()?;
        (peer == other).then(|| tcp_nodelay(&file).expect("it is a connection"))
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the files that `cargo xtask test` builds"]
async fn small_packets_leave_at_once() {
    let receiver = Receiver::start().await;
    let server = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let mail = server.local_addr().expect("it is bound");
    let host = Host::start(&format!(
        "{}[providers.mail]\nplugin = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"a@example.org\"\n",
        receiver.provider("hook"),
        mail.port()
    ));
    let mut api = TcpStream::connect(host.address).await.expect("the host listens");
    api.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("the host reads");
    api.read_exact(&mut [0]).await.expect("the host answers");
    assert_eq!(sends_at_once(&host, api.local_addr().expect("it is bound")), Some(true));

    let held = receiver.hold().await;
    let url = host.url("/v1/messages");
    let send = |provider: &str| {
        let message = json!({ "provider": provider, "to": ["a@example.org"], "text": "a" });
        tokio::spawn(client().post(&url).json(&message).send())
    };
    let (hook, _mail) = (send("hook"), send("mail"));
    receiver.arrived().await;
    assert_eq!(sends_at_once(&host, receiver.address), Some(true));
    let (mut connection, _) = server.accept().await.expect("the host connects");
    connection.write_all(b"220 ready\r\n").await.expect("the host reads");
    connection.read_exact(&mut [0]).await.expect("the host speaks");
    assert_eq!(sends_at_once(&host, mail), Some(true));
    drop(held);
    assert_eq!(hook.await.expect("it ends").expect("the host answers").status(), 200);
}
