//! The certificates of `rediss` URLs. Without any, a server must show a certificate of an authority that browsers
//! trust, too.

use crate::settings::Secret;
use redis::{Client, ClientTlsConfig, ConnectionAddr, TlsCertificates};

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
    /// Any address that is asked with these certificates. An error is one sentence without the key.
    pub(super) fn address(&self) -> Result<ConnectionAddr, String> {
        // The redis crate leaves the choice of cryptography to the process. It fails if another crate has chosen
        // already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = |secret: &Secret| secret.reveal().as_bytes().to_vec();
        let client_tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                Some(ClientTlsConfig { client_cert: pem(certificate), client_key: pem(key) })
            }
            (None, None) => None,
            _ => return Err("REDIS_CERTIFICATE and REDIS_KEY belong together".to_owned()),
        };
        let certificates =
            TlsCertificates { client_tls, root_cert: self.authorities.as_ref().map(pem) };
        let client = Client::build_with_tls("rediss://localhost", certificates)
            .map_err(|error| error.to_string())?;
        Ok(client.get_connection_info().addr().clone())
    }
}
