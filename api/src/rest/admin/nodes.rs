//! The running programs and their connections, for administrators.

use crate::{
    accounts::connections::{self, Connections},
    error::Result,
    gateways::silent,
    http::extract::{Json, Path, Query},
    rest::{
        caller::Admin,
        views::{ConnectionsView, NodeView},
    },
    state::Api,
};
use axum::extract::State;
use protocol::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(nodes)).routes(routes!(connections, disconnect))
}

#[derive(Serialize, ToSchema)]
struct Nodes {
    /// Apis first; at most 500.
    items: Vec<NodeView>,
}

/// List the running programs
///
/// The apis and gateways that have described themselves within the last 30 seconds. Each does so every ten seconds,
/// so a program that was killed stays in the list for a while. Programs of the version before are not in it.
#[utoipa::path(
    get,
    path = "/admin/nodes",
    operation_id = "list_nodes",
    tag = "Administration",
    responses(
        (status = 200, description = "The programs.", body = Nodes),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn nodes(State(api): State<Api>, _: Admin) -> Result<Json<Nodes>> {
    let nodes = api.presence.nodes().await.map_err(silent)?;
    Ok(Json(Nodes { items: nodes.into_iter().map(Into::into).collect() }))
}

/// List a person's open connections
///
/// Asks all gateways and waits for them for up to two seconds. Networks are shown, not addresses: 24 bits of IPv4,
/// 48 of IPv6. Recorded in the audit log before the gateways are asked.
#[utoipa::path(
    get,
    path = "/admin/users/{user_id}/connections",
    operation_id = "list_connections_of_user",
    tag = "Administration",
    params(("user_id" = UserId, Path)),
    responses(
        (status = 200, description = "The connections, the newest first.", body = ConnectionsView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn connections(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
) -> Result<Json<ConnectionsView>> {
    let found: Connections = connections::list(&api, admin.0.user_id, user).await?;
    Ok(Json(found.into()))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DisconnectParams {
    /// The `id` of the connection to close; all of the person's connections without it.
    #[param(max_length = 64)]
    connection: Option<String>,
    /// The reason, for the audit log.
    #[serde(default)]
    #[param(max_length = 200, example = "a runaway script")]
    reason: String,
}

/// Close a person's connections
///
/// Closes one or all, with the reason `disconnected`, and returns those that were closed. Clients do not come back by
/// themselves, but the session goes on: to sign the person out, end the sessions.
#[utoipa::path(
    delete,
    path = "/admin/users/{user_id}/connections",
    operation_id = "disconnect_user",
    tag = "Administration",
    params(("user_id" = UserId, Path), DisconnectParams),
    responses(
        (status = 200, description = "The connections that were closed.", body = ConnectionsView),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`user_not_found` User not found"),
    )
)]
async fn disconnect(
    State(api): State<Api>,
    admin: Admin,
    Path(user): Path<UserId>,
    Query(params): Query<DisconnectParams>,
) -> Result<Json<ConnectionsView>> {
    let DisconnectParams { connection, reason } = params;
    let closed = connections::disconnect(&api, admin.0.user_id, user, connection, &reason).await?;
    Ok(Json(closed.into()))
}
