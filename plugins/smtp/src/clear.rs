//! A connection to a server while it is in the clear.
//!
//! lettre reads whatever has come, and keeps what stands behind an answer for the next one, through the start of TLS: whoever
//! sits on the way could put answers there that seem to be the server's own. So it is given one byte at a time until TLS
//! begins, and finds nothing behind an answer. See RFC 3207, section 6.

use lettre::transport::smtp::client::AsyncTokioStream;
use provost_sdk::tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use provost_sdk::tokio::net::TcpStream;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Answers come in the clear, and TLS is still to come.
    Clear,
    /// The client has asked for TLS: what it writes next is its beginning.
    Asked,
    /// Nothing changes any more.
    Settled,
}

/// What lettre reads and writes.
#[derive(Debug)]
pub(crate) struct Stream {
    stream: TcpStream,
    phase: Phase,
    /// Whether the connection was ever ready for a mail.
    ready: Arc<AtomicBool>,
    /// Whether the client has given up before: it does not wait for the server's goodbye, since it has a refusal to report.
    given_up: bool,
}

impl Stream {
    /// Of this connection. `ready` is set by whoever may send mail over it from then on.
    pub(crate) fn new(stream: TcpStream, phase: Phase, ready: Arc<AtomicBool>) -> Self {
        Self { stream, phase, ready, given_up: false }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.given_up {
            return Poll::Ready(Ok(()));
        }
        if self.phase == Phase::Settled {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut one))?;
        buf.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Asked {
            self.phase = Phase::Settled;
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if self.phase == Phase::Clear && bytes.starts_with(b"STARTTLS") {
            self.phase = Phase::Asked;
        }
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

impl AsyncTokioStream for Stream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}
