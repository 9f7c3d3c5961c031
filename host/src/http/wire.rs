//! What the HTTP library answers by itself to a request that it cannot read, or does not answer to one that stays half sent: a problem
//! document.

use crate::http::problem::Problem;
use axum::http::StatusCode;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
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
pub struct Wire<S: AsyncWrite + Unpin> {
    stream: S,
    patience: Duration,
    /// Whether something came and nothing was answered.
    open: bool,
    /// Whether a request has arrived with all of its headers, and waits for its answer.
    busy: Arc<AtomicBool>,
    /// Set while the other side does not read.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written in place of what the library gave, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Over this stream, which may stall for `patience`. `busy` says whether a request is being answered.
    pub fn new(stream: S, patience: Duration, busy: Arc<AtomicBool>) -> Self {
        Self { stream, patience, open: false, busy, stalled: None, instead: None }
    }

    fn write(&mut self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.open = false;
        let result = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.patiently(task, result)
    }

    /// A result, or an error where the other side has not read for too long.
    fn patiently<T>(&mut self, task: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(task));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The library closes a connection whose headers do not come to their end, and says nothing.
impl<S: AsyncWrite + Unpin> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.open && !self.busy.load(Ordering::Relaxed) {
            let detail = "the headers were not complete within `server.request_timeout`";
            let problem = Problem::new(StatusCode::REQUEST_TIMEOUT, "half-sent", "request timeout", detail);
            let answer = last_answer(&problem).unwrap_or_default();
            // Nobody waits for it: whoever does not read goes without.
            let _ = Pin::new(&mut self.stream).poll_write(&mut Context::from_waker(Waker::noop()), &answer);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(task, buffer))?;
        // At its end nobody is there to be told.
        self.open = buffer.filled().len() > before;
        Poll::Ready(Ok(()))
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
        // By TLS, what was written may not have left.
        let result = Pin::new(&mut self.stream).poll_flush(task);
        self.patiently(task, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(task);
        self.patiently(task, result)
    }
}

/// The same bytes with a problem document for the library's answer at their end, if there is one.
fn explained(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
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
    let answer = last_answer(&Problem::new(status, kind, title, detail))?;
    Some([&bytes[..start], &answer].concat())
}

/// The last answer of a connection.
pub fn last_answer(problem: &Problem) -> Option<Vec<u8>> {
    problem.count();
    let body = serde_json::to_string(problem).ok()?;
    let (status, length) = (problem.status(), body.len());
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\nconnection: close\r\n");
    Some(format!("{head}content-length: {length}\r\n\r\n{body}").into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    fn wire(near: DuplexStream, patience: Duration) -> Wire<DuplexStream> {
        Wire::new(near, patience, Arc::default())
    }

    #[tokio::test]
    async fn who_sends_half_a_head_is_told() {
        for (sent, ends, busy, expected) in [
            ("POST / HTTP/1.1\r\nhost", false, false, "HTTP/1.1 408 Request Timeout\r\n"),
            ("POST / HTTP/1.1\r\nhost", true, false, ""),
            ("POST / HTTP/1.1\r\nhost", false, true, ""),
            ("", false, false, ""),
        ] {
            let (near, mut far) = tokio::io::duplex(1000);
            let mut wire = wire(near, Duration::from_secs(60));
            wire.busy.store(busy, Ordering::Relaxed);
            far.write_all(sent.as_bytes()).await.expect("a pipe takes all");
            let mut read = vec![0; sent.len()];
            wire.read_exact(&mut read).await.expect("it was sent");
            if ends {
                far.shutdown().await.expect("a pipe");
                assert_eq!(wire.read(&mut [0]).await.expect("its end"), 0);
            }
            drop(wire);
            let mut text = String::new();
            far.read_to_string(&mut text).await.expect("text");
            let head = text.split_inclusive("\r\n").next().unwrap_or_default();
            assert_eq!(head, expected, "{sent} {ends} {busy}");
        }
    }

    /// What leaves, through a pipe that takes a few bytes at a time.
    async fn check(bytes: &str, expected: &str) {
        let (near, mut far) = tokio::io::duplex(7);
        let writing = async {
            let mut wire = wire(near, Duration::from_secs(60));
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
        let error = wire(near, Duration::from_millis(1)).write_all(&[b'a'; 20]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    /// Takes all, and lets nothing leave: a connection by TLS whose other side does not read.
    struct Full;

    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up_wherever_that_shows() {
        let full = || Wire::new(Full, Duration::from_millis(1), Arc::default());
        for error in [full().flush().await, full().shutdown().await] {
            assert_eq!(error.expect_err("nobody reads").kind(), io::ErrorKind::TimedOut);
        }
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
