//! The table `[server.tls]`: the certificate that the API shows, and its key.

use super::{Reader, join};
use provost_sdk::rustls::client::verify_server_cert_signed_by_trust_anchor;
use provost_sdk::rustls::crypto::ring::default_provider;
use provost_sdk::rustls::pki_types::pem::{self, PemObject};
use provost_sdk::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use provost_sdk::rustls::server::ParsedCertificate;
use provost_sdk::rustls::{CertificateError, Error, RootCertStore, ServerConfig};
use provost_sdk::{ConfigError, Secret, files};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Where it stands in the configuration.
pub const SECTION: &str = "server.tls";

/// What a connection speaks after the handshake, by its name in ALPN (RFC 7301).
const HTTP: &[u8] = b"http/1.1";

/// TLS of the API, versions 1.2 and 1.3.
#[provost_sdk::config]
pub struct RawTls {
    /// A file with the certificate of the API, and after it those between it and the root (PEM). It is read again at SIGHUP, as the key is.
    certificate: PathBuf,
    /// The private key of the certificate (PEM), without a password.
    key: Option<Secret>,
    /// A file that holds the key.
    key_file: Option<PathBuf>,
}

/// What a handshake needs.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The certificate and its key, as rustls wants them.
    pub server: Arc<ServerConfig>,
    /// What clients will not like.
    warnings: Vec<String>,
}

impl RawTls {
    /// Reads the files. What is wrong is reported.
    pub fn check(&self, reader: &mut Reader) -> Option<Tls> {
        let read = self.read(reader.dir());
        read.map_err(|error| {
            for error in error.into_errors() {
                reader.error(&join(SECTION, &error.key), &error.message);
            }
        })
        .ok()
    }

    fn read(&self, dir: &Path) -> Result<Tls, ConfigError> {
        let certificate = dir.join(&self.certificate);
        let (chain, (name, key)) = ConfigError::both(chain(&certificate), self.key(dir))?;
        let warnings = warnings(&certificate, &chain);
        let refused = |error| match error {
            Error::InconsistentKeys(_) => {
                ConfigError::new(name, format!("it is not the key of the certificate in {}", certificate.display()))
            }
            error => ConfigError::new(name, format!("it cannot be used: {error}")),
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(refused)?;
        let mut server = builder.with_no_client_auth().with_single_cert(chain, key).map_err(refused)?;
        server.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Tls { certificate, server: Arc::new(server), warnings })
    }

    /// The key, and which key of the configuration names it.
    fn key(&self, dir: &Path) -> Result<(&'static str, PrivateKeyDer<'static>), ConfigError> {
        let (name, secret) = match (&self.key, &self.key_file) {
            (Some(_), Some(_)) => return Err(ConfigError::new("key", "`key_file` is there too: keep one of them")),
            (Some(key), None) => ("key", key.clone()),
            (None, Some(path)) => ("key_file", Secret::read("key_file", &dir.join(path))?),
            (None, None) => return Err(ConfigError::new("key", "missing: set it, or `key_file`")),
        };
        let text = secret.expose();
        // What is wrong may be in the text itself, which nobody should see.
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| {
            let message = if text.contains("ENCRYPTED") {
                "the key has a password: write it without one, as `openssl pkey -in KEY -out KEY_WITHOUT` does"
            } else {
                "no private key is in it: PEM has one from `-----BEGIN PRIVATE KEY-----` on"
            };
            ConfigError::new(name, message)
        })?;
        Ok((name, key))
    }
}

impl Tls {
    /// Logs what clients will not like.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!("{SECTION}.certificate: {warning}");
        }
    }
}

/// The certificates in the file `path`, each of which can be read.
fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let wrong = |message: String| ConfigError::new("certificate", message);
    let shown = path.display();
    let text = files::read_text(path).map_err(|error| wrong(format!("reading {shown}: {error}")))?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(|error| wrong(format!("{shown} is not PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(format!("no certificate is in {shown}: PEM has one from `-----BEGIN CERTIFICATE-----` on")));
    }
    for (index, certificate) in chain.iter().enumerate() {
        ParsedCertificate::try_from(certificate)
            .map_err(|error| wrong(format!("number {} in {shown} cannot be read: {error}", index + 1)))?;
    }
    Ok(chain)
}

/// Which of them are not valid now.
fn warnings(path: &Path, chain: &[CertificateDer<'_>]) -> Vec<String> {
    let now = UnixTime::now();
    let warning = |(index, certificate)| {
        let what = match validity(certificate, now)? {
            CertificateError::ExpiredContext { not_after, .. } => format!("expired at {}: renew it", date(not_after)),
            CertificateError::NotValidYetContext { not_before, .. } => {
                format!("is not valid before {}: check the clock of this machine", date(not_before))
            }
            _ => return None,
        };
        Some(format!("number {} in {} {what}", index + 1, path.display()))
    };
    chain.iter().enumerate().filter_map(warning).collect()
}

/// What is wrong with a certificate that nobody signed: its dates come first.
fn validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<CertificateError> {
    let certificate = ParsedCertificate::try_from(certificate).ok()?;
    let algorithms = default_provider().signature_verification_algorithms.all;
    let nobody = RootCertStore::empty();
    match verify_server_cert_signed_by_trust_anchor(&certificate, &nobody, &[], now, algorithms) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

fn date(time: UnixTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(time.as_secs()))
}
