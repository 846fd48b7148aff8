//! The web client: the files of `web/` (`assets.rs`), embedded in the binary, at `/` and under `/assets/`. They need no
//! build step, and little is changed: in the page its files' addresses get their version, and it says whether a session may
//! be there to ask about; scripts and styles lose the comments that stand on lines of their own. This file knows no users
//! and no chats.

mod assets;

use self::assets::{ASSETS, Asset, INDEX, needed_from};
use super::{Caching, File};
use crate::error::Error;
use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
    routing::get,
};
use platform::credentials::{SESSION_COOKIE, cookies};
use protocol::code::Code;
use sha2::{Digest, Sha256};
use std::{collections::HashMap, sync::Arc};
use tower_http::compression::{CompressionLayer, CompressionLevel};

/// What the page says of its session, and what instead when there is none.
const UNKNOWN_SESSION: &str = "<meta name=\"session\" content=\"unknown\">";
const NO_SESSION: &str = "<meta name=\"session\" content=\"none\">";

/// Nothing but the page's own files and its own server, the WebSocket included; no inline script
/// or style, no frames, no other place for a form to go.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; manifest-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// Of what is no page. Each of some sixty files is sent with it, and it is a quarter of the smallest ones.
const ASSET_POLICY: &str = "default-src 'none'";

/// Of brotli and gzip. The next levels cost much more time and save less than 1 %; the one below costs 8 % more bytes.
const COMPRESSION: CompressionLevel = CompressionLevel::Precise(5);

/// The page and its files. Public: whoever is not signed in gets the form for it.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let page = Arc::new(WebClient::new());
    let [index, named, versioned] = [(); 3].map(|()| Arc::clone(&page));
    Router::new()
        .route("/", get(async move |request: HeaderMap| index.page(&request)))
        .route(
            "/assets/{name}",
            get(async move |Path(name): Path<String>, request: HeaderMap| {
                named.asset(&name, &request, Caching::Ask)
            }),
        )
        .route(
            "/assets/{version}/{name}",
            get(async move |Path((version, name)): Path<(String, String)>, request: HeaderMap| {
                let caching =
                    if version == versioned.version { Caching::Forever } else { Caching::Never };
                versioned.asset(&name, &request, caching)
            }),
        )
        .layer(CompressionLayer::new().quality(COMPRESSION))
}

/// The page as this program serves it. Its files lie in a folder that is named after the content of all of them, so
/// browsers keep them for good, and the modules' imports, which are relative, stay in that folder.
///
/// While a new version is rolled out, a page of one version asks apis of the other for its files: they answer with
/// their own, which nobody keeps. Pages of programs without versions ask for files in no folder.
struct WebClient {
    version: String,
    index: File,
    /// For whoever sends no session cookie: such a page asks for no user, which browsers would show as an error.
    visitors: File,
    assets: HashMap<&'static str, File>,
}

impl WebClient {
    fn new() -> Self {
        let version = version();
        let index = index(&version);
        let visitors = index.replace(UNKNOWN_SESSION, NO_SESSION);
        let [index, visitors] =
            [index, visitors].map(|page| File::new(INDEX.content_type, POLICY, page));
        let file = |asset: &Asset| File::new(asset.content_type, ASSET_POLICY, asset.served());
        let assets = ASSETS.iter().map(|asset| (asset.name, file(asset))).collect();
        Self { version, index, visitors, assets }
    }

    fn page(&self, request: &HeaderMap) -> Response {
        let may_be_signed_in = cookies(request, SESSION_COOKIE).next().is_some();
        let mut answer = if may_be_signed_in {
            self.index.answer(request, Caching::Ask)
        } else {
            // Going back shows what was kept without asking, and one may have signed in meanwhile.
            self.visitors.answer(request, Caching::Never)
        };
        answer.headers_mut().append(header::VARY, HeaderValue::from_static("cookie"));
        answer
    }

    fn asset(&self, name: &str, request: &HeaderMap, caching: Caching) -> Response {
        let file = self.assets.get(name).ok_or_else(|| Error::from(Code::NotFound));
        file.map(|file| file.answer(request, caching)).into_response()
    }
}

/// The start of a SHA-256 of all files.
fn version() -> String {
    let mut hash = Sha256::new();
    for asset in ASSETS.iter().chain([&INDEX]) {
        // With the length, so that no byte can move from one file to the next unseen.
        hash.update(asset.content.len().to_be_bytes());
        hash.update(asset.content);
    }
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The page with its files' addresses. It names every module that it will need, so that a browser asks for all
/// of them at once, and not for one generation of imports after the other.
fn index(version: &str) -> String {
    let preload = |name| format!("<link rel=\"modulepreload\" href=\"/assets/{name}\">\n  ");
    let links: String = needed_from("main.js").into_iter().map(preload).collect();
    let script = "<script type=\"module\"";
    INDEX
        .content
        .replace(script, &(links + script))
        .replace("\"/assets/", &format!("\"/assets/{version}/"))
}

#[cfg(test)]
mod tests {
    use super::{assets::HTML, *};
    use axum::{
        body::Body,
        http::{Request, StatusCode},
    };
    use tower::ServiceExt;

    fn versioned(name: &str) -> String {
        format!("/assets/{}/{name}", version())
    }

    async fn get_with(path: &str, if_none_match: Option<&str>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = if_none_match {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    fn text<'a>(response: &'a Response, name: &str) -> &'a str {
        response.headers()[name].to_str().unwrap()
    }

    #[tokio::test]
    async fn the_page_comes_with_a_strict_policy() {
        let page = get_with("/", None).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(text(&page, "content-type"), HTML);
        assert_eq!(text(&page, "x-content-type-options"), "nosniff");
        assert_eq!(text(&page, "referrer-policy"), "no-referrer");
        let policy = text(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[tokio::test]
    async fn the_page_says_whether_there_is_a_session_to_ask_about() {
        for (cookie, says, caching) in [
            ("session=x", UNKNOWN_SESSION, "no-cache"),
            ("theme=x; session=x", UNKNOWN_SESSION, "no-cache"),
            ("theme=session", NO_SESSION, "no-store"),
            ("", NO_SESSION, "no-store"),
        ] {
            let request = Request::get("/").header(header::COOKIE, cookie);
            let page = routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(text(&page, "cache-control"), caching, "{cookie}");
            assert!(page.headers().get_all("vary").iter().any(|by| by == "cookie"), "{cookie}");
            let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
            assert!(std::str::from_utf8(&page).unwrap().contains(says), "{cookie}");
        }
    }

    #[tokio::test]
    async fn a_file_that_the_browser_has_is_not_sent_again() {
        for path in ["/", "/assets/main.js", &versioned("main.js")] {
            let tag = text(&get_with(path, None).await, "etag").to_owned();
            for given in [&tag, &format!("\"x\", {tag}"), &tag[2..], "*"] {
                let again = get_with(path, Some(given)).await;
                assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{path} {given}");
                assert_eq!(text(&again, "etag"), tag);
            }
            assert_eq!(get_with(path, Some("W/\"other\"")).await.status(), StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn a_file_is_kept_for_good_only_at_the_address_of_its_content() {
        for (path, caching) in [
            (versioned("main.js"), "public, max-age=31536000, immutable"),
            ("/assets/main.js".into(), "no-cache"),
            ("/assets/0123456789ab/main.js".into(), "no-store"),
        ] {
            let answer = get_with(&path, None).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert_eq!(text(&answer, "cache-control"), caching, "{path}");
        }
    }

    #[tokio::test]
    async fn whoever_takes_brotli_gets_it() {
        for (taken, encoding) in
            [("gzip, deflate, br, zstd", Some("br")), ("gzip", Some("gzip")), ("identity", None)]
        {
            let request = Request::get(versioned("main.js")).header(header::ACCEPT_ENCODING, taken);
            let answer =
                routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let given = answer.headers().get(header::CONTENT_ENCODING);
            assert_eq!(given.map(|value| value.to_str().unwrap()), encoding, "{taken}");
            assert_eq!(text(&answer, "vary"), "accept-encoding");
        }
    }

    #[tokio::test]
    async fn the_page_names_every_module_of_its_first_load() {
        let page = get_with("/", None).await;
        let page = axum::body::to_bytes(page.into_body(), usize::MAX).await.unwrap();
        let page = std::str::from_utf8(&page).unwrap();
        let needed = needed_from("main.js");
        assert!(needed.contains(&"backoff.js"), "connection.js imports it: {needed:?}");
        for name in needed {
            let link = format!("<link rel=\"modulepreload\" href=\"{}\">", versioned(name));
            assert!(page.contains(&link), "{link} is not in {page}");
        }
        let addresses = page.split('"').filter(|part| part.starts_with("/assets/"));
        assert!(addresses.clone().count() > 20, "{page}");
        for address in addresses {
            assert_eq!(get_with(address, None).await.status(), StatusCode::OK, "{address}");
        }
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        assert_eq!(get_with("/assets/nothing.js", None).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get_with("/assets/x/../mod.rs", None).await.status(), StatusCode::NOT_FOUND);
        let post = Request::post("/").body(Body::empty()).unwrap();
        let answer = routes::<()>().oneshot(post).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
