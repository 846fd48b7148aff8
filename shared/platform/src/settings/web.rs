//! Web addresses as people write them: the origin of a page, and a server of the deployment. Nothing is
//! requested from them here.

use std::{fmt, str::FromStr};
use url::{Position, Url};

/// The origin of a page, spelled as browsers spell it: scheme and host in lower case, no port where it is
/// the scheme's own, no slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// Scheme, host and port as a browser spells them.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether its pages come from the server that a request with this `Host` header reached. The scheme
    /// is the load balancer's to know.
    pub fn has_host(&self, host: &str) -> bool {
        let scheme = self.0.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
        format!("{scheme}://{host}").parse::<Self>().is_ok_and(|own| own == *self)
    }
}

impl FromStr for Origin {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = bare(text).filter(|url| matches!(url.scheme(), "http" | "https"));
        // A host name has no star; many programs mean "any" by it, and no browser sends it.
        let url = url.filter(|url| url.host_str().is_some_and(|host| !host.contains('*')));
        let url = url.ok_or("write an origin such as https://chat.example.com, without a path")?;
        Ok(Self(url.origin().ascii_serialization()))
    }
}

/// A server of the deployment, where there is no TLS: `http://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl(Url);

impl ServerUrl {
    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default().trim_matches(['[', ']'])
    }

    /// The port, also where the URL leaves it out.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }

    /// Host and port as the `Host` header of a request has them.
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }
}

impl FromStr for ServerUrl {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = bare(text).filter(|url| url.scheme() == "http");
        url.map(Self).ok_or(
            "write a server as http://host:port, without a path; where it speaks https, name the \
             port behind its TLS",
        )
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

/// A URL that is scheme, host and port, and nothing else.
fn bare(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (bare && url.has_host()).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelled_as_browsers_do() {
        for (text, expected) in [
            ("https://chat.example.com", "https://chat.example.com"),
            ("HTTPS://Chat.Example.com/", "https://chat.example.com"),
            ("https://chat.example.com:443", "https://chat.example.com"),
            ("http://chat.example.com:80/", "http://chat.example.com"),
            ("http://chat.example.com:443", "http://chat.example.com:443"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin.as_str(), expected, "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "chat.example.com",
            "localhost:3000",
            "https://*.example.com",
            "https://chat.example.com/page",
            "https://chat.example.com?x",
            "https://me@chat.example.com",
            "https://chat.example.com:99999",
            "wss://chat.example.com",
            "https://a b",
            "https://",
        ] {
            let why = text.parse::<Origin>().unwrap_err();
            assert!(why.contains("https://chat.example.com"), "{text:?}: {why}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for (text, host, port, shown) in [
            ("http://api:8300", "api", 8300, "http://api:8300"),
            ("http://API:8300/", "api", 8300, "http://api:8300"),
            ("http://[::1]:81", "::1", 81, "http://[::1]:81"),
            ("http://g", "g", 80, "http://g"),
        ] {
            let url: ServerUrl = text.parse().unwrap();
            let read = (url.host(), url.port(), url.to_string());
            assert_eq!(read, (host, port, shown.to_owned()), "{text}");
        }
        for text in
            ["", "api:8300", "https://api", "ws://api:1", "http://a/b", "http://u:p@a:1", "http://"]
        {
            let why = text.parse::<ServerUrl>().unwrap_err();
            assert!(why.contains("http://host:port"), "{text:?}: {why}");
        }
    }
}
