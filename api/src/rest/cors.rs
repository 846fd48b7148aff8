//! Pages of other origins: which of them may read answers and send the cookie. [`super::caller`] checks
//! whether a request with the cookie may change something.

use super::limit::{LEFT, POLICY};
use crate::config::Config;
use axum::{
    Router,
    http::{HeaderValue, Method, header},
};
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// What routes take, for pages of other origins.
const METHODS: [Method; 5] =
    [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE];

/// Lets pages of the allowed origins read answers and send the cookie; nobody else's. Without
/// allowed origins there is nothing to add.
pub(crate) fn allow<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    config: &Config,
) -> Router<S> {
    let origins: Vec<HeaderValue> =
        config.allowed_origins.iter().filter_map(|origin| origin.as_str().parse().ok()).collect();
    if origins.is_empty() {
        return router;
    }
    let cors = CorsLayer::new()
        .allow_origin(origins)
        .allow_credentials(true)
        .allow_methods(METHODS)
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([header::RETRY_AFTER, header::LINK, POLICY, LEFT])
        // Long enough that a page asks once a visit, short enough that a change is felt.
        .max_age(Duration::from_secs(600));
    router.layer(cors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_another_origin_may_use_every_route() {
        let document = crate::rest::document();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                let known = METHODS.iter().any(|known| known.as_str().eq_ignore_ascii_case(method));
                assert!(known, "{method} {path}");
            }
        }
    }
}
