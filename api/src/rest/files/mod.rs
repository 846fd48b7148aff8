//! A file that is served unchanged, with the policy that limits what its page may do. A browser that has the
//! file already is not sent it again. [`web_client`] and [`super::openapi`] decide where each file is.

pub(crate) mod web_client;

use crate::error::fault;
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use std::{fmt::Write, io::Read};

/// What every file is served with.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// How long a browser may use a file without another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caching {
    /// It asks each time, which the `ETag` answers in a few bytes: after an update nobody runs half of the old page.
    Ask,
    /// It never asks again: the address changes with the content.
    Forever,
    /// It keeps nothing: the address names other content than the answer has.
    Never,
}

impl Caching {
    fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Ask => "no-cache",
            // A year, the longest that caches understand (RFC 9111, 5.2.2.1), and no reload asks either (RFC 8246).
            Self::Forever => "public, max-age=31536000, immutable",
            Self::Never => "no-store",
        })
    }
}

/// A file, held in memory once. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct File {
    content_type: &'static str,
    policy: &'static str,
    content: Bytes,
    packed: bool,
    tag: HeaderValue,
}

impl File {
    /// `policy` is the `Content-Security-Policy` of a page made of this file.
    pub(crate) fn new(
        content_type: &'static str,
        policy: &'static str,
        content: impl Into<Bytes>,
    ) -> Self {
        let content = content.into();
        let tag = entity_tag(&content);
        Self { content_type, policy, content, packed: false, tag }
    }

    /// The same of a file that is stored, and sent to whoever takes it so, compressed by gzip.
    pub(crate) fn packed(
        content_type: &'static str,
        policy: &'static str,
        content: &'static [u8],
    ) -> Self {
        Self { packed: true, ..Self::new(content_type, policy, content) }
    }

    /// The answer to a request with these headers: the file, or 304 when the client has it.
    pub(crate) fn answer(&self, request: &HeaderMap, caching: Caching) -> Response {
        let known = request.get_all(header::IF_NONE_MATCH);
        let mut response = if known.iter().any(|given| names(given, &self.tag)) {
            StatusCode::NOT_MODIFIED.into_response()
        } else if self.packed && takes_gzip(request) {
            ([(header::CONTENT_ENCODING, "gzip")], self.content.clone()).into_response()
        } else if self.packed {
            unpack(&self.content).map_err(fault).into_response()
        } else {
            self.content.clone().into_response()
        };
        let headers = response.headers_mut();
        let ours = [
            (header::CACHE_CONTROL, caching.header()),
            (header::CONTENT_TYPE, HeaderValue::from_static(self.content_type)),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(self.policy)),
            (header::ETAG, self.tag.clone()),
        ];
        // Not `extend`, which adds a second content type to the one that the body brought.
        for (name, value) in ours {
            headers.insert(name, value);
        }
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.packed {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

/// What a gzip file holds. For our own files, whose size is known; not for what clients send.
pub(crate) fn unpack(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether the client says that it takes gzip (RFC 9110, 12.5.3); every browser does.
fn takes_gzip(request: &HeaderMap) -> bool {
    let given = request.get_all(header::ACCEPT_ENCODING).iter();
    given.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=0").is_some_and(|rest| {
            rest.strip_prefix('.').unwrap_or(rest).trim_matches('0').is_empty()
        });
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

/// Whether an `If-None-Match` names this tag (RFC 9110, 13.1.2).
fn names(given: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(given), Ok(tag)) = (given.to_str(), tag.to_str()) else { return false };
    given
        .split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.trim_start_matches("W/") == tag.trim_start_matches("W/"))
}

/// Half a SHA-256 of the content. Weak, because the same file may be sent compressed.
fn entity_tag(content: &[u8]) -> HeaderValue {
    let mut tag = String::from("W/\"");
    for byte in &Sha256::digest(content)[..16] {
        // Writing to a string cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    // Hexadecimal digits and quotes are always a valid value.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("W/\"0\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_takes_gzip_gets_it() {
        let takes = |value: &'static str| {
            let header = (header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&HeaderMap::from_iter([header]))
        };
        for yes in ["gzip", "deflate, gzip;q=0.5, br", "GZIP", "gzip; q=1", "br,gzip"] {
            assert!(takes(yes), "{yes}");
        }
        for no in ["", "identity", "br", "gzip;q=0", "gzip; q=0.00", "xgzip"] {
            assert!(!takes(no), "{no}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
