//! Two-step sign-in: turning it on and off, and the second step itself.

use super::{
    accounts::with_cookie,
    reply::{Origin, SignedInReply},
};
use crate::{
    accounts::{
        limits::{AccountAttempt, admit},
        second_factor::{self, Enrollment, FactorStanding, SecondStep},
    },
    error::Result,
    http::extract::{Json, Path},
    rest::caller::{Admin, Caller},
    state::Api,
};
use axum::{extract::State, http::StatusCode, response::Response};
use platform::settings::Secret;
use protocol::{chat::PresenceStatus, id::UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(standing, begin))
        .routes(routes!(confirm))
        .routes(routes!(remove))
        .routes(routes!(remove_for))
        .routes(routes!(second_step))
}

/// Whether signing in has a second step.
#[derive(Serialize, ToSchema)]
#[schema(as = SecondFactor)]
struct FactorView {
    on: bool,
    /// Recovery codes that were not used.
    #[schema(examples(10))]
    recovery_codes: i64,
}

impl From<FactorStanding> for FactorView {
    fn from(standing: FactorStanding) -> Self {
        let FactorStanding { on, recovery_codes } = standing;
        Self { on, recovery_codes }
    }
}

/// What an app needs to make codes. Not shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = Enrollment)]
struct EnrollmentView {
    /// In base 32, to be typed.
    #[schema(examples("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"))]
    secret: String,
    /// The same as an address that apps open.
    #[schema(examples(
        "otpauth://totp/Switchboard:ann?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Switchboard"
    ))]
    address: String,
    /// The address as a QR code: the number of modules on each side.
    #[schema(examples(41))]
    qr_size: usize,
    /// The dark modules as the `d` of an SVG path, whose unit is a module.
    #[schema(examples("M0 0h7v1h-7z"))]
    qr_path: String,
}

impl From<Enrollment> for EnrollmentView {
    fn from(enrollment: Enrollment) -> Self {
        let Enrollment { secret, address, picture } = enrollment;
        let text = |secret: Secret| secret.reveal().to_owned();
        Self {
            secret: text(secret),
            address: text(address),
            qr_size: picture.size,
            qr_path: text(picture.path),
        }
    }
}

#[derive(Deserialize, ToSchema)]
struct BeginBody {
    #[schema(format = Password, examples("password123"))]
    password: String,
}

#[derive(Deserialize, ToSchema)]
struct CodeBody {
    /// Six digits from the app.
    #[schema(examples("287082"))]
    code: String,
}

#[derive(Deserialize, ToSchema)]
struct RemoveFactorBody {
    #[schema(format = Password, examples("password123"))]
    password: String,
    /// Six digits from the app, or a recovery code.
    #[schema(examples("287082"))]
    code: String,
}

#[derive(Deserialize, ToSchema)]
struct SecondStepBody {
    /// `second_step` of the refusal of `POST /login`. Good for five minutes.
    #[schema(examples("7.1800000300.bm90IGEgcmVhbCB0b2tlbg"))]
    token: String,
    /// Six digits from the app, or a recovery code. Each counts once.
    #[schema(examples("287082"))]
    code: String,
}

#[derive(Serialize, ToSchema)]
struct RecoveryCodes {
    /// Each signs in once in place of the app. Not shown again.
    #[schema(examples("abcd-efgh-jkmn-pqrs"))]
    recovery_codes: Vec<String>,
}

/// Get whether the caller signs in with two steps
#[utoipa::path(
    get,
    path = "/me/second-factor",
    operation_id = "get_second_factor",
    tag = "Me",
    responses((status = 200, description = "Whether it is on.", body = FactorView))
)]
async fn standing(State(api): State<Api>, caller: Caller) -> Result<Json<FactorView>> {
    Ok(Json(second_factor::standing(&api, caller.user_id).await?.into()))
}

/// Begin to turn two-step sign-in on
///
/// Makes a secret for an app that makes codes (TOTP). It counts once it is confirmed with a code.
#[utoipa::path(
    post,
    path = "/me/second-factor",
    operation_id = "begin_second_factor",
    tag = "Me",
    request_body = BeginBody,
    responses(
        (status = 201, description = "The secret.", body = EnrollmentView),
        (status = 400, description = "`wrong_password` The present password is wrong."),
        (status = 404, description = "`user_not_found` User not found"),
        (status = 409, description = "`second_factor_on` Two-step sign-in is on. Turn it off first."),
    )
)]
async fn begin(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Json(body): Json<BeginBody>,
) -> Result<(StatusCode, Json<EnrollmentView>)> {
    let password = Secret::new(body.password);
    let made = second_factor::begin(&api, caller.user_id, origin.address, password).await?;
    Ok((StatusCode::CREATED, Json(made.into())))
}

/// Turn two-step sign-in on
///
/// From now on signing in asks for a code. Open sessions stay.
#[utoipa::path(
    post,
    path = "/me/second-factor/confirm",
    operation_id = "confirm_second_factor",
    tag = "Me",
    request_body = CodeBody,
    responses(
        (status = 200, description = "It is on. The recovery codes.", body = RecoveryCodes),
        (status = 400, description = "`wrong_code` This code is wrong or was used already. Try the next one."),
    )
)]
async fn confirm(
    State(api): State<Api>,
    caller: Caller,
    Json(body): Json<CodeBody>,
) -> Result<Json<RecoveryCodes>> {
    let codes = second_factor::confirm(&api, caller.user_id, &body.code).await?;
    let recovery_codes = codes.iter().map(|code| code.reveal().to_owned()).collect();
    Ok(Json(RecoveryCodes { recovery_codes }))
}

/// Turn two-step sign-in off
#[utoipa::path(
    post,
    path = "/me/second-factor/remove",
    operation_id = "remove_second_factor",
    tag = "Me",
    request_body = RemoveFactorBody,
    responses(
        (status = 204, description = "Signing in asks for the password only."),
        (status = 400, description = "`wrong_password` The present password is wrong. \
            `wrong_code` This code is wrong or was used already. Try the next one."),
    )
)]
async fn remove(
    State(api): State<Api>,
    origin: Origin,
    caller: Caller,
    Json(body): Json<RemoveFactorBody>,
) -> Result<StatusCode> {
    let RemoveFactorBody { password, code } = body;
    let (user, password) = (caller.user_id, Secret::new(password));
    second_factor::remove(&api, user, origin.address, password, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Turn a user's two-step sign-in off
///
/// For somebody who has lost the app and all recovery codes. Make sure that it is the account's owner who
/// asks. The audit log records it.
#[utoipa::path(
    delete,
    path = "/admin/users/{user_id}/second-factor",
    operation_id = "remove_second_factor_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 204, description = "Signing in asks for the password only."),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn remove_for(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
) -> Result<StatusCode> {
    second_factor::remove_for(&api, admin.0.user_id, user).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sign in, second step
///
/// For accounts with two-step sign-in, whose `POST /login` answers `second_step_required` with a
/// token for this request.
#[utoipa::path(
    post,
    path = "/login/second-step",
    operation_id = "login_second_step",
    tag = "Accounts",
    security(()),
    request_body = SecondStepBody,
    responses(
        (status = 200, description = "The user and the tokens of its new session.",
            body = SignedInReply, headers(("Set-Cookie" = String, description = "The session cookie."))),
        (status = 400, description = "`wrong_code` This code is wrong or was used already. Try the next one."),
        (status = 401, description = "`invalid_second_step` Too much time has passed. Sign in again."),
    )
)]
async fn second_step(
    State(api): State<Api>,
    origin: Origin,
    Json(body): Json<SecondStepBody>,
) -> Result<Response> {
    admit(&api, AccountAttempt::LoginFrom(origin.address)).await?;
    let SecondStepBody { token, code } = body;
    let (token, code) = (Secret::new(token), Secret::new(code));
    let step = SecondStep { token, code, user_agent: origin.user_agent.clone() };
    let signed_in = second_factor::finish_login(&api, step).await?;
    let reply = Json(SignedInReply::new(&signed_in, PresenceStatus::Online));
    with_cookie(&api, &origin, &signed_in, reply)
}
