//! TLS to a deployment: whose certificates the load tester accepts. It opens no connection.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The authorities that may have signed a deployment's certificate: those that browsers know, or one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trust {
    /// Certificates as PEM; none are Mozilla's list.
    authorities: Option<Arc<str>>,
}

/// Why certificates cannot be used. Complete sentences for the terminal.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("there is no certificate in it; it must be PEM, with a line BEGIN CERTIFICATE")]
    Empty,
    #[error("a certificate in it cannot be read: {0}")]
    Certificate(String),
    #[error("TLS cannot begin: {0}")]
    Tls(String),
}

impl Trust {
    /// These authorities and no others.
    pub fn only(pem: &str) -> Result<Self, TrustError> {
        let trust = Self { authorities: Some(pem.into()) };
        trust.client().map(|_| trust)
    }

    /// How to connect with TLS.
    pub(crate) fn client(&self) -> Result<Arc<ClientConfig>, TrustError> {
        let mut roots = RootCertStore::empty();
        match &self.authorities {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                    let wrong = |why: String| TrustError::Certificate(why);
                    let certificate = certificate.map_err(|why| wrong(why.to_string()))?;
                    roots.add(certificate).map_err(|why| wrong(why.to_string()))?;
                }
            }
        }
        if roots.is_empty() {
            return Err(TrustError::Empty);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|why| TrustError::Tls(why.to_string()))?;
        Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_before_anything_connects() {
        assert!(Trust::default().client().is_ok());
        assert_eq!(Trust::only("").unwrap_err(), TrustError::Empty);
        assert_eq!(Trust::only("no PEM").unwrap_err(), TrustError::Empty);
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(Trust::only(broken).unwrap_err(), TrustError::Certificate(_)));
    }
}
