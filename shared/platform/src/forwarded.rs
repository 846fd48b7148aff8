//! The client behind trusted proxies. Pure: reads a request's headers and decides which of them count.

use crate::settings::TrustedNetwork;
use axum::http::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// Whether this peer is a proxy whose word counts. The address is canonical.
pub fn is_trusted(trusted: &[TrustedNetwork], address: IpAddr) -> bool {
    trusted.iter().any(|net| net.contains(address))
}

/// The client behind the trusted proxies. Each of them wrote the address that it saw at the end of
/// `X-Forwarded-For`, so this goes from the end towards the front for as long as a trusted one wrote
/// what stands there. What is no address hides who is behind it: everything before it the client may
/// have made up, and the client is the proxy itself. Whether the client's request came over TLS, the
/// proxy that is our peer says at the end of `X-Forwarded-Proto`.
pub(crate) fn origin(
    trusted: &[TrustedNetwork],
    peer: IpAddr,
    headers: &HeaderMap,
) -> (IpAddr, bool) {
    if !is_trusted(trusted, peer) {
        return (peer, false);
    }
    let proto = written(headers, "x-forwarded-proto").next();
    let secure = proto.is_some_and(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https"));
    let mut client = peer;
    for part in written(headers, "x-forwarded-for") {
        let Some(address) = str::from_utf8(part).ok().and_then(|part| address(part.trim())) else {
            break;
        };
        client = address;
        if !is_trusted(trusted, client) {
            break;
        }
    }
    (client, secure)
}

/// What proxies wrote, the last one first.
fn written<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
}

/// An address as proxies write it: some with the port, some with brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = match bare {
        Some(v6) => IpAddr::V6(v6.parse().ok()?),
        None => text.parse().ok().or_else(with_port)?,
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    fn headers(forwarded: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers
    }

    #[test]
    fn only_a_trusted_peer_names_the_client() {
        let trusted: Vec<TrustedNetwork> = vec!["10.0.0.0/8".parse().unwrap()];
        let proxy: IpAddr = "10.1.2.3".parse().unwrap();
        let stranger: IpAddr = "9.9.9.9".parse().unwrap();
        let made_up = headers("1.1.1.1, 8.8.8.8, 10.9.9.9");
        assert_eq!(origin(&trusted, proxy, &made_up), ("8.8.8.8".parse().unwrap(), true));
        assert_eq!(origin(&trusted, stranger, &made_up), (stranger, false));
        assert_eq!(origin(&trusted, proxy, &HeaderMap::new()), (proxy, false));
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them_and_nothing_is_skipped() {
        let trusted: Vec<TrustedNetwork> = vec!["10.0.0.0/8".parse().unwrap()];
        let proxy = "10.1.2.3";
        for (forwarded, expected) in [
            ("1.2.3.4, 203.0.113.9:51324", "203.0.113.9"),
            ("1.2.3.4, [2001:db8::1]:443", "2001:db8::1"),
            ("1.2.3.4, [2001:db8::1]", "2001:db8::1"),
            ("1.2.3.4, 2001:db8::1", "2001:db8::1"),
            ("1.2.3.4, ::ffff:203.0.113.9", "203.0.113.9"),
            ("1.2.3.4, ::ffff:10.9.9.9", "1.2.3.4"),
            ("1.2.3.4 , 203.0.113.9 , 10.9.9.9:80", "203.0.113.9"),
            ("1.2.3.4, unknown", proxy),
            ("1.2.3.4, ", proxy),
            ("", proxy),
            ("1.2.3.4, 203.0.113.9:port", proxy),
            ("1.2.3.4, [203.0.113.9]", proxy),
            ("1.2.3.4, unknown, 10.9.9.9", "10.9.9.9"),
            ("10.8.8.8, 10.9.9.9", "10.8.8.8"),
        ] {
            let (found, _) = origin(&trusted, proxy.parse().unwrap(), &headers(forwarded));
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{forwarded:?}");
        }
    }

    /// As with addresses: what stands before it the client may have made up.
    #[test]
    fn whether_it_was_tls_says_the_nearest_proxy() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        for (lines, expected) in [
            (&["https"][..], true),
            (&["HTTPS"], true),
            (&["http"], false),
            (&[], false),
            (&["http, https"], true),
            (&["https, http"], false),
            (&["https", "http"], false),
            (&["http", " https "], true),
            (&["https,"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-proto", line.parse().unwrap());
            }
            let (_, secure) = origin(&trusted, "10.1.2.3".parse().unwrap(), &headers);
            assert_eq!(secure, expected, "{lines:?}");
        }
    }

    proptest! {
        /// A proxy appends whom it sees, as a part or as a line of its own: whatever a client sends
        /// before, it is that one.
        #[test]
        fn no_client_chooses_its_address(
            lines in prop::collection::vec(
                prop_oneof![
                    // Every byte that a header may have.
                    prop::collection::vec(prop_oneof![32u8..127, 128u8..], 0..40),
                    "[0-9., :\\[\\]a-f]{0,60}".prop_map(String::into_bytes),
                ],
                0..4,
            ),
            client in prop_oneof![
                any::<[u8; 4]>().prop_map(IpAddr::from),
                any::<[u8; 16]>().prop_map(IpAddr::from),
            ],
            port in any::<Option<u16>>(),
            own_line in any::<bool>(),
        ) {
            let trusted: Vec<TrustedNetwork> = vec!["10.0.0.0/8".parse().unwrap()];
            prop_assume!(!is_trusted(&trusted, client.to_canonical()));
            let mut lines = lines;
            let seen = match port {
                Some(port) => SocketAddr::new(client, port).to_string(),
                None => client.to_string(),
            };
            match lines.last_mut().filter(|_| !own_line) {
                Some(line) => line.extend(format!(", {seen}").bytes()),
                None => lines.push(seen.into_bytes()),
            }
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", HeaderValue::from_bytes(&line).unwrap());
            }
            let proxy = "10.1.2.3".parse().unwrap();
            let (found, _) = origin(&trusted, proxy, &headers);
            prop_assert_eq!(found, client.to_canonical(), "{:?}", headers);
        }
    }
}
