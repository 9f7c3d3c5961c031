//! A connection by TLS. The handshake is a part of its first read: so it has to end in the time for a request's headers, and whatever cuts a
//! connection without a request cuts one without a handshake.

use crate::http::problem::Problem;
use crate::http::{library, refusals};
use axum::http::StatusCode;
use provost_sdk::rustls::ServerConfig;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// How often what a client has sent without TLS is read before it is told.
const READS: usize = 16;

/// A connection that becomes one by TLS.
pub struct Secured(State);

enum State {
    /// Nothing has come.
    Quiet(TcpStream, TlsAcceptor),
    /// The client has begun.
    Handshake(Accept<TcpStream>),
    /// Requests come.
    Open(TlsStream<TcpStream>),
    /// It was no TLS, or none that both sides want.
    Over,
}

impl Secured {
    /// From the first byte on.
    pub fn new(stream: TcpStream, config: &Arc<ServerConfig>) -> Self {
        Self(State::Quiet(stream, TlsAcceptor::from(Arc::clone(config))))
    }

    /// What requests come by; `None` if none will come.
    fn poll_open(&mut self, task: &mut Context<'_>) -> Poll<io::Result<Option<&mut TlsStream<TcpStream>>>> {
        while !matches!(self.0, State::Open(_)) {
            match std::mem::replace(&mut self.0, State::Over) {
                State::Quiet(stream, acceptor) => {
                    let mut first = [0];
                    match stream.poll_peek(task, &mut ReadBuf::new(&mut first)) {
                        Poll::Pending => {
                            self.0 = State::Quiet(stream, acceptor);
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(0)) => return Poll::Ready(Ok(None)),
                        Poll::Ready(Ok(_)) if first[0].is_ascii_alphabetic() => {
                            tell(&stream);
                            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                        }
                        Poll::Ready(Ok(_)) => self.0 = State::Handshake(acceptor.accept(stream)),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    }
                }
                State::Handshake(mut accept) => match Pin::new(&mut accept).poll(task) {
                    Poll::Pending => {
                        self.0 = State::Handshake(accept);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(stream)) => self.0 = State::Open(stream),
                    Poll::Ready(Err(error)) => {
                        refusals::no_handshake(&error);
                        return Poll::Ready(Err(error));
                    }
                },
                State::Open(stream) => self.0 = State::Open(stream),
                State::Over => return Poll::Ready(Ok(None)),
            }
        }
        match &mut self.0 {
            State::Open(stream) => Poll::Ready(Ok(Some(stream))),
            _ => Poll::Ready(Ok(None)),
        }
    }
}

/// Tells a client that speaks HTTP without TLS what to do.
fn tell(stream: &TcpStream) {
    // With bytes that nobody has read the system would reset the connection, and the answer would be lost.
    let mut rest = [0; 4096];
    for _ in 0..READS {
        if !stream.try_read(&mut rest).is_ok_and(|count| count > 0) {
            break;
        }
    }
    let detail = "this port speaks HTTP by TLS: use https://";
    let problem = Problem::new(StatusCode::BAD_REQUEST, "not-tls", "not TLS", detail);
    // It is short, and the first that is written. Who does not read it goes without.
    let _ = stream.try_write(&library::last_answer(&problem).unwrap_or_default());
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_open(task))? {
            Some(stream) => Pin::new(stream).poll_read(task, buffer),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Nothing is written before a request has come.
impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream).poll_write(task, bytes),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream).poll_flush(task),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Open(stream) => Pin::new(stream).poll_shutdown(task),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        if let State::Handshake(_) = self.0 {
            refusals::no_handshake(&"the client did not finish it");
        }
    }
}
