//! The public routes, a file a subject. Each is thin: it reads the request, calls one service and
//! shapes the answer.

mod accounts;
mod admin;
mod me;
mod reply;
mod users;

use crate::Api;
use axum::Router;

/// All public routes, bare: what surrounds every request is in [`crate::http`].
pub fn routes() -> Router<Api> {
    Router::new()
        .merge(accounts::routes())
        .merge(me::routes())
        .merge(users::routes())
        .merge(admin::routes())
}
