//! `--health`: checks that the host with this configuration answers, for the image's health check.
//!
//! It loads nothing and starts no runtime, because it runs every few seconds beside a busy host.

use crate::config::Config;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long the answer may take, from the first packet on.
const DEADLINE: Duration = Duration::from_secs(3);

/// More than any status line needs.
const LONGEST_LINE: usize = 256;

/// Asks `GET /healthz`, and is content with 200 alone.
///
/// # Errors
///
/// What came instead, with the URL.
pub fn query(config: &Config) -> Result<(), String> {
    if config.listen.port() == 0 {
        let path = config.path.display();
        return Err(format!("{path}: server.listen: port 0 changes at each start; choose a fixed port"));
    }
    let address = reached_at(config.listen);
    let failed = |what: String| format!("http://{address}/healthz: {what}");
    let line = status_line(address).map_err(failed)?;
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

/// The first line of the answer.
fn status_line(address: SocketAddr) -> Result<String, String> {
    let begun = Instant::now();
    let io = |error: std::io::Error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => silence(),
        _ => error.to_string(),
    };
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(io)?;
    stream.set_write_timeout(Some(DEADLINE)).map_err(io)?;
    // At once: who answers before the end of it may close the connection.
    let request = format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(io)?;
    let (mut line, mut part) = (Vec::new(), [0; LONGEST_LINE]);
    // Each part in what is left of the time: an answer must not come for ever, byte by byte.
    while !line.contains(&b'\n') && line.len() < LONGEST_LINE {
        let rest = DEADLINE.checked_sub(begun.elapsed()).filter(|rest| !rest.is_zero()).ok_or_else(silence)?;
        stream.set_read_timeout(Some(rest)).map_err(io)?;
        match stream.read(&mut part).map_err(io)? {
            0 if line.is_empty() => return Err("the connection was closed without an answer".to_owned()),
            0 => break,
            count => line.extend(&part[..count]),
        }
    }
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).trim_end().to_owned())
}

fn silence() -> String {
    format!("no answer within {DEADLINE:?}")
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
