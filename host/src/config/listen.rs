//! Where the host listens: an address, or a socket in the file system.

use super::{Reader, shown};
use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

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
        let names_file = !path.ends_with('/') && Path::new(path).file_name().is_some();
        let path = reader.dir().join(path);
        let length = path.as_os_str().as_bytes().len();
        let wrong = if !names_file {
            let text = shown(text);
            Some(format!("`{text}` names no file: a socket needs one, such as \"unix:/run/provost.sock\""))
        } else if length > LONGEST {
            Some(format!(
                "the path of a socket may have {LONGEST} bytes, and this one has {length}: choose a shorter one"
            ))
        } else {
            no_place(&path).map(|why| format!("listening on {PREFIX}{}: {why}", path.display()))
        };
        if let Some(wrong) = wrong {
            reader.error(key, &wrong);
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

/// Why there can be no socket at `path`, as far as can be seen.
fn no_place(path: &Path) -> Option<String> {
    let (dir, file) = (path.parent()?, path.file_name()?);
    // The configuration's own, where it is named without one.
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match fs::metadata(dir) {
        Ok(there) if !there.is_dir() => return Some(format!("{} is no directory", dir.display())),
        Err(error) => return Some(format!("the directory {}: {error}", dir.display())),
        Ok(_) => {}
    }
    let there = fs::symlink_metadata(dir.join(file)).ok()?;
    let message = "the file there is no socket: remove it, or choose another path";
    (!there.file_type().is_socket()).then(|| message.to_owned())
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
    // By IPv6, everywhere includes IPv4.
    let has = |one: IpAddr, other: IpAddr| match one {
        IpAddr::V4(all) if all.is_unspecified() => other.to_canonical().is_ipv4(),
        IpAddr::V6(all) if all.is_unspecified() => true,
        _ => one.to_canonical() == other.to_canonical(),
    };
    let (one_ip, other_ip) = (one.ip(), other.ip());
    one.port() != 0 && one.port() == other.port() && (has(one_ip, other_ip) || has(other_ip, one_ip))
}

/// The permissions of a socket, from their octal digits.
pub fn mode(key: &str, text: &str, reader: &mut Reader) -> u32 {
    let is_octal = !text.is_empty() && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if is_octal && (1..=0o777).contains(&mode) => {
            if mode & 0o222 == 0 {
                let wrong = "nobody may write to the socket, so nobody can send requests: use \"0660\"";
                reader.error(key, &format!("`{text}`: {wrong}"));
            }
            mode
        }
        _ => {
            reader
                .error(key, &format!("`{}` is not a mode of 1 to 777 in octal digits, such as \"0660\"", shown(text)));
            0o600
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_parts_of_others() {
        for (one, other, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "[::1]:80", false),
            ("0.0.0.0:80", "[::]:80", true),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            let (a, b) = (one.parse().expect("an address"), other.parse().expect("an address"));
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{one} {other}");
        }
    }
}
