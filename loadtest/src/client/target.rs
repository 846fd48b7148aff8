//! The deployment under load: one URL for REST and sockets, resolved once, so that ten thousand connections
//! are not ten thousand requests to a name server.

use platform::settings::ServerUrl;
use std::{io, net::SocketAddr};

/// Where to connect.
#[derive(Clone, Debug)]
pub(crate) struct SocketTarget {
    /// Host and port, as the `Host` header has them.
    pub authority: String,
    /// What the host's name stands for; connections take them in turn. Never empty.
    pub addresses: Vec<SocketAddr>,
}

/// Why a URL cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{url:?}: {why}")]
    Invalid { url: String, why: &'static str },
    #[error("{host:?} does not resolve to an address: {why}")]
    Unknown { host: String, why: io::Error },
}

impl SocketTarget {
    /// Looks up what the URL's host stands for.
    pub(crate) async fn resolve(url: &str) -> Result<Self, TargetError> {
        let server = url.parse::<ServerUrl>();
        let server = server.map_err(|why| TargetError::Invalid { url: url.to_owned(), why })?;
        let host = server.host();
        let unknown = |why| TargetError::Unknown { host: host.to_owned(), why };
        let found = tokio::net::lookup_host((host, server.port())).await.map_err(unknown)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(unknown(io::ErrorKind::NotFound.into()));
        }
        Ok(Self { authority: server.authority().to_owned(), addresses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls() {
        let target = SocketTarget::resolve("http://127.0.0.1:8000").await.unwrap();
        assert_eq!(target.authority, "127.0.0.1:8000");
        assert_eq!(target.addresses, ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!(SocketTarget::resolve("http://[::1]:9/").await.unwrap().addresses[0].port(), 9);
        for bad in ["127.0.0.1:8000", "", "https://127.0.0.1", "http://127.0.0.1/x", "ws://a"] {
            assert!(SocketTarget::resolve(bad).await.is_err(), "{bad}");
        }
    }
}
