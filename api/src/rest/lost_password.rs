//! A password that was lost: asking for a link by e-mail, using one, and the link that an administrator hands out.

use super::reply::Origin;
use crate::{
    accounts::lost_password::{self, PasswordLink},
    error::Result,
    http::extract::{Json, Path},
    rest::caller::Admin,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use platform::settings::Secret;
use protocol::{id::UserId, time::Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(forgot)).routes(routes!(reset)).routes(routes!(hand_out))
}

#[derive(Deserialize, ToSchema)]
struct ForgotBody {
    /// The account's verified e-mail address, in any case.
    #[schema(max_length = 254, examples("ann@example.com"))]
    email: String,
}

#[derive(Deserialize, ToSchema)]
struct ResetBody {
    /// The part of the link behind the last slash.
    #[schema(examples("bm90IGEgcmVhbCB0b2tlbiwgb25seSBhbiBleGFtcGxl"))]
    token: String,
    #[schema(format = Password, min_length = 8, max_length = 128, examples("a better password"))]
    new_password: String,
}

/// A link with which one may choose a new password.
#[derive(Serialize, ToSchema)]
#[schema(as = PasswordLink)]
struct PasswordLinkView {
    /// The address to open: whole if the server knows its own (`PUBLIC_URL`), otherwise from the root of the page's
    /// origin on. It works once.
    #[schema(examples("https://chat.example.com/#/new-password/bm90IGEgcmVhbCB0b2tlbg"))]
    link: String,
    expires_at: Timestamp,
}

impl From<PasswordLink> for PasswordLinkView {
    fn from(link: PasswordLink) -> Self {
        let PasswordLink { address, expires_at } = link;
        Self { link: address.reveal().to_owned(), expires_at }
    }
}

/// Ask for a link to a new password
///
/// If an account has verified this e-mail address, a link is mailed to it, good once and for an hour, in
/// the language of `Accept-Language`.
/// The answer is the same if there is no such account.
#[utoipa::path(
    post,
    path = "/password/forgot",
    operation_id = "forgot_password",
    tag = "Accounts",
    security(()),
    request_body = ForgotBody,
    responses(
        (status = 202, description = "If an account has this address, a link is on its way."),
        (status = 404, description = "`mail_off` This server sends no e-mail. An administrator can give you a link."),
        (status = 503, description = "`busy` The service cannot answer right now. Try again in a moment."),
    )
)]
async fn forgot(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<ForgotBody>,
) -> Result<StatusCode> {
    lost_password::forgot(&api, &body.email, origin.address, origin.language()).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Choose a new password by a link
///
/// Ends all of the account's sessions. The link stops working.
#[utoipa::path(
    post,
    path = "/password/reset",
    operation_id = "reset_password",
    tag = "Accounts",
    security(()),
    request_body = ResetBody,
    responses(
        (status = 204, description = "The password is set. Sign in with it."),
        (status = 400, description = "`invalid_link` This link was used already or is too old. Ask for a new one."),
    )
)]
async fn reset(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<ResetBody>,
) -> Result<StatusCode> {
    let ResetBody { token, new_password } = body;
    let (token, new) = (Secret::new(token), Secret::new(new_password));
    lost_password::reset(&api, token, new, origin.address).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Make a link to a new password for a user
///
/// For an account whose password is lost. Give the link to the account's owner and to nobody else:
/// whoever opens it first chooses the password. It works once, within a day. The audit log records that you made it.
#[utoipa::path(
    post,
    path = "/admin/users/{user_id}/password-link",
    operation_id = "make_password_link",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 201, description = "The link. It is not shown again.", body = PasswordLinkView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn hand_out(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
) -> Result<(StatusCode, Json<PasswordLinkView>)> {
    let link = lost_password::hand_out(&api, admin.0.user_id, user).await?;
    Ok((StatusCode::CREATED, Json(link.into())))
}
