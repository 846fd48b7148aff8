//! Where the descriptions of this service are served: the documents themselves and two pages that
//! show the OpenAPI one, Swagger UI at `/docs` and ReDoc at `/redoc`. Everything a page needs is in
//! the binary, and its policy keeps it from asking anybody else.

use crate::{
    rest::files::{Caching, File},
    state::Api,
};
use axum::{Extension, Router, http::HeaderMap, response::Response, routing::get};
use utoipa_axum::{router::OpenApiRouter, routes};

const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A document is no page.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// Both programs write styles into the page; ReDoc's search runs in a worker that it makes itself.
/// Scripts, and whatever is asked for or sent, are of this origin only.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; worker-src blob:; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// Written by hand and checked by tests: sockets have no handlers that could tell.
const ASYNC_API: &str = include_str!("../../../spec/asyncapi.json");

macro_rules! ui {
    ($name:literal) => {
        include_bytes!(concat!("../../../docs-ui/", $name)).as_slice()
    };
}

/// Path, content type, content. A page is found with and without the slash that people type.
const PAGES: [(&str, &str, &[u8]); 7] = [
    ("/docs", HTML, ui!("docs.html")),
    ("/docs/", HTML, ui!("docs.html")),
    ("/docs/start.js", SCRIPT, ui!("docs-start.js")),
    ("/redoc", HTML, ui!("redoc.html")),
    ("/redoc/", HTML, ui!("redoc.html")),
    ("/redoc/page.css", CSS, ui!("redoc.css")),
    ("/redoc/start.js", SCRIPT, ui!("redoc-start.js")),
];

/// The same of compressed files.
const PACKED: [(&str, &str, &[u8]); 3] = [
    ("/docs/swagger-ui-bundle.js", SCRIPT, ui!("swagger-ui-bundle.js.gz")),
    ("/docs/swagger-ui.css", CSS, ui!("swagger-ui.css.gz")),
    ("/redoc/redoc.standalone.js", SCRIPT, ui!("redoc.standalone.js.gz")),
];

/// The routes, the documents that describe them (and themselves), and the pages.
pub(crate) fn with_documents(routes: OpenApiRouter<Api>) -> Router<Api> {
    let (router, said) = routes.split_for_parts();
    let document = super::complete(said).to_string();
    let document = OpenApiFile(File::new(JSON, DATA_POLICY, document));
    let sockets = AsyncApiFile(File::new(JSON, DATA_POLICY, ASYNC_API));
    router.layer(Extension(document)).layer(Extension(sockets)).merge(pages())
}

/// What describes this service, for [`crate::rest::routes`].
pub(crate) fn documents() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(openapi)).routes(routes!(asyncapi))
}

#[derive(Clone)]
struct OpenApiFile(File);

#[derive(Clone)]
struct AsyncApiFile(File);

/// This document
///
/// Swagger UI shows it at `/docs`, ReDoc at `/redoc`.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "get_openapi",
    tag = "Documents",
    security(()),
    responses((status = 200, description = "The OpenAPI document.", body = Object,
        example = json!({ "openapi": "3.1.0", "info": { "title": "Switchboard" }, "paths": {} })))
)]
async fn openapi(Extension(file): Extension<OpenApiFile>, request: HeaderMap) -> Response {
    file.0.answer(&request, Caching::Ask)
}

/// The WebSocket document
///
/// An AsyncAPI 3 document of every socket and every frame.
#[utoipa::path(
    get,
    path = "/asyncapi.json",
    operation_id = "get_asyncapi",
    tag = "Documents",
    security(()),
    responses((status = 200, description = "The AsyncAPI document.", body = Object,
        example = json!({ "asyncapi": "3.0.0", "info": { "title": "Switchboard" }, "channels": {} })))
)]
async fn asyncapi(Extension(file): Extension<AsyncApiFile>, request: HeaderMap) -> Response {
    file.0.answer(&request, Caching::Ask)
}

fn pages() -> Router<Api> {
    let plain = PAGES.map(|(path, kind, content)| (path, File::new(kind, PAGE_POLICY, content)));
    let packed =
        PACKED.map(|(path, kind, content)| (path, File::packed(kind, PAGE_POLICY, content)));
    plain.into_iter().chain(packed).fold(Router::new(), |router, (path, file)| {
        router.route(path, get(async move |request: HeaderMap| file.answer(&request, Caching::Ask)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::files::unpack;
    use sha2::{Digest as _, Sha256};

    /// As published: see `docs-ui/README.md`.
    const SUMS: [(&str, &str); 3] = [
        (
            "/docs/swagger-ui-bundle.js",
            "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2",
        ),
        (
            "/docs/swagger-ui.css",
            "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d",
        ),
        (
            "/redoc/redoc.standalone.js",
            "dcaf76612bc4a3fbcc923a8966dee2f6146a5f32e5ce1b6f02dd60cbbf89500b",
        ),
    ];

    #[test]
    fn the_vendored_programs_are_the_published_ones() {
        for ((path, _, packed), (name, sum)) in PACKED.iter().zip(SUMS) {
            assert_eq!(*path, name);
            let content = String::from_utf8(unpack(packed).unwrap()).unwrap();
            let published = match path.starts_with("/redoc") {
                true => {
                    content.replace("\"data:,\"", "\"https://cdn.redoc.ly/redoc/logo-mini.svg\"")
                }
                false => content,
            };
            let digest = Sha256::digest(published);
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, sum, "{path}");
        }
    }
}
