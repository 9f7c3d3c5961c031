//! The SMTP server: how it is reached, and what its answers mean. Knows nothing of mails.

use crate::{Config, Protection};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, Tls as Mode, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::Response;
use provost_sdk::tls::TlsRoots;
use provost_sdk::{ConfigError, DeliveryError, Secret, excerpt, with_causes};
use std::path::PathBuf;

/// How much of an answer is a receipt, in characters: a line of SMTP is shorter.
const LINE: usize = 500;

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
    pub(crate) fn new(config: Config) -> Result<Self, ConfigError> {
        if config.host.is_empty() {
            return Err(ConfigError::new("host", "empty: set it to the server's name"));
        }
        let clear = config.tls == Protection::None;
        let credentials = credentials(config.user, config.password, config.password_file)?;
        if clear && credentials.is_some() {
            let message = "`none` would send the password in the clear: use `starttls` or `tls`, or remove `user`";
            return Err(ConfigError::new("tls", message));
        }
        let (mode, port) = match config.tls {
            Protection::Starttls => (Mode::Required(parameters(&config.host)?), 587),
            Protection::Tls => (Mode::Wrapper(parameters(&config.host)?), 465),
            Protection::None => (Mode::None, 25),
        };
        let port = config.port.unwrap_or(port);
        Ok(Self { host: config.host, port, mode, credentials, hello: ClientId::default() })
    }

    /// Opens a connection, protected and logged in as configured. The host's limit ends it, as it does a delivery.
    pub(crate) async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let address = (self.host.as_str(), self.port);
        let (wrapper, upgrade) = match &self.mode {
            Mode::Wrapper(parameters) => (Some(parameters.clone()), None),
            Mode::Required(parameters) => (None, Some(parameters.clone())),
            _ => (None, None),
        };
        let mut connection = AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, wrapper, None).await?;
        if let Some(parameters) = upgrade {
            connection.starttls(parameters, &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }
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
        (Some(_), None) => Err(ConfigError::new("user", "without a password: set `password` or `password_file`")),
        (None, Some(_)) => Err(ConfigError::new("password", "without a user: set `user`")),
    }
}

/// TLS with the roots that all of Provost trusts.
fn parameters(host: &str) -> Result<TlsParameters, ConfigError> {
    let fault = |error: Error| ConfigError::new("host", format!("setting up TLS: {error}"));
    let mut builder = TlsParameters::builder(host.to_owned());
    match TlsRoots::load()? {
        TlsRoots::Mozilla => builder = builder.certificate_store(CertificateStore::WebpkiRoots),
        TlsRoots::System(certificates) => {
            builder = builder.certificate_store(CertificateStore::None);
            for certificate in certificates {
                builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec()).map_err(fault)?);
            }
        }
    }
    builder.build_rustls().map_err(fault)
}

/// What a failure means: a server's 5xx is for good, all else may work later.
pub(crate) fn failure(error: &Error) -> DeliveryError {
    let reason = with_causes(error);
    if error.is_permanent() { DeliveryError::permanent(reason) } else { DeliveryError::temporary(reason) }
}

/// The server's answer as one line: `250 2.0.0 queued as 4F2A`.
pub(crate) fn answer(response: &Response) -> String {
    excerpt(&format!("{} {}", response.code(), response.message().collect::<Vec<_>>().join(" ")), LINE)
}
