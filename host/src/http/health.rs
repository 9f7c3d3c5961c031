//! `--health`: checks that the host with this configuration answers, for the image's health check.
//!
//! It loads nothing and starts no runtime, because it runs every few seconds beside a busy host.

use crate::config::{Config, Listen};
use crate::ground::channel::reports;
use provost_sdk::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use provost_sdk::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use provost_sdk::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use provost_sdk::rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long the answer may take, from the first packet on.
const DEADLINE: Duration = Duration::from_secs(3);

/// More than any status line needs.
const LONGEST_LINE: usize = 256;

/// Asks `GET /healthz` where the API is, and is content with 200 alone.
///
/// # Errors
///
/// What came instead, with the URL.
pub fn query(config: &Config) -> Result<(), String> {
    let begun = Instant::now();
    let (url, line) = match &config.doors.api {
        Listen::Address(listen) if listen.port() == 0 => {
            let path = config.path.display();
            return Err(format!("{path}: server.listen: port 0 changes at each start; choose a fixed port"));
        }
        Listen::Address(listen) => {
            let address = reached_at(*listen);
            let scheme = if config.doors.has_tls { "https" } else { "http" };
            let line = TcpStream::connect_timeout(&address, DEADLINE).map_err(said).and_then(|stream| {
                let link = Link { socket: Socket::Address(stream), begun };
                let host = address.to_string();
                if config.doors.has_tls {
                    status_line(tls(link, address.ip())?, &host)
                } else {
                    status_line(link, &host)
                }
            });
            (format!("{scheme}://{address}/healthz"), line)
        }
        Listen::Socket(path) => {
            let stream = connect(path).map(|stream| Link { socket: Socket::File(stream), begun });
            let line = stream.and_then(|link| status_line(link, "localhost"));
            (format!("http://localhost/healthz at {}", config.doors.api), line)
        }
    };
    let failed = |what: String| format!("{url}: {what}");
    let line = line.map_err(failed)?;
    match line.split_once(' ') {
        Some((version, "200" | "200 OK")) if version.starts_with("HTTP/1.") => Ok(()),
        Some((version, status)) if version.starts_with("HTTP/") => {
            Err(failed(format!("answered {}, not 200", status.escape_debug())))
        }
        _ => Err(failed(format!("answered {line:?}, which is not HTTP: another program listens there"))),
    }
}

/// Where a host that listens on `listen` is reached from the same machine.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// Connects to a unix socket. On a thread: where as many connections wait as can, that takes as long as they do.
fn connect(path: &Path) -> Result<UnixStream, String> {
    let (reporter, reports) = reports();
    let path = path.to_owned();
    let started = thread::Builder::new().spawn(move || reporter.report(UnixStream::connect(path)));
    started.map_err(|error| format!("starting a thread: {error}"))?;
    reports.next(DEADLINE).map_err(|_| silence())?.map_err(said)
}

/// The same connection by TLS.
fn tls(link: Link, address: IpAddr) -> Result<StreamOwned<ClientConnection, Link>, String> {
    let wrong = |error: Error| format!("TLS: {error}");
    let anybody = Anybody(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(anybody))
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::from(address)).map_err(wrong)?;
    Ok(StreamOwned::new(connection, link))
}

/// The first line of the answer.
fn status_line(mut stream: impl Read + Write, host: &str) -> Result<String, String> {
    // At once: who answers before the end of it may close the connection.
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).and_then(|()| stream.flush()).map_err(said)?;
    let (mut line, mut part) = (Vec::new(), [0; LONGEST_LINE]);
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        match stream.read(&mut part).map_err(said)? {
            0 if line.is_empty() => return Err("the connection was closed without an answer".to_owned()),
            0 => break,
            count => line.extend(&part[..count]),
        }
    }
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).trim_end().to_owned())
}

fn said(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => silence(),
        _ => error.to_string(),
    }
}

fn silence() -> String {
    format!("no answer within {DEADLINE:?}")
}

/// A connection. Each part of an answer has what is left of the time: it must not come for ever, byte by byte.
struct Link {
    socket: Socket,
    begun: Instant,
}

enum Socket {
    Address(TcpStream),
    File(UnixStream),
}

impl Link {
    fn rest(&self) -> io::Result<Option<Duration>> {
        let rest = DEADLINE.checked_sub(self.begun.elapsed()).filter(|rest| !rest.is_zero());
        rest.map(Some).ok_or_else(|| ErrorKind::TimedOut.into())
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest()?;
        match &mut self.socket {
            Socket::Address(stream) => stream.set_read_timeout(rest).and_then(|()| stream.read(buffer)),
            Socket::File(stream) => stream.set_read_timeout(rest).and_then(|()| stream.read(buffer)),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let rest = self.rest()?;
        match &mut self.socket {
            Socket::Address(stream) => stream.set_write_timeout(rest).and_then(|()| stream.write(bytes)),
            Socket::File(stream) => stream.set_write_timeout(rest).and_then(|()| stream.write(bytes)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Trusts whoever answers. The certificate is for the name that clients use, which is not the address asked here, and may have been
/// replaced in its file since the host read it. Nothing secret is sent.
#[derive(Debug)]
struct Anybody(CryptoProvider);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, expected: &str) {
        assert_eq!(reached_at(listen.parse().expect("an address")).to_string(), expected);
    }

    #[test]
    fn everywhere_is_asked_on_the_loopback_of_its_family() {
        check("0.0.0.0:8080", "127.0.0.1:8080");
        check("[::]:8080", "[::1]:8080");
        check("192.0.2.1:80", "192.0.2.1:80");
        check("[2001:db8::1]:80", "[2001:db8::1]:80");
    }
}
