//! The web client: the files of `web/`, embedded in the binary, at `/` and under `/assets/`. They are served
//! unchanged and need no build step. This file knows no users and no chats.

use super::File;
use axum::{Router, http::HeaderMap, routing::get};

/// One file: where it is served, what it is, what is in it.
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! assets {
    ($($content_type:ident: $($name:literal)*;)*) => {
        &[$($(Asset {
            path: concat!("/assets/", $name),
            content_type: $content_type,
            content: include_str!(concat!("../../../web/", $name)),
        }),*),*]
    };
}

const INDEX: Asset =
    Asset { path: "/", content_type: HTML, content: include_str!("../../../web/index.html") };

const ASSETS: &[Asset] = assets! {
    CSS: "base.css" "layout.css" "messages.css";
    SVG: "icon.svg";
    SCRIPT: "actions.js" "api.js" "backoff.js" "chat.js" "connection.js" "dom.js" "main.js"
        "message-row.js" "outbox.js" "people-search.js" "store.js" "strings.js" "text.js"
        "timeline.js" "view-banner.js" "view-chat.js" "view-composer.js" "view-confirm.js" "view-invitation.js"
        "view-details.js" "view-list.js" "view-messages.js" "view-new.js" "view-sign-in.js";
};

/// Nothing but the page's own files and its own server, the WebSocket included; no inline script
/// or style, no frames, no other place for a form to go.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
    frame-ancestors 'none'";

/// The page and its files. Public: whoever is not signed in gets the form for it.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().chain([&INDEX]).fold(Router::new(), |router, asset| {
        let file = File::new(asset.content_type, POLICY, asset.content);
        router.route(asset.path, get(async move |request: HeaderMap| file.answer(&request)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{Request, StatusCode, header},
        response::Response,
    };
    use std::{fs, path::Path};
    use tower::ServiceExt;

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
        assert_eq!(text(&page, "cache-control"), "no-cache");
        assert_eq!(text(&page, "x-content-type-options"), "nosniff");
        assert_eq!(text(&page, "referrer-policy"), "no-referrer");
        let policy = text(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[tokio::test]
    async fn a_file_that_the_browser_has_is_not_sent_again() {
        for path in ["/", "/assets/main.js"] {
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
    async fn other_paths_and_methods_are_refused() {
        assert_eq!(get_with("/assets/nothing.js", None).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(get_with("/assets/../mod.rs", None).await.status(), StatusCode::NOT_FOUND);
        let post = Request::post("/").body(Body::empty()).unwrap();
        let answer = routes::<()>().oneshot(post).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn every_file_of_the_page_is_embedded() {
        let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        for entry in fs::read_dir(web).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if ["index.html", "package.json", "tests"].contains(&name.as_str()) {
                continue;
            }
            let path = format!("/assets/{name}");
            assert!(ASSETS.iter().any(|asset| asset.path == path), "{path} is not embedded");
        }
    }

    #[test]
    fn everything_that_is_asked_for_is_served() {
        let served = |path: &str| ASSETS.iter().any(|asset| asset.path == path);
        for part in INDEX.content.split('"').filter(|part| part.starts_with("/assets/")) {
            assert!(served(part), "{part}");
        }
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            for import in asset.content.lines().filter_map(|line| line.split("from './").nth(1)) {
                let path = format!("/assets/{}", import.trim_end_matches("';"));
                assert!(served(&path), "{} imports {path}", asset.path);
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_no_data_becomes_markup() {
        for forbidden in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!INDEX.content.contains(forbidden), "{forbidden}");
        }
        for asset in ASSETS.iter().filter(|asset| asset.content_type == SCRIPT) {
            for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "Storage"] {
                assert!(!asset.content.contains(forbidden), "{forbidden} in {}", asset.path);
            }
        }
    }
}
