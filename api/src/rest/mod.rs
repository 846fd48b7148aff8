//! The public routes, one file for each subject. A handler reads the request, calls one service and shapes
//! the answer; it holds no rules of its own.

mod accounts;
mod admin;
mod avatars;
mod bans;
mod blocklist;
mod bulk;
pub(crate) mod caller;
mod chats;
pub(crate) mod cors;
pub(crate) mod costs;
mod direct;
mod email;
mod farewell;
pub(crate) mod files;
mod health;
mod limit;
mod lobby;
mod lost_password;
mod me;
mod members;
mod messages;
mod names_dialect;
pub(crate) mod openapi;
mod page;
mod posting;
mod reply;
mod second_factor;
pub(crate) mod status;
mod users;
mod views;

use crate::{http::repeat, state::Api};
use axum::{
    Router,
    middleware::{from_fn, from_fn_with_state},
};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

/// The public keys that check access tokens, on whichever listener.
pub(crate) fn keys() -> Router<Api> {
    accounts::keys().into()
}

/// All public routes, bare: what surrounds every request is in `http`. Each describes itself;
/// the document made of that is `openapi`'s.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(openapi::base())
        .merge(accounts::routes())
        .merge(accounts::keys())
        .merge(lost_password::routes())
        .merge(email::routes())
        .merge(second_factor::routes())
        .merge(farewell::routes())
        .merge(me::routes())
        .merge(avatars::routes())
        .merge(blocklist::routes())
        .merge(users::routes())
        .merge(admin::routes())
        .merge(bulk::routes())
        .merge(chats::routes())
        .merge(members::routes())
        .merge(bans::routes())
        .merge(messages::routes())
        .merge(posting::routes())
        .merge(direct::routes())
        .merge(names_dialect::routes())
        .merge(lobby::routes())
        .merge(health::routes())
        .merge(openapi::documents())
}

/// The complete OpenAPI document. Costs a few milliseconds; the server makes it once.
pub fn document() -> Value {
    openapi::complete(routes().into_openapi())
}

/// All public routes, each of which takes what it costs from its caller's share.
pub fn limited(api: &Api) -> OpenApiRouter<Api> {
    // The last layer is the outermost: what is tried again is paid for once.
    routes().route_layer(from_fn(repeat)).route_layer(from_fn_with_state(api.clone(), limit::limit))
}
