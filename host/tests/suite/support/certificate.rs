//! A certificate for a server on this machine, and the bundle that trusts it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate of the server `localhost`, which signed itself.
pub struct Certificate {
    key: rcgen::CertifiedKey<rcgen::KeyPair>,
}

impl Certificate {
    /// A new one.
    pub fn new() -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        Self { key }
    }

    /// Writes the bundle that trusts this certificate and nothing else.
    pub fn write_bundle(&self, dir: &Path) -> PathBuf {
        write(dir, "bundle.pem", self.pem())
    }

    /// The certificate as a part of a bundle.
    pub fn pem(&self) -> String {
        self.key.cert.pem()
    }

    /// Writes the private key.
    pub fn write_key(&self, dir: &Path) -> PathBuf {
        write(dir, "key.pem", self.key.signing_key.serialize_pem())
    }

    /// A TLS server with this certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring knows them")
            .with_no_client_auth()
            .with_single_cert(vec![self.key.cert.der().clone()], key)
            .expect("key and certificate belong together");
        TlsAcceptor::from(Arc::new(config))
    }
}

fn write(dir: &Path, name: &str, text: String) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a temporary file");
    path
}
