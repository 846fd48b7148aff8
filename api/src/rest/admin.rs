//! The administrators' calls: blocking users, listing connected users, reading another user's chats, and the
//! audit log of all these. Blocking is a POST; clients of the `names` dialect send a GET, which works with a
//! Bearer token only.

mod announcement;
mod chats;
mod nodes;
mod people;
mod settings;

use super::{
    names_dialect::{self, ByName},
    page::{Items, limit_within},
    views::{AuditEntryView, LineView, UserView},
};
use crate::{
    accounts::{
        active::{self, ActivePage},
        block, user,
    },
    audit::{AuditFilter, AuditPage, MAX_ENTRIES, servers},
    chats::conversations::{self, MAX_PER_CHAT},
    error::Result,
    http::extract::{Json, Query},
    rest::caller::{Admin, NoCookie},
    state::Api,
};
use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use protocol::{code::Code, id::UserId, time::Timestamp};
use serde::Deserialize;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(block_user, block_user_by_get))
        .routes(routes!(unblock_user, unblock_user_by_get))
        .routes(routes!(active_users))
        .routes(routes!(chats_of_user))
        .routes(routes!(audit_log))
        .merge(people::routes())
        .merge(chats::routes())
        .merge(nodes::routes())
        .merge(announcement::routes())
        .merge(settings::routes())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Named {
    /// The username, in any case; `@name` for the guest with that name.
    #[param(example = "bob")]
    username: String,
    /// The reason, for the audit log.
    #[serde(default)]
    #[param(max_length = 200, example = "spam")]
    reason: String,
}

/// Block a user
///
/// The user's tokens are refused and open sockets close on every gateway within a second.
#[utoipa::path(
    post,
    path = "/blockuser",
    operation_id = "block_user",
    tag = "Administration",
    params(Named),
    responses(
        (status = 200, description = "The user, who is now blocked.", body = UserView),
        (status = 400, description = "`cannot_block_yourself` You cannot block yourself."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn block_user(
    State(api): State<Api>,
    admin: Admin,
    Query(named): Query<Named>,
) -> Result<Json<UserView>> {
    let user = block::block(&api, admin.0.user_id, &named.username, &named.reason).await?;
    Ok(Json(user.into()))
}

/// Block a user with GET
///
/// Same as the POST, for clients that send a GET. Accepts a Bearer token only.
#[utoipa::path(
    get,
    path = "/blockuser",
    operation_id = "block_user_by_get",
    tag = "Administration",
    security(("bearer" = []), ("oauth2" = [])),
    params(Named),
    responses(
        (status = 200, description = "The user, who is now blocked.", body = UserView),
        (status = 400, description = "`cannot_block_yourself` You cannot block yourself."),
        (status = 401, description = "`bearer_only` As a GET this takes no session cookie: send a \
            Bearer token, or POST."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn block_user_by_get(
    _: NoCookie,
    api: State<Api>,
    admin: Admin,
    named: Query<Named>,
) -> Result<Json<UserView>> {
    block_user(api, admin, named).await
}

/// Unblock a user
#[utoipa::path(
    post,
    path = "/unblockuser",
    operation_id = "unblock_user",
    tag = "Administration",
    params(Named),
    responses(
        (status = 200, description = "The user, who may sign in again.", body = UserView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn unblock_user(
    State(api): State<Api>,
    admin: Admin,
    Query(named): Query<Named>,
) -> Result<Json<UserView>> {
    let user = block::unblock(&api, admin.0.user_id, &named.username, &named.reason).await?;
    Ok(Json(user.into()))
}

/// Unblock a user with GET
///
/// Same as the POST, for clients that send a GET. Accepts a Bearer token only.
#[utoipa::path(
    get,
    path = "/unblockuser",
    operation_id = "unblock_user_by_get",
    tag = "Administration",
    security(("bearer" = []), ("oauth2" = [])),
    params(Named),
    responses(
        (status = 200, description = "The user, who may sign in again.", body = UserView),
        (status = 401, description = "`bearer_only` As a GET this takes no session cookie: send a \
            Bearer token, or POST."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn unblock_user_by_get(
    _: NoCookie,
    api: State<Api>,
    admin: Admin,
    named: Query<Named>,
) -> Result<Json<UserView>> {
    unblock_user(api, admin, named).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ActiveQuery {
    /// The last user id of the previous page, as given in its `Link` header.
    #[serde(default)]
    after: UserId,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<i64>,
}

/// List connected users
///
/// The usernames of all users who have an open socket on any gateway, ordered by user id. Guests
/// are not included.
#[utoipa::path(
    get,
    path = "/getallactiveusers",
    operation_id = "list_active_users",
    tag = "Administration",
    params(ActiveQuery),
    responses(
        (status = 200, description = "A page of usernames.", body = [String],
            headers(("Link" = Option<String>,
                description = "The next page as `rel=next`, if there may be one.")),
            example = json!(["ann", "bob"])),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn active_users(
    State(api): State<Api>,
    _: Admin,
    Query(query): Query<ActiveQuery>,
) -> Result<Response> {
    let limit = limit_within(query.limit, active::MAX_PAGE, active::MAX_PAGE)?;
    let ActivePage { usernames, next } = active::list(&api, query.after, limit).await?;
    let link = next.map(|after| {
        let link = format!("</getallactiveusers?after={after}&limit={limit}>; rel=\"next\"");
        [(header::LINK, link)]
    });
    Ok((link, Json(usernames)).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ChatsQuery {
    /// The username, in any case.
    #[param(example = "bob")]
    username: String,
    /// The reason, for the audit log.
    #[serde(default)]
    #[param(max_length = 200, example = "a complaint")]
    reason: String,
    /// The maximum number of messages per chat.
    #[param(minimum = 1, maximum = 1000, default = 1000)]
    limit: Option<i64>,
}

/// Read a user's chats
///
/// Returns the chats as the user sees them in `/getallchats`. The reading is recorded in the audit
/// log before the response is sent.
#[utoipa::path(
    get,
    path = "/readuserchats",
    operation_id = "read_user_chats",
    tag = "Administration",
    params(ChatsQuery),
    responses(
        (status = 200, description = "Every chat, including those without messages.",
            body = BTreeMap<String, Vec<LineView>>, example = json!(names_dialect::example())),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn chats_of_user(
    State(api): State<Api>,
    admin: Admin,
    Query(query): Query<ChatsQuery>,
) -> Result<Json<ByName>> {
    let ChatsQuery { username, reason, limit } = query;
    let limit = limit_within(limit, MAX_PER_CHAT, MAX_PER_CHAT)?;
    let chats = conversations::of_other(&api, admin.0.user_id, &username, &reason, limit).await?;
    Ok(Json(names_dialect::by_name(chats)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only acts of this administrator, by username.
    actor: Option<String>,
    /// Only acts on this user, by username; `@name` for the guest with that name.
    user: Option<String>,
    /// Only acts of this kind.
    action: Option<String>,
    /// Only acts at this time or later.
    from: Option<Timestamp>,
    /// Only acts before this time.
    until: Option<Timestamp>,
    /// The `next` value of the previous page.
    before: Option<i64>,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// Read the audit log
///
/// Actions that administrators took by right of their role, newest first. Nobody can change or
/// remove an entry. A page may have fewer entries than `limit`, or none, although `next` leads on: one request looks
/// through 10,000 entries at most.
#[utoipa::path(
    get,
    path = "/admin/audit",
    operation_id = "read_audit_log",
    tag = "Administration",
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of entries.", body = Items<AuditEntryView, i64>),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn audit_log(
    State(api): State<Api>,
    _: Admin,
    Query(query): Query<AuditQuery>,
) -> Result<Json<Items<AuditEntryView, i64>>> {
    let limit = limit_within(query.limit, 50, MAX_ENTRIES)?;
    let filter = AuditFilter {
        actor: named(&api, query.actor.as_deref()).await?,
        user: named(&api, query.user.as_deref()).await?,
        action: query.action.as_deref(),
        from: query.from,
        until: query.until,
    };
    let AuditPage { entries, next } =
        servers::list_all(&api.db, filter, query.before, limit).await?;
    let items = entries.into_iter().map(Into::into).collect();
    Ok(Json(Items { items, next }))
}

/// The user that a filter names, removed ones too.
async fn named(api: &Api, username: Option<&str>) -> Result<Option<UserId>> {
    let Some(username) = username else { return Ok(None) };
    let mut conn = api.db.home().read().await?;
    let user = user::by_username(conn.link(), username).await?.ok_or(Code::UserNotFound)?;
    Ok(Some(user.id))
}
