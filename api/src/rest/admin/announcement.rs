//! What administrators tell everybody who is connected.

use crate::{
    announcement::{self, MAX_CHARS, MAX_HOURS, NewAnnouncement},
    error::Result,
    http::extract::Json,
    rest::caller::Admin,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use protocol::orders::Announcement;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

const _: () = assert!(MAX_CHARS == 300 && MAX_HOURS == 744, "as the schemas say");

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(current, make, withdraw))
}

#[derive(Serialize, ToSchema)]
struct CurrentAnnouncement {
    /// `null` if nothing is announced.
    announcement: Option<Announcement>,
}

/// Get the announcement
#[utoipa::path(
    get,
    path = "/admin/announcement",
    operation_id = "get_announcement",
    tag = "Administration",
    responses(
        (status = 200, description = "What is announced now.", body = CurrentAnnouncement),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn current(State(api): State<Api>, _: Admin) -> Result<Json<CurrentAnnouncement>> {
    let mut conn = api.db.home().read().await?;
    let announcement = announcement::current(&mut conn.link()).await?.announcement;
    Ok(Json(CurrentAnnouncement { announcement }))
}

#[derive(Deserialize, ToSchema)]
struct AnnounceBody {
    /// One paragraph of plain text.
    #[schema(
        min_length = 1,
        max_length = 300,
        examples("Maintenance tonight at ten, for five minutes.")
    )]
    text: String,
    /// For how many hours; without it, until it is withdrawn.
    #[schema(minimum = 1, maximum = 744, examples(4))]
    hours: Option<u32>,
}

/// Announce something to everybody
///
/// Replaces the announcement before. Clients of the native protocol that are connected hear of it within a second, and
/// those who connect later in `ready`. The older families have no words for it.
#[utoipa::path(
    put,
    path = "/admin/announcement",
    operation_id = "announce",
    tag = "Administration",
    request_body = AnnounceBody,
    responses(
        (status = 200, description = "The announcement.", body = Announcement),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn make(
    State(api): State<Api>,
    admin: Admin,
    Json(body): Json<AnnounceBody>,
) -> Result<Json<Announcement>> {
    let new = NewAnnouncement { text: &body.text, hours: body.hours };
    Ok(Json(announcement::make(&api, admin.0.user_id, new).await?))
}

/// Withdraw the announcement
#[utoipa::path(
    delete,
    path = "/admin/announcement",
    operation_id = "withdraw_announcement",
    tag = "Administration",
    responses(
        (status = 204, description = "Nothing is announced."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn withdraw(State(api): State<Api>, admin: Admin) -> Result<StatusCode> {
    announcement::withdraw(&api, admin.0.user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
