//! The deployment that is loaded: one URL for REST and sockets, resolved once, so that ten thousand
//! connections are not ten thousand questions to a name server.

use hyper::Uri;
use std::{io, net::SocketAddr};

/// Where to connect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port, as the `Host` header has them.
    pub authority: String,
    /// What the host's name stands for; connections take them in turn. Never empty.
    pub addresses: Vec<SocketAddr>,
}

/// Why a URL cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{0:?} is no URL such as http://host:8000")]
    Invalid(String),
    #[error("{0:?}: only http; to load an https deployment, go to the port behind its TLS")]
    NotHttp(String),
    #[error("{0:?} has a path or a query; the deployment's URL ends after host and port")]
    HasPath(String),
    #[error("{host:?} stands for no address: {why}")]
    Unknown { host: String, why: io::Error },
}

impl Target {
    /// Looks up what the URL's host stands for.
    pub async fn resolve(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Invalid(url.to_owned()))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(TargetError::NotHttp(url.to_owned())),
            None => return Err(TargetError::Invalid(url.to_owned())),
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(TargetError::HasPath(url.to_owned()));
        }
        let authority = uri.authority().ok_or_else(|| TargetError::Invalid(url.to_owned()))?;
        let host = authority.host();
        let port = authority.port_u16().unwrap_or(80);
        let unknown = |why| TargetError::Unknown { host: host.to_owned(), why };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port)).await.map_err(unknown)?;
        let addresses: Vec<SocketAddr> = found.collect();
        if addresses.is_empty() {
            return Err(unknown(io::ErrorKind::NotFound.into()));
        }
        Ok(Self { authority: authority.to_string(), addresses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn urls() {
        let target = Target::resolve("http://127.0.0.1:8000").await.unwrap();
        assert_eq!(target.authority, "127.0.0.1:8000");
        assert_eq!(target.addresses, ["127.0.0.1:8000".parse().unwrap()]);
        assert_eq!(Target::resolve("http://[::1]:9/").await.unwrap().addresses[0].port(), 9);
        for bad in ["127.0.0.1:8000", "", "https://127.0.0.1", "http://127.0.0.1/x", "ws://a"] {
            assert!(Target::resolve(bad).await.is_err(), "{bad}");
        }
    }
}
