//! Where connections come from: an address, or a unix socket.

use crate::config::Listen;
use crate::http::refusals;
use crate::http::stream::Stream;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixSocket, UnixStream};

/// How many connections may wait to be taken, as of the listener of an address.
const BACKLOG: u32 = 1024;

/// After which time it is tried again to take a connection, where there were no files left for it.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes connections.
pub enum Listener {
    /// At an address.
    Address(TcpListener),
    /// At a unix socket, whose file goes when this does.
    Socket {
        /// The socket.
        listener: UnixListener,
        /// Its file.
        _file: SocketFile,
    },
}

/// The file of a unix socket of this process, removed at the end.
pub struct SocketFile {
    path: PathBuf,
    id: (u64, u64),
}

impl Listener {
    /// Listens, at a unix socket with the permissions `mode`. Returns also where, with the port that the system chose.
    ///
    /// # Errors
    ///
    /// Why that is not possible, and what to do.
    pub async fn bind(listen: &Listen, mode: u32) -> Result<(Self, Listen), String> {
        match listen {
            Listen::Address(address) => {
                let (listener, address) = Self::at_address(*address).await?;
                Ok((listener, Listen::Address(address)))
            }
            Listen::Socket(path) => Ok((Self::at_socket(path, mode).await?, listen.clone())),
        }
    }

    /// The same at an address.
    ///
    /// # Errors
    ///
    /// As above.
    pub async fn at_address(address: SocketAddr) -> Result<(Self, SocketAddr), String> {
        let bound = TcpListener::bind(address).await.and_then(|listener| {
            let address = listener.local_addr()?;
            Ok((Self::Address(listener), address))
        });
        bound.map_err(|error| {
            let fix = match error.kind() {
                ErrorKind::AddrInUse => ": stop the program that listens there, or choose another port",
                ErrorKind::AddrNotAvailable => ": it is not an address of this machine",
                ErrorKind::PermissionDenied => ": choose a port from 1024 on",
                _ => "",
            };
            format!("{error}{fix}")
        })
    }

    async fn at_socket(path: &Path, mode: u32) -> Result<Self, String> {
        make_way(path).await?;
        let bind = || {
            let socket = UnixSocket::new_stream()?;
            socket.bind(path)?;
            let file = SocketFile { path: path.to_owned(), id: id(path)? };
            // Before anybody can connect.
            fs::set_permissions(path, Permissions::from_mode(mode))?;
            Ok(Self::Socket { listener: socket.listen(BACKLOG)?, _file: file })
        };
        bind().map_err(|error: io::Error| {
            let fix = match error.kind() {
                ErrorKind::AddrInUse => ": another host has just begun to listen there",
                ErrorKind::NotFound => ": create its directory",
                ErrorKind::PermissionDenied => ": let the user that the host runs as write to its directory",
                _ => "",
            };
            format!("{error}{fix}")
        })
    }

    /// The next connection, and the address of its other side; programs at a unix socket have none.
    pub async fn accept(&mut self) -> (Stream, Option<IpAddr>) {
        loop {
            let taken = match self {
                Self::Address(listener) => {
                    let taken = listener.accept().await;
                    taken.map(|(stream, address)| {
                        // Else an answer may wait until the other side has confirmed what came before. Where that cannot be set, it does.
                        let _ = stream.set_nodelay(true);
                        (Stream::Plain(stream), Some(address.ip().to_canonical()))
                    })
                }
                Self::Socket { listener, .. } => {
                    listener.accept().await.map(|(stream, _)| (Stream::Socket(stream), None))
                }
            };
            match taken {
                Ok(taken) => return taken,
                // Its other side went away before.
                Err(error) if is_of_other_side(error.kind()) => {}
                Err(error) => {
                    refusals::not_taken(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

fn is_of_other_side(error: ErrorKind) -> bool {
    matches!(error, ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
}

/// Removes the socket that a host has left which could not end in order. Whatever else is there stays.
async fn make_way(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err("the file there is no socket: remove it, or choose another path".to_owned());
        }
        Ok(_) => {}
        // Whatever else is wrong is found when it is made.
        Err(_) => return Ok(()),
    }
    match UnixStream::connect(path).await {
        Ok(_) => Err("another program listens there: stop it, or choose another path".to_owned()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            tracing::info!(path = %path.display(), "replacing the socket of a host that has ended");
            fs::remove_file(path).map_err(|error| format!("removing the socket of a host that has ended: {error}"))
        }
        Err(error) => {
            Err(format!("a socket is there, and does not say whether a program listens: {error}: choose another path"))
        }
    }
}

/// Which file is at a path.
fn id(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Not one that another host has put there since.
impl Drop for SocketFile {
    fn drop(&mut self) {
        if id(&self.path).is_ok_and(|id| id == self.id) {
            // Where it cannot be removed, the next host does that, or says why not.
            let _ = fs::remove_file(&self.path);
        }
    }
}
