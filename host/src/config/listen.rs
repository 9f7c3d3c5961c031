//! Where the host listens: an address, or a socket in the file system.

use super::{Reader, shown};
use std::fmt;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What stands before the path of a socket.
const PREFIX: &str = "unix:";

/// The longest path of a socket, in bytes: one less than `sun_path` of unix(7) has.
const LONGEST: usize = 107;

/// Where the API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At an address and a port.
    Address(SocketAddr),
    /// At a unix socket, which has a path.
    Socket(PathBuf),
}

impl Listen {
    /// Whether only this machine reaches it.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().is_loopback(),
            Self::Socket(_) => true,
        }
    }

    /// Reads it. A relative path begins where the configuration is. An error is reported, and has a place of its own.
    pub(super) fn read(key: &str, text: &str, reader: &mut Reader) -> Self {
        let Some(path) = text.strip_prefix(PREFIX) else {
            let examples = "\"0.0.0.0:8080\", nor a socket such as \"unix:/run/provost.sock\"";
            return Self::Address(address(key, text, examples, reader));
        };
        if path.is_empty() || path.ends_with('/') {
            reader.error(
                key,
                &format!("`{}` names no file: a socket needs one, such as \"unix:/run/provost.sock\"", shown(text)),
            );
        }
        let path = reader.dir().join(path);
        let length = path.as_os_str().as_bytes().len();
        if length > LONGEST {
            let message = format!(
                "the path of a socket may have {LONGEST} bytes, and this one has {length}: choose a shorter one"
            );
            reader.error(key, &message);
        }
        Self::Socket(path)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Socket(path) => write!(f, "{PREFIX}{}", path.display()),
        }
    }
}

/// An address and a port. An error is reported with `examples` of what is right.
pub fn address(key: &str, text: &str, examples: &str, reader: &mut Reader) -> SocketAddr {
    text.parse().unwrap_or_else(|_| {
        reader.error(key, &format!("`{}` is not an address with a port such as {examples}", shown(text)));
        SocketAddr::from(([0, 0, 0, 0], 0))
    })
}

/// Whether nobody can listen at both addresses: one of them is a part of the other.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (everywhere || one.ip() == other.ip())
}

/// The permissions of a socket, from their octal digits.
pub fn mode(key: &str, text: &str, reader: &mut Reader) -> u32 {
    let is_octal = !text.is_empty() && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && (1..=0o777).contains(&mode) => mode,
        _ => {
            reader
                .error(key, &format!("`{}` is not a mode of 1 to 777 in octal digits, such as \"0660\"", shown(text)));
            0o600
        }
    }
}
