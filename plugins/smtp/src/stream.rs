//! A connection to a server, and what is read of it: no answer without an end, and while it is in the clear, no byte too many.
//!
//! lettre reads whatever has come, and keeps what stands behind an answer for the next one. So until TLS begins, it is given one byte
//! at a time, and takes nothing of what stands behind the answer to STARTTLS: whoever sits on the way could put answers there that
//! seem to be the server's own (RFC 3207 section 6). They come to TLS, which refuses them.

use lettre::transport::smtp::client::AsyncTokioStream;
use provost_sdk::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// What is special about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// TLS is still to come.
    BeforeTls,
    /// TLS has begun by STARTTLS. The server does not greet a second time, but lettre waits for it.
    AfterStarttls,
    /// Nothing.
    Settled,
}

/// How many bytes an answer may have. A line has 512 (RFC 5321 section 4.5.3.1.5).
const ANSWER: usize = 64 * 1024;

/// How many lines: with each, lettre reads all that came before it once more.
const LINES: usize = 256;

/// Read in place of a second greeting.
const GREETING: &[u8] = b"220 \r\n";

/// What lettre reads and writes.
#[derive(Debug)]
pub(crate) struct Stream<S> {
    stream: S,
    peer: SocketAddr,
    phase: Phase,
    /// Bytes that came since something was written.
    answer: usize,
    /// And lines.
    lines: usize,
    /// Whether the connection was ever ready for a mail.
    ready: Arc<AtomicBool>,
    /// Whether the client has given up before: it does not wait for the server's goodbye, since it has a refusal to report.
    given_up: bool,
}

impl<S> Stream<S> {
    /// Of this connection to `peer`. `ready` is set by whoever may send mail over it from then on.
    pub(crate) fn new(stream: S, peer: SocketAddr, phase: Phase, ready: Arc<AtomicBool>) -> Self {
        Self { stream, peer, phase, answer: 0, lines: 0, ready, given_up: false }
    }

    /// Counts what came of an answer.
    fn heard(&mut self, bytes: &[u8]) {
        self.answer += bytes.len();
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.given_up {
            return Poll::Ready(Ok(()));
        }
        if self.answer > ANSWER || self.lines > LINES {
            return Poll::Ready(Err(io::Error::other("the server's answer has no end")));
        }
        if self.phase == Phase::AfterStarttls {
            self.phase = Phase::Settled;
            buf.put_slice(GREETING);
            return Poll::Ready(Ok(()));
        }
        if self.phase == Phase::Settled {
            let before = buf.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
            self.heard(&buf.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        self.heard(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        (self.answer, self.lines) = (0, 0);
        if bytes.starts_with(b"QUIT") && !self.ready.load(Ordering::Relaxed) {
            self.given_up = true;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Sync + Unpin> AsyncTokioStream for Stream<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}
