//! Deleting one's own account.

use super::reply::{Origin, SessionCookie};
use crate::{
    chats::farewell::{self, Farewell},
    error::Result,
    http::extract::Json,
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, response::IntoResponse as _, response::Response};
use platform::settings::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(delete_account))
}

#[derive(Deserialize, ToSchema)]
struct DeleteAccountBody {
    /// The account's password.
    #[schema(format = Password, examples("password123"))]
    password: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Farewell)]
struct FarewellView {
    /// False if there are more chats to leave: send the request again.
    deleted: bool,
}

/// Delete the caller's account
///
/// Leaves all groups and rooms, 200 with each request; each passes to its oldest member if the caller
/// owns it. Then the account is deleted and all its sessions end. The caller's messages stay under the
/// username, which nobody else can register. Send the request again while `deleted` is false.
#[utoipa::path(
    post,
    path = "/me/delete",
    operation_id = "delete_account",
    tag = "Me",
    request_body = DeleteAccountBody,
    responses(
        (status = 200, description = "Whether the account is deleted.", body = FarewellView,
            headers(("Set-Cookie" = Option<String>, description = "Removes the session cookie."))),
        (status = 400, description = "`wrong_password` The present password is wrong."),
        (status = 409, description = "`last_admin` This is the last administrator: make another one first."),
    )
)]
async fn delete_account(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Json(body): Json<DeleteAccountBody>,
) -> Result<Response> {
    let (actor, password) = ((&caller).into(), Secret::new(body.password));
    let deleted = match farewell::delete_account(&api, actor, origin.address, password).await? {
        Farewell::More => return Ok(Json(FarewellView { deleted: false }).into_response()),
        Farewell::Gone => Json(FarewellView { deleted: true }),
    };
    Ok(SessionCookie::clear(&origin)?.with(deleted))
}
