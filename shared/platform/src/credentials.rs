//! Finds the access token in a request, and decides whether the page that sent it may use the cookie. Both
//! the api and the gateway use this. It checks neither the token nor the session.

use crate::{settings::Origin, token::has_our_form};
use axum::http::{HeaderMap, HeaderValue, header};

/// The cookie that signing in sets. It holds an access token that lives as long as the session, so
/// that a page keeps working without renewing; whoever accepts one older than
/// [`crate::token::ACCESS_TOKEN_LIFETIME`] asks the database whether the session still stands.
pub const SESSION_COOKIE: &str = "session";

/// A token as presented, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `Authorization: Bearer`: sent on purpose, so no other site's page can make a browser send it.
    Bearer(&'a str),
    /// The session cookie: browsers add it by themselves, so [`is_origin_allowed`] must agree.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The request's credential; a bearer token wins over the cookie, even when it is unusable. What is
    /// not ours is passed over: another scheme, which a proxy may have asked for, and cookies of other
    /// applications that have the same name.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        let bearer = |value: &'a HeaderValue| {
            let text = value.to_str().ok()?;
            let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        };
        if let Some(token) = headers.get_all(header::AUTHORIZATION).iter().find_map(bearer) {
            return Some(Self::Bearer(token));
        }
        cookies(headers, SESSION_COOKIE).find(|token| has_our_form(token)).map(Self::Cookie)
    }

    /// The token itself.
    pub fn token(self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

/// The values of the cookies of this name.
pub fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(known, _)| *known == name).map(|(_, value)| value)
}

/// Whether a cookie may count in this request, which changes something or opens a socket: it comes
/// from our own origin, an allowed one, or no browser at all.
///
/// Browsers send `Origin` with every such request across sites; where an old one does not,
/// `Sec-Fetch-Site` still tells. A client that sends neither is no browser, and nobody can make it
/// send a cookie against its will.
pub fn is_origin_allowed(headers: &HeaderMap, allowed: &[Origin]) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().ok());
    match text(header::ORIGIN) {
        Some(origin) => {
            let origin = origin.and_then(|origin| origin.parse::<Origin>().ok());
            let Some(origin) = origin else { return false };
            let host = text(header::HOST).flatten();
            allowed.contains(&origin) || host.is_some_and(|host| origin.has_host(host))
        }
        None => match text(header::HeaderName::from_static("sec-fetch-site")) {
            None => true,
            Some(site) => matches!(site, Some("same-origin" | "none")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `{"alg":"EdDSA","kid":"k"}` as its head.
    const OURS: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.c2lnbmF0dXJl";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), value.parse::<HeaderValue>().unwrap())
            })
            .collect()
    }

    #[test]
    fn the_header_wins_over_the_cookie() {
        let text = format!("theme=dark; session={OURS}; other=1");
        let (cookie, found) = (("cookie", text.as_str()), Some(Credential::Cookie(OURS)));
        assert_eq!(Credential::of(&headers(&[cookie])), found);
        for (value, token) in [("Bearer xyz", "xyz"), ("bearer  xyz ", "xyz"), ("Bearer", "")] {
            let both = headers(&[cookie, ("authorization", value)]);
            assert_eq!(Credential::of(&both), Some(Credential::Bearer(token)), "{value}");
        }
        for value in ["Basic dXNlcjpwYXNz", "Negotiate x", "xyz", ""] {
            let both = headers(&[cookie, ("authorization", value)]);
            assert_eq!(Credential::of(&both), found, "{value}: not ours");
        }
        assert_eq!(Credential::of(&HeaderMap::new()), None);
    }

    #[test]
    fn cookies_of_other_applications_are_passed_over() {
        // A signed cookie of a web framework, a token of another issuer, nothing at all.
        let others = [
            "eyJfZnJlc2giOmZhbHNlfQ.ZxY.abc",
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.x",
            "abc",
            "",
        ];
        for other in others {
            let alone = format!("session={other}");
            assert_eq!(Credential::of(&headers(&[("cookie", &alone)])), None, "{other}");
            for both in [format!("{alone}; session={OURS}"), format!("session={OURS}; {alone}")] {
                let found = headers(&[("cookie", &both)]);
                assert_eq!(Credential::of(&found), Some(Credential::Cookie(OURS)), "{both}");
            }
        }
        assert_eq!(Credential::of(&headers(&[("cookie", &format!("sessions={OURS}; x"))])), None);
    }

    #[test]
    fn a_cookie_counts_from_our_pages_only() {
        let allowed = ["https://App.example.com:443/".parse().unwrap()];
        let host = ("host", "chat.example.com:8000");
        let full = ("host", "Chat.Example.com:443");
        let cases: [(&[(&'static str, &str)], bool); 16] = [
            (&[full, ("origin", "https://chat.example.com")], true),
            (&[full, ("origin", "http://chat.example.com:443")], true),
            (&[full, ("origin", "http://chat.example.com")], false),
            (&[("host", "chat.example.com"), ("origin", "https://chat.example.com")], true),
            (&[("host", "chat.example.com/x"), ("origin", "https://chat.example.com")], false),
            (&[("host", "x@chat.example.com"), ("origin", "https://chat.example.com")], false),
            (&[host], true),
            (&[host, ("origin", "http://chat.example.com:8000")], true),
            (&[host, ("origin", "https://CHAT.example.com:8000")], true),
            (&[host, ("origin", "https://app.example.com")], true),
            (&[host, ("origin", "https://app.example.com.evil.com")], false),
            (&[host, ("origin", "http://chat.example.com")], false),
            (&[host, ("origin", "http://user@chat.example.com:8000")], false),
            (&[host, ("origin", "null")], false),
            (&[host, ("sec-fetch-site", "cross-site")], false),
            (&[host, ("sec-fetch-site", "same-origin")], true),
        ];
        for (request, expected) in cases {
            assert_eq!(is_origin_allowed(&headers(request), &allowed), expected, "{request:?}");
        }
    }
}
