//! A public health check that anybody may call. Load balancers use the one on the admin listener.

use super::status::{self, Health, LastStatus, Status};
use crate::{http::extract::Json, state::Api};
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

/// When to ask again while the database does not answer, in seconds.
const RETRY_AFTER: &str = "1";

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(status))
        .layer(Extension(LastStatus::new()))
}

/// Check whether the process is running
///
/// Does not check the services it depends on; `/status` does.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "get_health",
    tag = "Operation",
    security(()),
    responses((status = 200, description = "The process is running.", body = Health))
)]
async fn health() -> Json<Health> {
    Json(status::health())
}

/// Check the health of the service
///
/// Answers within about a second, even if a part of the service is down.
#[utoipa::path(
    get,
    path = "/status",
    operation_id = "get_status",
    tag = "Operation",
    security(()),
    responses(
        (status = 200, description = "The service is healthy.", body = Status),
        (
            status = 503,
            description = "The database does not answer. The body is a problem if the status itself could not be collected in time.",
            body = Status,
            example = json!({
                "status": "degraded", "app": "Switchboard", "version": "0.1.0",
                "timestamp": "2026-11-21T10:00:00.000Z",
                "database": { "message_count": null, "status": "disconnected" },
                "websocket": { "active_connections": 3, "status": "active" },
                "system": { "uptime": "2 hours", "memory_usage": "45%" },
            }),
        ),
    )
)]
async fn status(State(api): State<Api>, Extension(last): Extension<LastStatus>) -> Response {
    let status = last.status(&api).await;
    if status.database.message_count.is_some() {
        return Json(status).into_response();
    }
    let headers = [(header::RETRY_AFTER, RETRY_AFTER)];
    (StatusCode::SERVICE_UNAVAILABLE, headers, Json(status)).into_response()
}
