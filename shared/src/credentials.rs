//! Where a request carries its access token, and whether the page it came from may use the cookie.
//! Both the api and the gateway ask; neither the token nor the session is checked here.

use crate::settings::Origin;
use axum::http::{HeaderMap, header};

/// The cookie that signing in sets. It holds an access token that lives as long as the session, so
/// that a page keeps working without renewing; whoever accepts one older than
/// [`crate::token::ACCESS_TOKEN_LIFETIME`] asks the database whether the session still stands.
pub const SESSION_COOKIE: &str = "session";

/// A token as presented, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// `Authorization: Bearer`: sent on purpose, so no other site's page can make a browser send it.
    Bearer(&'a str),
    /// The session cookie: browsers add it by themselves, so [`origin_allowed`] must agree.
    Cookie(&'a str),
}

impl<'a> Credential<'a> {
    /// The request's credential; the header wins over the cookie, even when it is unusable.
    pub fn of(headers: &'a HeaderMap) -> Option<Self> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().unwrap_or_default();
            let token = match text.split_at_checked(7) {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token.trim(),
                _ => "",
            };
            return Some(Self::Bearer(token));
        }
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == SESSION_COOKIE)
            .map(|(_, token)| Self::Cookie(token))
    }

    /// The token itself.
    pub fn token(self) -> &'a str {
        match self {
            Self::Bearer(token) | Self::Cookie(token) => token,
        }
    }
}

/// Whether a cookie may count in this request, which changes something or opens a socket: it comes
/// from our own origin, an allowed one, or no browser at all.
///
/// Browsers send `Origin` with every such request across sites; where an old one does not,
/// `Sec-Fetch-Site` still tells. A client that sends neither is no browser, and nobody can make it
/// send a cookie against its will.
pub fn origin_allowed(headers: &HeaderMap, allowed: &[Origin]) -> bool {
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

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    header::HeaderName::from_static(name),
                    value.parse::<header::HeaderValue>().unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn the_header_wins_over_the_cookie() {
        let cookie = ("cookie", "theme=dark; session=abc; other=1");
        assert_eq!(Credential::of(&headers(&[cookie])), Some(Credential::Cookie("abc")));
        for (value, token) in
            [("Bearer xyz", "xyz"), ("bearer  xyz ", "xyz"), ("Basic xyz", ""), ("xyz", "")]
        {
            let both = headers(&[cookie, ("authorization", value)]);
            assert_eq!(Credential::of(&both), Some(Credential::Bearer(token)), "{value}");
        }
        assert_eq!(Credential::of(&headers(&[("cookie", "sessions=abc; x")])), None);
        assert_eq!(Credential::of(&HeaderMap::new()), None);
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
            assert_eq!(origin_allowed(&headers(request), &allowed), expected, "{request:?}");
        }
    }
}
