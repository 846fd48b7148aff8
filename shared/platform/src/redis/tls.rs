//! The certificates of `rediss` URLs. Without any, a server must show a certificate of an authority that browsers
//! trust.

use crate::settings::Secret;
use redis::{Client, ClientTlsConfig, ConnectionAddr, ErrorKind, RedisError, TlsCertificates};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{error::Error as StdError, io, sync::Arc};

/// Certificates and a key of one's own, each as PEM; they are used for every `rediss` server.
#[derive(Clone, Debug, Default)]
pub struct RedisTls {
    /// The authorities that servers' certificates must come from, instead of those that browsers trust.
    pub authorities: Option<Secret>,
    /// What this process shows to servers that ask, its own certificate first.
    pub certificate: Option<Secret>,
    /// The certificate's private key.
    pub key: Option<Secret>,
}

impl RedisTls {
    /// Any address that is asked with these certificates. An error is one sentence about the setting that is wrong.
    pub(super) fn address(&self) -> Result<ConnectionAddr, String> {
        // The redis crate leaves the choice of cryptography to the process, and panics without one. This fails if it
        // has been made, which is as good.
        let _ = ring::default_provider().install_default();
        self.check()?;
        let pem = |secret: &Secret| secret.reveal().as_bytes().to_vec();
        let pair = self.certificate.as_ref().zip(self.key.as_ref());
        let certificates = TlsCertificates {
            client_tls: pair.map(|(certificate, key)| ClientTlsConfig {
                client_cert: pem(certificate),
                client_key: pem(key),
            }),
            root_cert: self.authorities.as_ref().map(pem),
        };
        let client = Client::build_with_tls("rediss://localhost", certificates)
            .map_err(|_| "REDIS_CA, REDIS_CERTIFICATE or REDIS_KEY cannot be used".to_owned())?;
        Ok(client.get_connection_info().addr().clone())
    }

    /// What the redis crate would find only when it connects.
    fn check(&self) -> Result<(), String> {
        let mut trusted = RootCertStore::empty();
        if let Some(authorities) = &self.authorities {
            for authority in certificates("REDIS_CA", authorities)? {
                trusted.add(authority).map_err(|error| {
                    format!("REDIS_CA: not an authority's certificate: {error}")
                })?;
            }
        }
        let config = ClientConfig::builder().with_root_certificates(trusted);
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("REDIS_CERTIFICATE", certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
                    .map_err(|_| not_pem("REDIS_KEY", "private key"))?;
                // The error says no more than that the key is of another certificate, or of an unknown kind.
                let used = config.with_client_auth_cert(chain, key);
                used.map(drop).map_err(|error| format!("REDIS_CERTIFICATE and REDIS_KEY: {error}"))
            }
            (None, None) => Ok(()),
            (Some(_), None) => {
                Err("REDIS_KEY is missing: REDIS_CERTIFICATE needs its key".to_owned())
            }
            (None, Some(_)) => {
                Err("REDIS_CERTIFICATE is missing: REDIS_KEY needs its certificate".to_owned())
            }
        }
    }
}

/// Says what to do about a certificate that one side did not take.
pub(super) fn advised(error: RedisError) -> RedisError {
    use rustls::{AlertDescription as Alert, CertificateError, Error};
    let advice = match tls_error(&error) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "nobody trusted signed the server's certificate; give its authority's in REDIS_CA"
        }
        Some(Error::AlertReceived(Alert::CertificateRequired | Alert::HandshakeFailure)) => {
            "the server wants a certificate; give one in REDIS_CERTIFICATE and REDIS_KEY"
        }
        Some(Error::AlertReceived(
            Alert::UnknownCA
            | Alert::DecryptError
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired,
        )) => {
            "the server does not take REDIS_CERTIFICATE: it is old, or the server does not know who signed it"
        }
        _ => return error,
    };
    (ErrorKind::Io, advice, error.to_string()).into()
}

fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    let inner = error.source()?.downcast_ref::<Arc<dyn StdError + Send + Sync>>()?;
    inner.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

fn certificates(name: &str, pem: &Secret) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem.reveal().as_bytes()).collect();
    found.ok().filter(|all| !all.is_empty()).ok_or_else(|| not_pem(name, "certificate"))
}

fn not_pem(name: &str, what: &str) -> String {
    format!(
        "{name} has no {what}: it must be PEM itself, and the name of its file goes into {name}_FILE"
    )
}
