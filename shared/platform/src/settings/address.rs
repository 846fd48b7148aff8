//! A listening address as people write it. Nothing is bound here.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

/// An address and a port to listen on. A name is looked up when it is read; of its addresses the first of
/// version 4 counts, so that `localhost` is the same everywhere. A colon and a port are that port at all
/// IPv4 addresses of the machine; a port alone lets nobody in from outside: it is at 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddr(pub SocketAddr);

const EXAMPLE: &str = "write an address and a port, such as 127.0.0.1:8000, localhost:8000 or \
    [::1]:8000; :8000 is that port at all addresses";

impl FromStr for ListenAddr {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let (host, port) = text.rsplit_once(':').unwrap_or(("127.0.0.1", text));
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port: u16 = port.parse().ok().filter(|_| digits).ok_or(EXAMPLE)?;
        if matches!(host, "" | "*") {
            return Ok(Self((Ipv4Addr::UNSPECIFIED, port).into()));
        }
        if !host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return Err(EXAMPLE.to_owned());
        }
        let found = (host, port).to_socket_addrs();
        let found = found.map_err(|why| format!("{host} does not resolve to an address: {why}"))?;
        let first = found.min_by_key(SocketAddr::is_ipv6);
        first.map(Self).ok_or_else(|| format!("{host} does not resolve to an address"))
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where one connects, on the same machine, to what listens here: `0.0.0.0` is for listening only.
pub fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listening.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, expected) in [
            ("127.0.0.1:8000", "127.0.0.1:8000"),
            (" 0.0.0.0:8000 ", "0.0.0.0:8000"),
            ("[::1]:8000", "[::1]:8000"),
            ("[::]:0", "[::]:0"),
            ("localhost:8000", "127.0.0.1:8000"),
            ("LOCALHOST:8000", "127.0.0.1:8000"),
            (":8000", "0.0.0.0:8000"),
            ("*:8000", "0.0.0.0:8000"),
            ("8000", "127.0.0.1:8000"),
        ] {
            let read = text.parse::<ListenAddr>().map(|address| address.to_string());
            assert_eq!(read, Ok(expected.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_answered_with_an_example() {
        for text in [
            "",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:99999",
            ":+8000",
            "::1:8000",
            "[::1]",
            "http://localhost:8000",
            "127.0.0.1:8000/",
            "two words:8000",
        ] {
            let why = text.parse::<ListenAddr>().unwrap_err();
            assert!(why.contains("such as 127.0.0.1:8000"), "{text:?}: {why}");
        }
        let why = "nobody.invalid:8000".parse::<ListenAddr>().unwrap_err();
        assert!(why.contains("nobody.invalid"), "{why}");
    }

    #[test]
    fn everywhere_is_reached_on_loopback() {
        for (listen, address) in [
            ("0.0.0.0:9100", "127.0.0.1:9100"),
            ("[::]:9100", "[::1]:9100"),
            ("10.0.0.7:9100", "10.0.0.7:9100"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()), address.parse().unwrap());
        }
    }
}
