//! The SMTP server: how it is reached, and what its answers mean. Knows nothing of mails.

use crate::stream::{Phase, Stream};
use crate::{Config, Protection, exchange};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::extension::ClientId;
use provost_sdk::rustls::pki_types::ServerName;
use provost_sdk::tls::TlsRoots;
use provost_sdk::tokio::net::TcpStream;
use provost_sdk::{ConfigError, Context, DeliveryError, SHOWN, Secret, excerpt, names, with_causes};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How a connection is protected, with what it takes.
enum Mode {
    Starttls(Tls),
    Tls(Tls),
    None,
}

/// What begins TLS.
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// The way to the server.
pub(crate) struct Server {
    host: String,
    port: u16,
    mode: Mode,
    credentials: Option<Credentials>,
    /// How this machine introduces itself.
    hello: ClientId,
}

impl Server {
    /// Opens no connection.
    pub(crate) fn new(config: Config, context: &Context) -> Result<Self, ConfigError> {
        let clear = config.tls == Protection::None;
        let file = config.password_file.map(|path| context.path(path));
        let unprotected = if clear && config.user.is_some() {
            let message = "`none` would send the password unencrypted: use `starttls` or `tls`, or remove `user`";
            Err(ConfigError::new("tls", message))
        } else {
            Ok(())
        };
        let credentials = ConfigError::both(credentials(config.user, config.password, file), unprotected);
        let (host, (credentials, ())) = ConfigError::both(host(&config.host), credentials)?;
        let (mode, port) = match config.tls {
            Protection::Starttls => (Mode::Starttls(Tls::new(&host)?), 587),
            Protection::Tls => (Mode::Tls(Tls::new(&host)?), 465),
            Protection::None => (Mode::None, 25),
        };
        let port = config.port.map_or(port, NonZeroU16::get);
        Ok(Self { host, port, mode, credentials, hello: ClientId::default() })
    }

    /// Opens a connection, protected and logged in as configured. Whoever waits for it has a limit.
    pub(crate) async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let ready = Arc::new(AtomicBool::new(false));
        let stream = self.open(&ready).await?;
        let mut connection = self.greet(stream).await?;
        ready.store(true, Ordering::Relaxed);
        if let Some(credentials) = &self.credentials {
            exchange::log_in(&mut connection, credentials).await?;
        }
        Ok(connection)
    }

    /// That the server says nothing within `limit`.
    pub(crate) fn is_silent(&self, limit: Duration) -> DeliveryError {
        DeliveryError::temporary(format!("connecting to {}, port {}: no answer within {limit:?}", self.host, self.port))
    }

    /// A connection that is as protected as it will be.
    async fn open(&self, ready: &Arc<AtomicBool>) -> Result<Box<dyn AsyncTokioStream>, DeliveryError> {
        let failed = |error: io::Error| {
            DeliveryError::temporary(format!("connecting to {}, port {}: {error}", self.host, self.port))
        };
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        // A mail is several short writes, each of which would wait for an answer to the one before. An error costs only this.
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().map_err(failed)?;
        let ready = Arc::clone(ready);
        Ok(match &self.mode {
            Mode::None => Box::new(Stream::new(stream, peer, Phase::Settled, ready)),
            Mode::Tls(tls) => {
                let stream = tls.begin(stream).await?;
                Box::new(Stream::new(stream, peer, Phase::Settled, ready))
            }
            Mode::Starttls(tls) => {
                let (stream, other) = twice(stream).map_err(failed)?;
                let clear = Stream::new(other, peer, Phase::BeforeTls, Arc::clone(&ready));
                let mut clear = self.greet(Box::new(clear)).await?;
                exchange::ask_for_tls(&mut clear).await?;
                drop(clear);
                let stream = tls.begin(stream).await?;
                Box::new(Stream::new(stream, peer, Phase::AfterStarttls, ready))
            }
        })
    }

    /// Hears the server's greeting, and introduces this machine.
    async fn greet(&self, stream: Box<dyn AsyncTokioStream>) -> Result<AsyncSmtpConnection, DeliveryError> {
        AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(|error| no_mail_yet(&error))
    }
}

impl Tls {
    /// With the roots that all of Provost trusts.
    fn new(host: &str) -> Result<Self, ConfigError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            ConfigError::new("host", format!("`{}` is no name that a certificate has: {error}", excerpt(host, SHOWN)))
        })?;
        Ok(Self { connector: TlsConnector::from(Arc::new(TlsRoots::load()?.client_config()?)), name })
    }

    async fn begin(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, DeliveryError> {
        self.connector
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| DeliveryError::temporary(format!("starting TLS with {}: {error}", self.name.to_str())))
    }
}

/// The same connection twice: lettre does not give back what it has been given.
fn twice(stream: TcpStream) -> io::Result<(TcpStream, TcpStream)> {
    let stream = stream.into_std()?;
    let other = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, TcpStream::from_std(other)?))
}

fn host(text: &str) -> Result<String, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::new("host", "empty: set it to the server's name"));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    names::in_ascii(text).ok_or_else(|| {
        let text = excerpt(text, SHOWN);
        ConfigError::new("host", format!("`{text}` is not a server's name such as `mail.example.org`, or an address"))
    })
}

fn credentials(
    user: Option<Secret>,
    password: Option<Secret>,
    file: Option<PathBuf>,
) -> Result<Option<Credentials>, ConfigError> {
    let password = match (password, file) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::new("password", "`password_file` is there too: keep one of them"));
        }
        (None, Some(path)) => Some(Secret::read("password_file", &path)?),
        (password, None) => password,
    };
    match (user, password) {
        (Some(user), _) if user.expose().contains(char::is_control) => {
            Err(ConfigError::new("user", "has control characters, which no server takes"))
        }
        // It separates name and password (RFC 4616).
        (_, Some(password)) if password.expose().contains('\0') => {
            Err(ConfigError::new("password", "has a NUL, which no server takes"))
        }
        (Some(user), Some(password)) => {
            Ok(Some(Credentials::new(user.expose().to_owned(), password.expose().to_owned())))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::new("user", "missing password: set `password` or `password_file`")),
        (None, Some(_)) => Err(ConfigError::new("password", "missing user: set `user`")),
    }
}

/// A server that wants another login, or a way of it, says so to any command (RFC 4954 section 6).
const LOGIN_NEEDED: [u16; 4] = [530, 534, 535, 538];

/// What a failure means: a server's 5xx is for good, all else may work later.
pub(crate) fn failure(error: &Error) -> DeliveryError {
    let reason = with_causes(error);
    match error.status().map(u16::from) {
        Some(code) if LOGIN_NEEDED.contains(&code) => DeliveryError::unauthorized(reason),
        _ if error.is_permanent() => DeliveryError::permanent(reason),
        _ => DeliveryError::temporary(reason),
    }
}

/// The same before the server has heard of a mail: its 5xx refuses this machine or its login.
pub(crate) fn no_mail_yet(error: &Error) -> DeliveryError {
    let reason = with_causes(error);
    if error.is_permanent() { DeliveryError::unauthorized(reason) } else { DeliveryError::temporary(reason) }
}
