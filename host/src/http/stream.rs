//! The bytes of a connection, however they come.

use crate::http::secured::Secured;
use provost_sdk::rustls::ServerConfig;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection. One type for all, so that what serves them is compiled once, and that of an address stays as it is.
pub enum Stream {
    /// From an address.
    Plain(TcpStream),
    /// Over a unix socket.
    Socket(UnixStream),
    /// From an address, by TLS. In a box: it is far larger than the others.
    Secured(Box<Secured>),
}

impl Stream {
    /// The same by TLS. A unix socket has none.
    #[must_use]
    pub fn secured(self, config: &Arc<ServerConfig>) -> Self {
        match self {
            Self::Plain(stream) => Self::Secured(Box::new(Secured::new(stream, config))),
            other => other,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Socket(stream) => Pin::new(stream).poll_read(task, buffer),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_read(task, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(task, bytes),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_write(task, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(task),
            Self::Socket(stream) => Pin::new(stream).poll_flush(task),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_flush(task),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(task),
            Self::Secured(stream) => Pin::new(stream.as_mut()).poll_shutdown(task),
        }
    }
}
