//! The deployment under load: one URL for REST and sockets, resolved once, so that ten thousand connections
//! are not ten thousand requests to a name server.

use crate::trust::{Trust, TrustError};
use hyper::Uri;
use rustls::pki_types::ServerName;
use std::{fmt, io, net::SocketAddr, str::FromStr};
use tokio_rustls::TlsConnector;

/// A deployment as its clients reach it: `http://host[:port]` or `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetUrl {
    is_https: bool,
    /// Host and port, as the `Host` header has them.
    authority: String,
    /// A name or an address, without brackets.
    host: String,
    port: u16,
}

impl FromStr for TargetUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "write a deployment as http://host:port or https://host:port, without a path";
        let uri: Uri = text.trim().parse().map_err(|_| WRONG)?;
        let is_https = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(WRONG),
        };
        let authority = uri.authority().ok_or(WRONG)?;
        // What is beside the host is a port, and no name of a user.
        let bare = authority.host().len() == authority.as_str().len();
        if authority.host().is_empty()
            || (!bare && authority.port_u16().is_none())
            || authority.as_str().contains('@')
        {
            return Err(WRONG);
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(WRONG);
        }
        Ok(Self {
            is_https,
            authority: authority.as_str().to_ascii_lowercase(),
            host: authority.host().trim_matches(['[', ']']).to_ascii_lowercase(),
            port: authority.port_u16().unwrap_or(if is_https { 443 } else { 80 }),
        })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_https { "https" } else { "http" }, self.authority)
    }
}

/// Where to connect.
#[derive(Clone)]
pub(crate) struct SocketTarget {
    /// For REST.
    pub url: String,
    /// Host and port, as the `Host` header has them.
    pub authority: String,
    /// What the host's name stands for; connections take them in turn. Never empty.
    pub addresses: Vec<SocketAddr>,
    /// With `https://`.
    pub tls: Option<TargetTls>,
    pub trust: Trust,
}

/// TLS to this target.
#[derive(Clone)]
pub(crate) struct TargetTls {
    pub connector: TlsConnector,
    /// Whose certificate it must show.
    pub name: ServerName<'static>,
}

/// Why a URL cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{url:?}: {why}")]
    Invalid { url: String, why: &'static str },
    #[error("{host:?} does not resolve to an address: {why}")]
    Unknown { host: String, why: io::Error },
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl SocketTarget {
    /// Looks up what the URL's host stands for.
    pub(crate) async fn resolve(url: &str, trust: &Trust) -> Result<Self, TargetError> {
        let invalid = |why| TargetError::Invalid { url: url.to_owned(), why };
        let server = url.parse::<TargetUrl>().map_err(invalid)?;
        let host = server.host.as_str();
        let unknown = |why| TargetError::Unknown { host: host.to_owned(), why };
        let found = tokio::net::lookup_host((host, server.port)).await.map_err(unknown)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(unknown(io::ErrorKind::NotFound.into()));
        }
        let tls = match server.is_https {
            false => None,
            true => Some(TargetTls {
                connector: TlsConnector::from(trust.client()?),
                name: ServerName::try_from(server.host.clone())
                    .map_err(|_| invalid("no certificate can have this host's name"))?,
            }),
        };
        let (url, authority) = (server.to_string(), server.authority);
        Ok(Self { url, authority, addresses, tls, trust: trust.clone() })
    }
}

impl fmt::Debug for SocketTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketTarget").field("url", &self.url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls() {
        let resolve = async |url: &str| SocketTarget::resolve(url, &Trust::default()).await;
        let target = resolve("http://127.0.0.1:8000").await.unwrap();
        assert_eq!(target.authority, "127.0.0.1:8000");
        assert_eq!(target.addresses, ["127.0.0.1:8000".parse().unwrap()]);
        assert!(target.tls.is_none());
        assert_eq!(resolve("http://[::1]:9/").await.unwrap().addresses[0].port(), 9);
        let secure = resolve("https://127.0.0.1").await.unwrap();
        assert_eq!((secure.addresses[0].port(), secure.tls.is_some()), (443, true));
        assert_eq!(secure.url, "https://127.0.0.1");
        for bad in [
            "127.0.0.1:8000",
            "",
            "http://127.0.0.1/x",
            "http://127.0.0.1?x",
            "http://127.0.0.1:99999",
            "http://127.0.0.1:",
            "http://me@127.0.0.1",
            "http://",
            "ws://a",
        ] {
            let why = resolve(bad).await.unwrap_err().to_string();
            assert!(why.contains("http://host:port"), "{bad}: {why}");
        }
    }
}
