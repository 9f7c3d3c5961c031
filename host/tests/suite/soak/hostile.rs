//! Clients who do as they should not. What they are told is their affair, as long as it comes to an end.

use super::{HOSTILE_TOKEN, Random};
use crate::support::load::in_small_chunks;
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Their own address: the host counts connections by peer.
const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);

/// How long one does not read: longer than the host allows.
const UNREAD: Duration = Duration::from_secs(6);

/// Ways to disturb.
const WAYS: [&str; 9] = [
    "says nothing",
    "comes and goes",
    "half a head",
    "half a body",
    "chunks",
    "long lists",
    "noise",
    "long headers",
    "never reads",
];

const MESSAGE: &str = r#"{"provider": "slow", "text": "whoever sent it has gone"}"#;

/// Disturbs until `end`, and returns how often in each way.
pub async fn disturb(host: SocketAddr, mut random: Random, end: Instant) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    while Instant::now() < end {
        let way = WAYS[random.below(WAYS.len() as u64) as usize];
        *counts.entry(way).or_default() += 1;
        // Whether the host closes the connection first is up to it.
        let _ = once(host, way, &mut random).await;
    }
    counts
}

async fn once(host: SocketAddr, way: &str, random: &mut Random) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(ADDRESS)?;
    let mut stream = socket.connect(host).await?;
    let head = |length: usize| {
        format!(
            "POST /v1/messages HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {HOSTILE_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    match way {
        "comes and goes" => {
            stream.write_all((head(MESSAGE.len()) + MESSAGE).as_bytes()).await?;
            // Somewhere in its delivery.
            tokio::time::sleep(Duration::from_millis(random.below(50))).await;
            Ok(())
        }
        "says nothing" => Ok(()),
        "half a head" => {
            stream.write_all(b"POST /v1/messages HTTP/1.1\r\nhost").await?;
            to_its_end(stream).await
        }
        "half a body" => {
            stream.write_all((head(1_000_000) + MESSAGE).as_bytes()).await?;
            to_its_end(stream).await
        }
        "chunks" => {
            let message = MESSAGE.replace("gone", &"gone ".repeat(2000));
            let request = String::from_utf8(in_small_chunks(&message)).expect("it is text");
            let token = format!("host: a\r\nauthorization: Bearer {HOSTILE_TOKEN}\r\n");
            stream.write_all(request.replacen("host: a\r\n", &token, 1).as_bytes()).await?;
            to_its_end(stream).await
        }
        "long lists" => {
            let messages = format!("{{\"messages\":[{}]}}", vec![r#"{"text":""}"#; 80_000].join(","));
            let head = head(messages.len()).replacen("/v1/messages", "/v1/messages:batch", 1);
            stream.write_all((head + &messages).as_bytes()).await?;
            to_its_end(stream).await
        }
        "noise" => {
            let noise: Vec<u8> = (0..1000).map(|_| random.below(256) as u8).collect();
            stream.write_all(&noise).await?;
            to_its_end(stream).await
        }
        "long headers" => {
            stream
                .write_all(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(1 << 20)).as_bytes())
                .await?;
            to_its_end(stream).await
        }
        _ => {
            let request = format!("GET /metrics HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {HOSTILE_TOKEN}\r\n\r\n");
            let requests = request.repeat(1000);
            let _ = tokio::time::timeout(UNREAD, stream.write_all(requests.as_bytes())).await;
            // Meanwhile the host cannot send all that was asked for: it is more than sockets hold.
            tokio::time::sleep(UNREAD).await;
            Ok(())
        }
    }
}

/// The host ends what is not whole.
async fn to_its_end(mut stream: TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map(|_| ())
}
