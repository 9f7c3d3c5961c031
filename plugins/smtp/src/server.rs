//! The SMTP server: how it is reached, and what its answers mean. Knows nothing of mails.

use crate::clear::{Phase, Stream};
use crate::{Config, Protection, exchange, names};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, Tls as Mode, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use provost_sdk::tls::TlsRoots;
use provost_sdk::tokio::net::TcpStream;
use provost_sdk::{ConfigError, Context, DeliveryError, SHOWN, Secret, excerpt, with_causes};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
            Protection::Starttls => (Mode::Required(parameters(&host)?), 587),
            Protection::Tls => (Mode::Wrapper(parameters(&host)?), 465),
            Protection::None => (Mode::None, 25),
        };
        let port = config.port.map_or(port, NonZeroU16::get);
        Ok(Self { host, port, mode, credentials, hello: ClientId::default() })
    }

    /// Opens a connection, protected and logged in as configured. The host's limit ends it, as it does a delivery.
    pub(crate) async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let address = (self.host.as_str(), self.port);
        let error = |error: Error| no_mail_yet(&error);
        let mut connection = if let Mode::Wrapper(parameters) = &self.mode {
            AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, Some(parameters.clone()), None)
                .await
                .map_err(error)?
        } else {
            self.connect_in_the_clear(address).await?
        };
        if let Some(credentials) = &self.credentials {
            exchange::log_in(&mut connection, credentials).await?;
        }
        Ok(connection)
    }

    /// The same without the login, for a connection that is protected after it has begun, or never.
    async fn connect_in_the_clear(&self, address: (&str, u16)) -> Result<AsyncSmtpConnection, DeliveryError> {
        let error = |error: Error| no_mail_yet(&error);
        let stream = TcpStream::connect(address).await.map_err(|error| {
            let (host, port) = address;
            DeliveryError::temporary(format!("connecting to {host}, port {port}: {error}"))
        })?;
        // A mail is several short writes, each of which would wait for an answer to the one before. An error costs only this.
        let _ = stream.set_nodelay(true);
        let ready = Arc::new(AtomicBool::new(false));
        let phase = if let Mode::Required(_) = self.mode { Phase::Clear } else { Phase::Settled };
        let stream = Box::new(Stream::new(stream, phase, Arc::clone(&ready)));
        let mut connection = AsyncSmtpConnection::connect_with_transport(stream, &self.hello).await.map_err(error)?;
        if let Mode::Required(parameters) = &self.mode {
            connection.starttls(parameters.clone(), &self.hello).await.map_err(error)?;
        }
        ready.store(true, Ordering::Relaxed);
        Ok(connection)
    }
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
