//! The SMTP server: how it is reached, and what its answers mean. Knows nothing of mails.

use crate::stream::{Phase, Stream};
use crate::{Config, Protection, exchange, names};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::extension::ClientId;
use provost_sdk::rustls::pki_types::ServerName;
use provost_sdk::tls::TlsRoots;
use provost_sdk::tokio::net::TcpStream;
use provost_sdk::{ConfigError, Context, DeliveryError, SHOWN, Secret, excerpt, with_causes};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_rustls::TlsConnector;

/// How a connection is protected, with what it takes.
enum Mode {
    Starttls(TlsParameters),
    Tls(TlsConnector, ServerName<'static>),
    None,
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
        let (host, credentials) =
            ConfigError::both(host(&config.host), credentials(config.user, config.password, file))?;
        if clear && credentials.is_some() {
            let message = "`none` would send the password unencrypted: use `starttls` or `tls`, or remove `user`";
            return Err(ConfigError::new("tls", message));
        }
        let (mode, port) = match config.tls {
            Protection::Starttls => (Mode::Starttls(parameters(&host)?), 587),
            Protection::Tls => (wrapped(&host)?, 465),
            Protection::None => (Mode::None, 25),
        };
        let port = config.port.map_or(port, NonZeroU16::get);
        Ok(Self { host, port, mode, credentials, hello: ClientId::default() })
    }

    /// Opens a connection, protected and logged in as configured. The host's limit ends it, as it does a delivery.
    pub(crate) async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let error = |error: Error| no_mail_yet(&error);
        let ready = Arc::new(AtomicBool::new(false));
        let stream = self.open(&ready).await.map_err(|error| {
            DeliveryError::temporary(format!("connecting to {}, port {}: {error}", self.host, self.port))
        })?;
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(error)?;
        if let Mode::Starttls(parameters) = &self.mode {
            connection.starttls(parameters.clone(), &self.hello).await.map_err(error)?;
        }
        ready.store(true, Ordering::Relaxed);
        if let Some(credentials) = &self.credentials {
            exchange::log_in(&mut connection, credentials).await?;
        }
        Ok(connection)
    }

    async fn open(&self, ready: &Arc<AtomicBool>) -> io::Result<Box<dyn AsyncTokioStream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // A mail is several short writes, each of which would wait for an answer to the one before. An error costs only this.
        let _ = stream.set_nodelay(true);
        let (peer, ready) = (stream.peer_addr()?, Arc::clone(ready));
        Ok(match &self.mode {
            Mode::Starttls(_) => Box::new(Stream::new(stream, peer, Phase::Clear, ready)),
            Mode::None => Box::new(Stream::new(stream, peer, Phase::Settled, ready)),
            Mode::Tls(connector, name) => {
                let stream = connector.connect(name.clone(), stream).await?;
                Box::new(Stream::new(stream, peer, Phase::Settled, ready))
            }
        })
    }
}

/// TLS from the first byte.
fn wrapped(host: &str) -> Result<Mode, ConfigError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        ConfigError::new("host", format!("`{}` is no name that a certificate has: {error}", excerpt(host, SHOWN)))
    })?;
    Ok(Mode::Tls(TlsConnector::from(Arc::new(TlsRoots::load()?.client_config()?)), name))
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
    user: Option<String>,
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
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password.expose().to_owned()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::new("user", "missing password: set `password` or `password_file`")),
        (None, Some(_)) => Err(ConfigError::new("password", "missing user: set `user`")),
    }
}

/// TLS with the roots that all of Provost trusts.
fn parameters(host: &str) -> Result<TlsParameters, ConfigError> {
    let error = |error: Error| ConfigError::new("host", format!("setting up TLS: {error}"));
    let mut builder = TlsParameters::builder(host.to_owned());
    match TlsRoots::load()? {
        TlsRoots::Mozilla => builder = builder.certificate_store(CertificateStore::WebpkiRoots),
        TlsRoots::System(certificates) => {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in certificates {
                builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec()).map_err(error)?);
            }
        }
    }
    builder.build_rustls().map_err(error)
}

/// A server that wants a login first says so to any command (RFC 4954 section 6).
const LOGIN_NEEDED: u16 = 530;

/// What a failure means: a server's 5xx is for good, all else may work later.
pub(crate) fn failure(error: &Error) -> DeliveryError {
    let reason = with_causes(error);
    match error.status().map(u16::from) {
        Some(LOGIN_NEEDED) => DeliveryError::unauthorized(reason),
        _ if error.is_permanent() => DeliveryError::permanent(reason),
        _ => DeliveryError::temporary(reason),
    }
}

/// The same before the server has heard of a mail: its 5xx refuses this machine or its login.
pub(crate) fn no_mail_yet(error: &Error) -> DeliveryError {
    let reason = with_causes(error);
    if error.is_permanent() { DeliveryError::unauthorized(reason) } else { DeliveryError::temporary(reason) }
}
