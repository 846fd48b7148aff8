//! Other users: looking one up by id, and searching by a part of the name.

use super::views::{UserPageView, UserView};
use crate::{
    accounts::{
        profile,
        search::{self, DEFAULT_PAGE, MAX_PAGE},
    },
    error::{Error, Result},
    http::extract::{Json, Path, Query},
    rest::caller::Caller,
    state::Api,
};
use axum::extract::State;
use protocol::id::UserId;
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(find)).routes(routes!(one))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SearchQuery {
    /// A part of the username or the display name, in any case; empty for all users.
    #[serde(default)]
    query: String,
    /// The `next` value of the previous page.
    after: Option<String>,
    /// The maximum number of users.
    #[param(minimum = 1, maximum = 100, default = 20)]
    limit: Option<i64>,
}

/// Search users
///
/// Finds users whose username begins with the text, in alphabetical order, and after them those who have it
/// anywhere in their username or display name. A page may have fewer users than asked for although `next` is
/// not null: each looks through a bounded number of accounts.
#[utoipa::path(
    get,
    path = "/users",
    operation_id = "search_users",
    tag = "Users",
    params(SearchQuery),
    responses((status = 200, description = "A page of users.", body = UserPageView))
)]
async fn find(
    State(api): State<Api>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<UserPageView>> {
    let limit = query.limit.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::field("limit", "must be from 1 to 100"));
    }
    let after = query.after.as_deref();
    let page = search::search(&api, (&caller).into(), &query.query, after, limit).await?;
    Ok(Json(page.into()))
}

/// Get a user
///
/// `email` is visible only to the user and to administrators.
#[utoipa::path(
    get,
    path = "/users/{user_id}",
    operation_id = "get_user",
    tag = "Users",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 200, description = "The user.", body = UserView),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn one(
    State(api): State<Api>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Json<UserView>> {
    Ok(Json(profile::view(&api, (&caller).into(), user).await?.into()))
}
