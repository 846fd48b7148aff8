//! Reads from an upgrade request who the client is, and whether its page is of an allowed origin. The files in
//! `opening/` verify the token.

use axum::http::{HeaderMap, header};
use platform::{
    credentials::{Credential, is_origin_allowed},
    settings::Origin,
};
use protocol::close::Close;

/// The credential that came with an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum UpgradeCredential {
    Token(String),
    /// No credential.
    #[default]
    Nothing,
    /// No credential that counts, because the page is of another origin: browsers add cookies by
    /// themselves, and reach networks that the page's author cannot.
    ForeignPage,
}

impl UpgradeCredential {
    /// The first of: header, query, subprotocol, cookie from a page of an allowed origin.
    pub(crate) fn of(
        headers: &HeaderMap,
        query: Option<String>,
        allowed_origins: &[Origin],
    ) -> Self {
        let credential = Credential::of(headers);
        if let Some(Credential::Bearer(token)) = credential {
            return Self::Token(token.to_owned());
        }
        let offered = || offers(headers).find_map(|offer| offer.strip_prefix("bearer."));
        if let Some(token) = query.or_else(|| offered().map(str::to_owned)) {
            return Self::Token(token);
        }
        match credential {
            _ if !is_origin_allowed(headers, allowed_origins) => Self::ForeignPage,
            Some(credential) => Self::Token(credential.token().to_owned()),
            None => Self::Nothing,
        }
    }

    /// The token, or the close for a client that needs one and has none.
    pub(crate) fn token(self) -> Result<String, Close> {
        match self {
            Self::Token(token) => Ok(token),
            Self::Nothing => Err(Close::Unauthenticated),
            Self::ForeignPage => Err(Close::WrongOrigin),
        }
    }
}

/// The parts of a header that is a list, over however many lines.
pub(crate) fn header_parts<'a>(
    headers: &'a HeaderMap,
    name: &header::HeaderName,
) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|value| value.split(',')).map(str::trim)
}

/// The subprotocols that the client offers.
pub(crate) fn offers(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    header_parts(headers, &header::SEC_WEBSOCKET_PROTOCOL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    /// With the head of our tokens.
    macro_rules! ours {
        () => {
            "eyJhbGciOiJFZERTQSIsImtpZCI6ImsifQ.e30.c2lnbmF0dXJl"
        };
    }

    #[test]
    fn only_what_a_page_sends_on_purpose_counts_from_everywhere() {
        let token = |token: &str| UpgradeCredential::Token(token.to_owned());
        let host = ("host", "chat.example.com");
        let (own, foreign) =
            (("origin", "https://chat.example.com"), ("origin", "https://evil.example"));
        let cookie = ("cookie", concat!("session=", ours!()));
        let protocols = ("sec-websocket-protocol", "switchboard, bearer.p");
        type Case<'a> = (&'a [(&'static str, &'a str)], Option<&'a str>, UpgradeCredential);
        let cases: [Case<'_>; 15] = [
            (&[host], None, UpgradeCredential::Nothing),
            (&[host, own], None, UpgradeCredential::Nothing),
            (&[host, foreign], None, UpgradeCredential::ForeignPage),
            (&[host, ("origin", "null")], None, UpgradeCredential::ForeignPage),
            (&[host, ("sec-fetch-site", "cross-site")], None, UpgradeCredential::ForeignPage),
            (&[host, cookie], None, token(ours!())),
            (&[host, own, cookie], None, token(ours!())),
            (&[host, foreign, cookie], None, UpgradeCredential::ForeignPage),
            (&[host, foreign, cookie, protocols], None, token("p")),
            (&[host, foreign, cookie], Some("q"), token("q")),
            (&[host, foreign, cookie, protocols], Some("q"), token("q")),
            (&[host, cookie, protocols, ("authorization", "Bearer h")], Some("q"), token("h")),
            (&[host, foreign, ("authorization", "Basic x")], None, UpgradeCredential::ForeignPage),
            (&[host, own, cookie, ("authorization", "Basic x")], None, token(ours!())),
            (
                &[host, own, ("cookie", "session=another.application.s")],
                None,
                UpgradeCredential::Nothing,
            ),
        ];
        for (pairs, query, expected) in cases {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
                .collect();
            let credential = UpgradeCredential::of(&headers, query.map(str::to_owned), &[]);
            assert_eq!(credential, expected, "{pairs:?} {query:?}");
        }
    }
}
