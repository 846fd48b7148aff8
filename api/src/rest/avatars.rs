//! Pictures of people: uploading and removing one's own, and showing them to whoever is signed in.

use super::views::UserView;
use crate::{
    accounts::{
        avatar::{self, FoundAvatar},
        profile,
    },
    error::{Error, Result},
    http::extract::{Json, Path},
    rest::caller::Caller,
    state::Api,
};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use bytes::Bytes;
use protocol::code::Code;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(limits))
        .routes(routes!(show))
        .routes(routes!(upload, remove))
}

/// What may be uploaded.
#[derive(Serialize, ToSchema)]
struct AvatarLimits {
    /// The largest file, in bytes.
    #[schema(examples(5_242_880))]
    max_bytes: usize,
    /// The most pixels of a picture, width times height.
    #[schema(examples(12_582_912))]
    max_pixels: u32,
}

/// A picture, as its file has it.
#[derive(ToSchema)]
#[schema(as = Picture, value_type = String, format = Binary, examples("the bytes of the file"))]
#[expect(dead_code, reason = "for the document; the bytes are read as they come")]
struct AvatarFile(Vec<u8>);

/// Get what pictures may be uploaded
#[utoipa::path(
    get,
    path = "/avatars",
    operation_id = "get_avatar_limits",
    tag = "Me",
    responses(
        (status = 200, description = "What `PUT /me/avatar` takes.", body = AvatarLimits),
        (status = 404, description = "`avatars_off` This server keeps no pictures. The operator can turn them on with AVATARS_URL."),
    )
)]
async fn limits(State(api): State<Api>, _: Caller) -> Result<Json<AvatarLimits>> {
    let config = api.avatars.config()?;
    Ok(Json(AvatarLimits { max_bytes: config.max_bytes, max_pixels: config.max_pixels }))
}

/// Upload a picture of the caller
///
/// The middle of the picture becomes a JPEG of 256 × 256 pixels; of the file itself nothing is kept. Of an animation
/// the first picture counts. Others see it from the next message or list on, as with a new name. It replaces the
/// picture before.
#[utoipa::path(
    put,
    path = "/me/avatar",
    operation_id = "upload_avatar",
    tag = "Me",
    request_body(
        description = "The file, as one of these types.",
        content((AvatarFile = "image/png"), (AvatarFile = "image/jpeg"), (AvatarFile = "image/webp"), (AvatarFile = "image/gif"))
    ),
    responses(
        (status = 200, description = "The changed user; `avatar` is the path of the picture.", body = UserView),
        (status = 404, description = "`avatars_off` This server keeps no pictures. The operator can turn them on with AVATARS_URL. \
            `user_not_found` User not found"),
        (status = 422, description = "`unreadable_picture` This is not a picture that can be read. Upload a PNG, JPEG, WebP or GIF file. \
            `picture_too_large` The picture has too many pixels. Make it smaller, and upload it again."),
        (status = 503, description = "`busy` The service cannot answer right now. Try again in a moment."),
    )
)]
async fn upload(
    State(api): State<Api>,
    caller: Caller,
    request: Request,
) -> Result<Json<UserView>> {
    if !is_picture(request.headers()) {
        return Err(Error::new(
            Code::UnsupportedMediaType,
            "Send the file itself, as image/png, image/jpeg, image/webp or image/gif.",
        ));
    }
    let place = avatar::reserve(&api, caller.user_id).await?;
    let original = file(request, place.max_bytes()).await?;
    avatar::upload(&api, (&caller).into(), place, original).await?;
    Ok(Json(profile::view(&api, (&caller).into(), caller.user_id).await?.into()))
}

/// Remove the caller's picture
///
/// Its path leads nowhere from then on. Without a picture nothing changes.
#[utoipa::path(
    delete,
    path = "/me/avatar",
    operation_id = "remove_avatar",
    tag = "Me",
    responses((status = 204, description = "The caller has no picture."))
)]
async fn remove(State(api): State<Api>, caller: Caller) -> Result<StatusCode> {
    avatar::remove(&api, (&caller).into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a picture
///
/// Any account may, by the path that the user's `avatar` names. The picture of a path never changes, so clients keep it
/// for good. The path of a picture that was replaced leads on to the new one.
#[utoipa::path(
    get,
    path = "/avatars/{name}",
    operation_id = "get_avatar",
    tag = "Users",
    params(("name" = String, Path, description = "The picture's name.", example = "7-mEo0Vx2bQ1aZ")),
    responses(
        (status = 200, description = "The picture.", body = AvatarFile, content_type = "image/jpeg",
            headers(("ETag" = String, description = "The picture's name."),
                ("Cache-Control" = String, description = "That it may be kept for good."))),
        (status = 304, description = "The client has the picture: `If-None-Match` names it."),
        (status = 307, description = "The user has another picture by now.",
            headers(("Location" = String, description = "Its path."))),
        (status = 404, description = "`avatar_not_found` There is no such picture. It was removed."),
    )
)]
async fn show(
    State(api): State<Api>,
    _: Caller,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let picture = match avatar::read(&api, &name).await? {
        FoundAvatar::Picture(picture) => picture,
        FoundAvatar::Replaced(by) => return Ok(Redirect::temporary(&by).into_response()),
    };
    let tag = HeaderValue::try_from(format!("\"{name}\"")).map_err(|_| Code::AvatarNotFound)?;
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|given| *given == tag);
    let kept = [
        // For those who may see it, and not for caches on the way.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable")),
        (header::ETAG, tag),
    ];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    Ok((kept, [(header::CONTENT_TYPE, "image/jpeg")], picture).into_response())
}

/// Whether the client says that it sends a picture of a kind that we read.
fn is_picture(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|given| given.to_str().ok());
    let given = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    ["image/png", "image/jpeg", "image/webp", "image/gif"]
        .iter()
        .any(|kind| given.eq_ignore_ascii_case(kind))
}

/// The body. One that says that it is too long is not read.
async fn file(request: Request, most: usize) -> Result<Bytes> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let too_long = || {
        let most = most >> 20;
        Error::new(
            Code::BodyTooLarge,
            format!("A picture has at most {most} MiB. Make it smaller."),
        )
    };
    if length.is_some_and(|length| length > most) {
        return Err(too_long());
    }
    to_bytes(request.into_body(), most).await.map_err(|error| {
        let cut = std::error::Error::source(&error)
            .is_some_and(|cause| cause.is::<http_body_util::LengthLimitError>());
        if cut { too_long() } else { Code::BadRequest.into() }
    })
}
