//! The caller's e-mail address, and the link that verifies one.

use super::reply::Origin;
use crate::{
    accounts::email::{self, EmailChange, EmailStanding},
    error::Result,
    http::extract::Json,
    rest::caller::Caller,
    state::Api,
};
use axum::{extract::State, http::StatusCode};
use platform::settings::Secret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(own, change)).routes(routes!(verify))
}

/// An account's e-mail address.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailStanding)]
struct EmailView {
    /// Empty if there is none.
    #[schema(examples("ann@example.com"))]
    email: String,
    /// Whether its owner has opened the link that was mailed to it. Only then it gets other mail.
    verified: bool,
}

impl From<EmailStanding> for EmailView {
    fn from(standing: EmailStanding) -> Self {
        let EmailStanding { email, verified } = standing;
        Self { email, verified }
    }
}

#[derive(Deserialize, ToSchema)]
struct EmailBody {
    /// Empty to have none.
    #[schema(max_length = 254, examples("ann@example.com"))]
    email: String,
    /// The account's password.
    #[schema(format = Password, examples("password123"))]
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct VerifyBody {
    /// The part of the link behind the last slash.
    #[schema(examples("bm90IGEgcmVhbCB0b2tlbiwgb25seSBhbiBleGFtcGxl"))]
    token: String,
}

/// Get the caller's email address
#[utoipa::path(
    get,
    path = "/me/email",
    operation_id = "get_email",
    tag = "Me",
    responses(
        (status = 200, description = "The address.", body = EmailView),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn own(State(api): State<Api>, caller: Caller) -> Result<Json<EmailView>> {
    Ok(Json(email::standing(&api, caller.user_id).await?.into()))
}

/// Change the caller's email address
///
/// Mails a link to the new address, good for a day, in the language of `Accept-Language`. The address becomes the account's when the link is
/// opened. An empty address removes the present one at once.
#[utoipa::path(
    put,
    path = "/me/email",
    operation_id = "change_email",
    tag = "Me",
    request_body = EmailBody,
    responses(
        (status = 202, description = "A link is on its way to the address."),
        (status = 204, description = "The account has no address any more."),
        (status = 400, description = "`wrong_password` The present password is wrong. \
            `email_taken` Email already registered"),
        (status = 404, description = "`mail_off` This server sends no e-mail. An administrator can give you a link."),
        (status = 503, description = "`busy` The service cannot answer right now. Try again in a moment."),
    )
)]
async fn change(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Json(body): Json<EmailBody>,
) -> Result<StatusCode> {
    let EmailBody { email, password } = body;
    let language = origin.language();
    let (user, from, password) = (caller.user_id, origin.address, Secret::new(password));
    if email.is_empty() {
        email::remove(&api, user, from, password).await?;
        return Ok(StatusCode::NO_CONTENT);
    }
    email::ask(&api, EmailChange { user, from, password, email, language }).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Verify an email address by a link
///
/// Makes the address that the link was mailed to the account's own. Needs no sign-in.
#[utoipa::path(
    post,
    path = "/email/verify",
    operation_id = "verify_email",
    tag = "Accounts",
    security(()),
    request_body = VerifyBody,
    responses(
        (status = 204, description = "The address is verified."),
        (status = 400, description = "`invalid_link` This link was used already or is too old. Ask for a new one. \
            `email_taken` Email already registered"),
    )
)]
async fn verify(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<VerifyBody>,
) -> Result<StatusCode> {
    let language = origin.language();
    email::verify(&api, Secret::new(body.token), origin.address, language).await?;
    Ok(StatusCode::NO_CONTENT)
}
