//! TLS: which certificates are trusted, and by which implementation connections are made. The only place that says so.

use crate::ConfigError;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, crypto};
use std::env;
use std::ffi::OsString;
use std::sync::{Arc, OnceLock};

/// The certificates that a server's is checked against.
pub enum TlsRoots {
    /// The bundle of the system where the process runs.
    System(Vec<CertificateDer<'static>>),
    /// Mozilla's, compiled in, for a system that has none.
    Mozilla,
}

impl TlsRoots {
    /// The bundle that `SSL_CERT_FILE` or `SSL_CERT_DIR` names, else the system's own, else Mozilla's. Read once.
    ///
    /// # Errors
    ///
    /// When a variable names a bundle in which no certificate is found: trusting others instead would be a surprise.
    pub fn load() -> Result<&'static Self, ConfigError> {
        static ROOTS: OnceLock<Result<TlsRoots, ConfigError>> = OnceLock::new();
        ROOTS.get_or_init(Self::read).as_ref().map_err(Clone::clone)
    }

    fn read() -> Result<Self, ConfigError> {
        let found = rustls_native_certs::load_native_certs();
        if !found.certs.is_empty() {
            return Ok(Self::System(found.certs));
        }
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| Some((name, env::var_os(name)?)));
        match named {
            None => Ok(Self::Mozilla),
            Some((name, value)) => Err(empty_bundle(name, value, &found.errors)),
        }
    }

    /// These roots as rustls wants them.
    pub fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        match self {
            // A system's bundle may hold a certificate that rustls cannot read; the others still count.
            Self::System(certificates) => {
                store.add_parsable_certificates(certificates.iter().cloned());
            }
            Self::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        store
    }

    /// A client's configuration: these roots, TLS 1.2 and 1.3, no client certificate.
    ///
    /// # Errors
    ///
    /// When the crypto provider supports neither version, which the SDK's own does.
    pub fn client_config(&self) -> Result<ClientConfig, ConfigError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::new("", format!("setting up TLS: {error}")))?;
        Ok(builder.with_root_certificates(self.store()).with_no_client_auth())
    }
}

fn empty_bundle(name: &str, value: OsString, errors: &[rustls_native_certs::Error]) -> ConfigError {
    let why = errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    let message = format!("{name}={} has no certificate{why}: correct or unset the variable", value.display());
    ConfigError::new("", message)
}

/// Makes ring the process's crypto provider. The host calls it before it loads a plugin: a plugin may bring a crate
/// that turns on a second provider, and rustls panics when it has to choose.
pub fn install() {
    // An error says that one is installed already, and nobody but the host's first line can have done that.
    let _ = crypto::ring::default_provider().install_default();
}
