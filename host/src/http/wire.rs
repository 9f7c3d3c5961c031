//! A connection as the HTTP library reads and writes it: refusals are problem documents, and nobody holds it for ever.

use crate::http::activity::Activity;
use crate::http::library::{PREFACE, explained, last_answer, not_http};
use crate::http::problem::Problem;
use crate::http::refusals;
use axum::http::StatusCode;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long the rest of a request is read that was answered before its end.
const LINGER: Duration = Duration::from_secs(2);

/// The connection. One whose other side does not read ends after a while.
pub struct Wire<S: AsyncWrite + Unpin> {
    stream: S,
    patience: Duration,
    /// Whether something came and nothing was answered.
    open: bool,
    /// Whether the end of a line came since something was answered last.
    line: bool,
    /// Whether that is of another version of HTTP.
    other_version: bool,
    activity: Arc<Activity>,
    /// Set since the other side did not read, until it has read all that was for it.
    stalled: Option<Pin<Box<Sleep>>>,
    /// What is written in place of what the library gave, and how much of it is.
    instead: Option<(Vec<u8>, usize)>,
    /// Whether the library refused a request.
    refused: bool,
    /// Set while the rest of a request is read.
    lingers: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Over this stream, whose other side may take `patience` for an answer that it does not read at once.
    pub fn new(stream: S, patience: Duration, activity: Arc<Activity>) -> Self {
        Self {
            stream,
            patience,
            open: false,
            line: false,
            other_version: false,
            activity,
            stalled: None,
            instead: None,
            refused: false,
            lingers: None,
        }
    }

    fn write(&mut self, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        (self.open, self.line, self.other_version) = (false, false, false);
        let result = Pin::new(&mut self.stream).poll_write(task, bytes);
        self.patiently(task, result)
    }

    /// A result, or an error where the other side has taken too long. A part of an answer, however small, is no reason to begin anew.
    fn patiently<T>(&mut self, task: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            return result;
        }
        let patience = self.patience;
        self.activity.leaving.store(true, Ordering::Relaxed);
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(stalled.as_mut().poll(task));
        refusals::unread();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The library closes a connection whose headers do not come to their end, or that speaks HTTP/2, and says nothing.
impl<S: AsyncWrite + Unpin> Drop for Wire<S> {
    fn drop(&mut self) {
        if self.open && !self.activity.busy.load(Ordering::Relaxed) {
            let detail = "the headers did not come to their end in time";
            let problem = match self.other_version {
                true => not_http(StatusCode::BAD_REQUEST),
                false => Problem::new(StatusCode::REQUEST_TIMEOUT, "half-sent", "request timeout", detail),
            };
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
        let read = &buffer.filled()[before..];
        self.other_version |= !self.open && read.starts_with(PREFACE);
        // At its end nobody is there to be told.
        self.open = !read.is_empty();
        self.line |= read.contains(&b'\n');
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads what is still to come, for a while, and drops it. If nobody read it, the system would tell the other side that the connection
    /// is broken, and the answer could be lost (RFC 9112 section 9.6).
    fn linger(&mut self, task: &mut Context<'_>) -> Poll<()> {
        self.activity.leaving.store(true, Ordering::Relaxed);
        let lingers = self.lingers.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if lingers.as_mut().poll(task).is_ready() {
            return Poll::Ready(());
        }
        let mut bytes = [MaybeUninit::uninit(); 4096];
        loop {
            let mut buffer = ReadBuf::uninit(&mut bytes);
            let read = ready!(Pin::new(&mut self.stream).poll_read(task, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some((text, mut written)) = self.instead.take().or_else(|| Some((explained(bytes, self.line)?, 0))) else {
            return self.write(task, bytes);
        };
        self.refused = true;
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
        if result.is_ready() && self.stalled.take().is_some() {
            self.activity.leaving.store(false, Ordering::Relaxed);
        }
        self.patiently(task, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingers.is_none() {
            let result = Pin::new(&mut self.stream).poll_shutdown(task);
            ready!(self.patiently(task, result))?;
        }
        if self.refused || self.activity.unread.load(Ordering::Relaxed) {
            ready!(self.linger(task));
        }
        Poll::Ready(Ok(()))
    }
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
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false, false, "HTTP/1.1 400 Bad Request\r\n"),
            ("POST / HTTP/1.1\r\nhost", false, true, ""),
            ("", false, false, ""),
        ] {
            let (near, mut far) = tokio::io::duplex(1000);
            let mut wire = wire(near, Duration::from_secs(60));
            wire.activity.busy.store(busy, Ordering::Relaxed);
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
        let is_date = |line: &&str| line.starts_with("date: ") && line.ends_with(" GMT\r\n");
        let (dates, rest): (Vec<&str>, Vec<&str>) = text.split_inclusive("\r\n").partition(|line| is_date(line));
        assert_eq!((rest.concat().as_str(), dates.len()), (expected, usize::from(bytes != expected)));
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (near, _far) = tokio::io::duplex(7);
        let error = wire(near, Duration::from_millis(1)).write_all(&[b'a'; 20]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn who_reads_an_answer_byte_by_byte_is_given_up() {
        let (near, mut far) = tokio::io::duplex(1);
        let mut wire = wire(near, Duration::from_millis(20));
        let reading = async {
            while far.read(&mut [0]).await.is_ok_and(|count| count > 0) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let writing = async move { wire.write_all(&[b'a'; 60_000]).await.expect_err("it takes a minute") };
        assert_eq!(tokio::join!(writing, reading).0.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn each_answer_has_its_own_time() {
        let (near, mut far) = tokio::io::duplex(1);
        let mut wire = wire(near, Duration::from_secs(60));
        let mut read = [0; 3];
        let (written, read) = tokio::join!(wire.write_all(b"abc"), far.read_exact(&mut read));
        written.and(read).expect("a pipe");
        assert!(wire.stalled.is_some());
        wire.flush().await.expect("a pipe");
        assert!(wire.stalled.is_none());
    }

    #[tokio::test]
    async fn what_is_left_of_a_refused_request_is_read() {
        for (answer, unread, expected) in [
            ("HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n", false, true),
            ("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\n{}", true, true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", false, false),
        ] {
            let (near, mut far) = tokio::io::duplex(1000);
            let mut wire = wire(near, Duration::from_secs(60));
            wire.activity.unread.store(unread, Ordering::Relaxed);
            wire.write_all(answer.as_bytes()).await.expect("a pipe");
            let sending = async move {
                let sent = far.write_all(&[b'a'; 10_000]).await.is_ok();
                let _ = far.shutdown().await;
                sent
            };
            let ending = async move { wire.shutdown().await.is_ok() };
            assert_eq!(tokio::join!(ending, sending), (true, expected), "{answer}");
        }
    }

    /// Takes all, and lets nothing leave: a connection by TLS whose other side does not read.
    struct Full;

    impl AsyncRead for Full {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

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
        // The library answers in the version of the request before.
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            check(
                &format!(
                    "{own}{version} 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
                ),
                &format!(
                    "{own}HTTP/1.1 414 URI Too Long\r\ncontent-type: application/problem+json\r\nconnection: close\r\n\
                     content-length: {}\r\n\r\n{body}",
                    body.len()
                ),
            )
            .await;
        }
    }
}
