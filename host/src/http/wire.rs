//! What the HTTP library answers by itself to a request that it cannot read, as a problem document.

use crate::http::problem::Problem;
use axum::http::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Only an answer of the library has no body: each of ours has one.
const EMPTY: &[u8] = b"\r\ncontent-length: 0\r\n";

/// How such an answer begins.
const REFUSAL: &[u8] = b"HTTP/1.1 4";

/// More bytes than such an answer has.
const LONGEST: usize = 256;

/// A connection as the library reads and writes it. One whose other side does not read ends after a while.
pub struct Wire<S> {
    stream: S,
    patience: Duration,
    /// Set while the other side does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written in place of what the library gave, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S> Wire<S> {
    /// Over this stream, which may stall for `patience`.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, stalled: None, instead: None }
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    fn write(&mut self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_write(task, bytes) {
            self.stalled = None;
            return Poll::Ready(result);
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(task));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(task, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some((text, mut written)) = self.instead.take().or_else(|| Some((explained(bytes)?, 0))) else {
            return self.write(task, bytes);
        };
        while written < text.len() {
            match self.write(task, &text[written..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.instead = Some((text, written));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// The same bytes with a problem document for the library's answer at their end, if there is one.
fn explained(bytes: &[u8]) -> Option<Vec<u8>> {
    // It is short, and comes last.
    let before = bytes.len().saturating_sub(LONGEST);
    let find = |text: &[u8]| bytes[before..].windows(text.len()).rposition(|window| window == text);
    let (empty, start) = (find(EMPTY)?, find(REFUSAL)? + before);
    if empty + before < start {
        return None;
    }
    let status = std::str::from_utf8(bytes.get(start + 9..start + 12)?).ok()?;
    let status = StatusCode::from_bytes(status.as_bytes()).ok()?;
    let (kind, title, detail) = match status {
        StatusCode::URI_TOO_LONG => ("uri-too-long", "the path is too long", "no path here is that long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            ("headers-too-large", "the headers are too large", "send fewer headers, or shorter ones")
        }
        _ => ("not-http", "not HTTP", "the request is not HTTP/1.1 (RFC 9112)"),
    };
    let problem = Problem::new(status, kind, title, detail);
    problem.count();
    let body = serde_json::to_string(&problem).ok()?;
    let reason = status.canonical_reason().unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        status.as_u16(),
        body.len()
    );
    Some([&bytes[..start], answer.as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What leaves, through a pipe that takes a few bytes at a time.
    async fn check(bytes: &str, expected: &str) {
        let (near, mut far) = tokio::io::duplex(7);
        let writing = async {
            let mut wire = Wire::new(near, Duration::from_secs(60));
            wire.write_all(bytes.as_bytes()).await.expect("a pipe takes all");
        };
        let mut text = String::new();
        let (_, read) = tokio::join!(writing, far.read_to_string(&mut text));
        read.expect("text");
        assert_eq!(text, expected);
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (near, _far) = tokio::io::duplex(7);
        let error = Wire::new(near, Duration::from_millis(1)).write_all(&[b'a'; 20]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_the_library_says_has_a_body() {
        let own = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        check(own, own).await;
        let body = "{\"type\":\"urn:provost:problem:uri-too-long\",\"title\":\"the path is too long\",\"status\":414,\
                    \"detail\":\"no path here is that long\"}";
        check(
            &format!("{own}HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"),
            &format!(
                "{own}HTTP/1.1 414 URI Too Long\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .await;
    }
}
