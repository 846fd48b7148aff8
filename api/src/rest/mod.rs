//! The public routes, a file a subject. Each is thin: it reads the request, calls one service and
//! shapes the answer.

mod accounts;
mod admin;
mod chats;
mod me;
mod members;
mod messages;
mod page;
mod reply;
mod users;

use crate::Api;
use axum::Router;

/// The public keys that check access tokens, on whichever listener.
pub(crate) fn keys() -> Router<Api> {
    accounts::keys()
}

/// All public routes, bare: what surrounds every request is in [`crate::http`].
pub fn routes() -> Router<Api> {
    Router::new()
        .merge(accounts::routes())
        .merge(accounts::keys())
        .merge(me::routes())
        .merge(users::routes())
        .merge(admin::routes())
        .merge(chats::routes())
        .merge(members::routes())
        .merge(messages::routes())
}
