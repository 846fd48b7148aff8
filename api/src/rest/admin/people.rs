//! Everybody there is, for administrators: finding people, one person's card, devices and role.

use crate::{
    accounts::{
        admin, avatar, devices,
        people::{self, MAX_PEOPLE, PeopleQuery, Show},
        whom::Whom,
    },
    error::Result,
    http::extract::{Json, Path, Query},
    rest::{
        caller::Admin,
        page::limit_within,
        views::{CardView, PeoplePageView, SessionInfoView},
    },
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(card))
        .routes(routes!(set_role))
        .routes(routes!(sessions, end_sessions))
        .routes(routes!(end_session))
        .routes(routes!(remove_avatar))
}

/// Which people.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum PeopleKind {
    #[default]
    Accounts,
    Admins,
    Blocked,
    Guests,
}

impl From<PeopleKind> for Show {
    fn from(kind: PeopleKind) -> Self {
        match kind {
            PeopleKind::Accounts => Self::Accounts,
            PeopleKind::Admins => Self::Admins,
            PeopleKind::Blocked => Self::Blocked,
            PeopleKind::Guests => Self::Guests,
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct PeopleParams {
    /// Any part of a username or display name, in any case; empty for everybody.
    #[serde(default)]
    query: String,
    /// Which people: `accounts`, `admins`, `blocked` (accounts and guests) or `guests`.
    #[serde(default)]
    #[param(inline)]
    show: PeopleKind,
    /// The `next` value of the previous page.
    before: Option<UserId>,
    /// The maximum number of people.
    #[param(minimum = 1, maximum = 100, default = 50)]
    limit: Option<i64>,
}

/// List people
///
/// The newest first. A page may have fewer people than `limit`, or none, although `next` leads on: one request
/// looks through 10,000 people at most. Email addresses are not in the list.
#[utoipa::path(
    get,
    path = "/admin/users",
    operation_id = "list_people",
    tag = "Administration",
    params(PeopleParams),
    responses(
        (status = 200, description = "A page of people.", body = PeoplePageView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn list(
    State(api): State<Api>,
    _: Admin,
    Query(query): Query<PeopleParams>,
) -> Result<Json<PeoplePageView>> {
    let PeopleParams { query: text, show, before, limit } = query;
    let show = show.into();
    let limit = limit_within(limit, 50, MAX_PEOPLE)?;
    let page =
        people::list(api.db.home(), PeopleQuery { text: &text, show, before, limit }).await?;
    let ids: Vec<UserId> = page.people.iter().map(|person| person.id).collect();
    let online = api.presence.online(&ids).await.unwrap_or_default();
    Ok(Json(PeoplePageView::new(page, &online)))
}

/// Get a person's card
///
/// What administrators need before they do something; works for guests, too. Neither the email address nor
/// devices nor chats are in it: reading those is recorded.
#[utoipa::path(
    get,
    path = "/admin/users/{user_id}",
    operation_id = "get_person",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 200, description = "The person.", body = CardView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn card(
    State(api): State<Api>,
    _: Admin,
    Path(user): Path<UserId>,
) -> Result<Json<CardView>> {
    let card = people::card(&api, user).await?;
    let online = api.presence.online(&[user]).await.unwrap_or_default();
    Ok(Json(CardView::new(card, &online)))
}

#[derive(Deserialize, ToSchema)]
struct RoleBody {
    role: Role,
    /// The reason, for the audit log.
    #[serde(default)]
    #[schema(max_length = 200, examples("helps us on weekends"))]
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct RoleAnswer {
    /// False if the account had this role before.
    changed: bool,
}

/// Give or take the role of administrator
///
/// Whoever becomes an administrator is one from the next sign-in or renewal of the session on; whoever is one no
/// longer, at once. The last administrator stays one.
#[utoipa::path(
    put,
    path = "/admin/users/{user_id}/role",
    operation_id = "set_role",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    request_body = RoleBody,
    responses(
        (status = 200, description = "The account has this role.", body = RoleAnswer),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
        (status = 409, description = "`last_admin` This is the last administrator: make another one first."),
    )
)]
async fn set_role(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
    Json(body): Json<RoleBody>,
) -> Result<Json<RoleAnswer>> {
    let RoleBody { role, reason } = body;
    let by = Some(admin.0.user_id);
    let changed = admin::set_role(api.db.home(), by, Whom::Id(user), role, &reason).await?;
    Ok(Json(RoleAnswer { changed }))
}

/// List a person's devices
///
/// The live sessions of an account, at most 100. Recorded in the audit log before the response is sent.
#[utoipa::path(
    get,
    path = "/admin/users/{user_id}/sessions",
    operation_id = "list_sessions_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 200, description = "The sessions.", body = [SessionInfoView]),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn sessions(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
) -> Result<Json<Vec<SessionInfoView>>> {
    let Admin(caller) = admin;
    let sessions = devices::list(&api, caller.user_id, caller.session_id, user).await?;
    Ok(Json(sessions.into_iter().map(Into::into).collect()))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ReasonQuery {
    /// The reason, for the audit log.
    #[serde(default)]
    #[param(max_length = 200, example = "a lost phone")]
    reason: String,
}

#[derive(Serialize, ToSchema)]
struct EndedSessionsAnswer {
    /// How many sessions ended.
    #[schema(examples(2))]
    ended: usize,
}

/// Sign a person out everywhere
///
/// Open sockets close and tokens are refused within a second. The person may sign in again; to prevent that, block
/// the account.
#[utoipa::path(
    delete,
    path = "/admin/users/{user_id}/sessions",
    operation_id = "end_sessions_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path), ReasonQuery),
    responses(
        (status = 200, description = "The sessions have ended.", body = EndedSessionsAnswer),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn end_sessions(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
    Query(query): Query<ReasonQuery>,
) -> Result<Json<EndedSessionsAnswer>> {
    let ended = devices::end_all(&api, admin.0.user_id, user, &query.reason).await?;
    Ok(Json(EndedSessionsAnswer { ended }))
}

/// Sign a person out on one device
#[utoipa::path(
    delete,
    path = "/admin/users/{user_id}/sessions/{session_id}",
    operation_id = "end_session_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path), ("session_id" = SessionId, Path), ReasonQuery),
    responses(
        (status = 204, description = "The session has ended."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found \
            `session_not_found` You have no such session."),
    )
)]
async fn end_session(
    State(api): State<Api>,
    admin: Admin,
    Path((user, session)): Path<(UserId, SessionId)>,
    Query(query): Query<ReasonQuery>,
) -> Result<StatusCode> {
    devices::end_one(&api, admin.0.user_id, user, session, &query.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a person's picture
///
/// Its path leads nowhere from then on. The person may upload another one; to prevent that, block the account.
#[utoipa::path(
    delete,
    path = "/admin/users/{user_id}/avatar",
    operation_id = "remove_avatar_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path), ReasonQuery),
    responses(
        (status = 204, description = "The person has no picture."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn remove_avatar(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
    Query(query): Query<ReasonQuery>,
) -> Result<StatusCode> {
    avatar::take_away(&api, admin.0.user_id, user, &query.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
