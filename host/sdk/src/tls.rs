//! TLS: which certificates are trusted, and by which implementation connections are made. The only place that says so.

use crate::ConfigError;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_native_certs::CertificateResult;
use std::env;
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was read last.
static ROOTS: Mutex<Roots> = Mutex::new(None);

type Roots = Option<Result<Arc<TlsRoots>, ConfigError>>;

fn roots() -> MutexGuard<'static, Roots> {
    ROOTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the trusted certificates be read again. The host calls it before it makes the providers of a configuration.
pub fn forget() {
    *roots() = None;
}

/// The certificates that a server's is checked against.
pub enum TlsRoots {
    /// The bundle of the system where the process runs: at least one certificate, and all can be read by rustls.
    System(Vec<CertificateDer<'static>>),
    /// Mozilla's, compiled in, for a system that has none.
    Mozilla,
}

impl TlsRoots {
    /// The bundle that `SSL_CERT_FILE` or `SSL_CERT_DIR` names, else the system's own, else Mozilla's. Read once for all providers of a
    /// configuration.
    ///
    /// # Errors
    ///
    /// When a variable names a bundle in which no certificate is found: trusting others instead would be a surprise.
    pub fn load() -> Result<Arc<Self>, ConfigError> {
        roots().get_or_insert_with(|| Self::read().map(Arc::new)).clone()
    }

    fn read() -> Result<Self, ConfigError> {
        let named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().find_map(|name| Some((name, env::var_os(name)?)));
        Self::choose(rustls_native_certs::load_native_certs(), named)
    }

    /// The certificates of `found`, a bundle that the variable `named` may have named.
    fn choose(found: CertificateResult, named: Option<(&str, OsString)>) -> Result<Self, ConfigError> {
        let CertificateResult { mut certs, errors, .. } = found;
        // A system's bundle may hold a certificate that rustls cannot read; the others still count. Left out here, and
        // not where they are used: a plugin's own TLS library may stop at the first.
        let mut store = RootCertStore::empty();
        certs.retain(|certificate| store.add(certificate.clone()).is_ok());
        match named {
            _ if !certs.is_empty() => Ok(Self::System(certs)),
            None => Ok(Self::Mozilla),
            Some((name, value)) => Err(empty_bundle(name, value, &errors)),
        }
    }

    /// These roots as rustls wants them.
    pub fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        match self {
            // All of them can be read, as the others were left out.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of its own, made by `openssl req -x509`.
    const GOOD: &str = "-----BEGIN CERTIFICATE-----
MIIBbzCCARWgAwIBAgIUbMrCTmbhwk/dfevyIc7V5fn1ONYwCgYIKoZIzj0EAwIw
DDEKMAgGA1UEAwwBdDAgFw0yNjExMjIxNzU0MzZaGA8yMTI2MTAyOTE3NTQzNlow
DDEKMAgGA1UEAwwBdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABH3w2sLN6HrE
uoyNHKvIj06pDDfw3z6L+cnoU6dLYhhxcORTjlXAcr3g0XDpLmmd5tr7u1034Vd4
OIKWPmq+42mjUzBRMB0GA1UdDgQWBBSip2MtX95G++92ecZ8Igo+H6DPMzAfBgNV
HSMEGDAWgBSip2MtX95G++92ecZ8Igo+H6DPMzAPBgNVHRMBAf8EBTADAQH/MAoG
CCqGSM49BAMCA0gAMEUCIQD5tJGVc5/3oMC/xqvNyFoYR10BX4bTLQ4TExlMoj0l
8gIgIE5lWGk9YLxSjbBX5uG6XzkKW6LA7E3/FFg+AwDyK0c=
-----END CERTIFICATE-----
";

    /// Base64, but not of a certificate.
    const JUNK: &str = "-----BEGIN CERTIFICATE-----\nanVuaw==\n-----END CERTIFICATE-----\n";

    /// How many certificates of a bundle count, `None` for Mozilla's.
    fn check(bundle: &str, named: bool, expected: Result<Option<usize>, &str>) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), bundle).expect("a temporary file");
        let found = rustls_native_certs::load_certs_from_paths(Some(file.path()), None);
        let roots = TlsRoots::choose(found, named.then(|| ("SSL_CERT_FILE", "bundle.pem".into())));
        let counted = roots.map(|roots| match &roots {
            TlsRoots::System(certificates) => {
                assert_eq!(roots.store().len(), certificates.len());
                Some(certificates.len())
            }
            TlsRoots::Mozilla => {
                assert_eq!(roots.store().len(), webpki_roots::TLS_SERVER_ROOTS.len());
                None
            }
        });
        assert_eq!(counted.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn what_counts_of_a_bundle() {
        check(GOOD, true, Ok(Some(1)));
        check(&format!("{JUNK}{GOOD}{JUNK}"), false, Ok(Some(1)));
        check("", false, Ok(None));
        check(JUNK, false, Ok(None));
        let refused = "SSL_CERT_FILE=bundle.pem has no certificate: correct or unset the variable";
        check("", true, Err(refused));
        check(JUNK, true, Err(refused));
    }
}
