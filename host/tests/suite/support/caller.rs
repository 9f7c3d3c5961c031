//! A caller with one connection, who can go away: what becomes of a message without its caller is seen when the host knows that it is gone.

use super::{Host, PATIENCE};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A part of `[server]`: the host takes all requests of a connection from an address when it knows that the one before is gone.
pub const ONE_EACH: &str = "peer_connections_limit = 1\n";

/// A caller.
pub struct Caller {
    stream: TcpStream,
    from: &'static str,
}

impl Caller {
    /// Connects from an address of this machine.
    pub async fn connect(host: &Host, from: &'static str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(format!("{from}:0").parse().expect("an address")).expect("an address of this machine");
        Self { stream: socket.connect(host.address).await.expect("the host listens"), from }
    }

    /// Sends a request, and waits for no answer.
    pub async fn begin(&mut self, path: &str, body: &Value) {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n");
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        self.stream.write_all(request.as_bytes()).await.expect("the host reads");
    }

    /// Sends a message, and returns status and answer.
    pub async fn send(&mut self, message: &Value) -> (u16, Value) {
        self.begin("/v1/messages", message).await;
        let (status, body) = self.answer().await.expect("the host answers");
        (status, serde_json::from_str(&body).expect("the answer is JSON"))
    }

    /// Waits until the host has counted this.
    pub async fn counts(&mut self, expected: &str) {
        let counted =
            async { while !self.get("/metrics").await.is_some_and(|(_, metrics)| metrics.contains(expected)) {} };
        tokio::time::timeout(PATIENCE, counted).await.unwrap_or_else(|_| panic!("the host never counts {expected}"));
    }

    /// Goes away. Returns another one from the same address of a host with [`ONE_EACH`], which knows that the first is gone.
    pub async fn leave(self, host: &Host) -> Self {
        let from = self.from;
        drop(self);
        let known = async {
            loop {
                let mut next = Self::connect(host, from).await;
                // Until then it is asked for its health alone.
                if let Some((200, _)) = next.get("/v1/providers").await {
                    break next;
                }
            }
        };
        tokio::time::timeout(PATIENCE, known).await.expect("the host looks for its callers")
    }

    /// What is at a path; `None` if the host takes no request of this connection.
    pub async fn get(&mut self, path: &str) -> Option<(u16, String)> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await.ok()?;
        self.answer().await
    }

    /// The next answer's status and body.
    async fn answer(&mut self) -> Option<(u16, String)> {
        let (mut answer, mut part) = (String::new(), [0; 4096]);
        loop {
            let count = self.stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
            answer += std::str::from_utf8(&part[..count]).expect("an answer is text");
            let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if length == Some(body.len()) {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
                return Some((status.expect("an answer has a status"), body.to_owned()));
            }
        }
    }
}
