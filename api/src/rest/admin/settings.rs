//! The settings in force, for administrators.

use crate::{
    error::Result,
    gateways,
    http::extract::{Json, Query},
    rest::caller::Admin,
    state::Api,
};
use axum::extract::State;
use platform::settings::SettingInForce;
use protocol::id::NodeId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(settings))
}

#[derive(Serialize, ToSchema)]
struct SettingsInForce {
    /// In the order of the documentation.
    items: Vec<SettingInForce>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct SettingsParams {
    /// A gateway, as the list of the running programs names it. Without it, the api that answers.
    #[param(value_type = Option<String>, format = Uuid)]
    node: Option<NodeId>,
}

/// List the settings in force
///
/// Those of the api that answers or of a gateway, which is asked and waited for for up to two seconds, with the place that
/// each value comes from. Values of secrets are not shown, only whether there is one.
#[utoipa::path(
    get,
    path = "/admin/settings",
    operation_id = "list_settings",
    tag = "Administration",
    params(SettingsParams),
    responses(
        (status = 200, description = "The settings.", body = SettingsInForce),
        (status = 403, description = "`admin_only` Only administrators may do this."),
        (status = 404, description = "`not_found` No gateway of this name is running."),
    )
)]
async fn settings(
    State(api): State<Api>,
    _: Admin,
    Query(SettingsParams { node }): Query<SettingsParams>,
) -> Result<Json<SettingsInForce>> {
    let items = match node {
        Some(node) => gateways::settings(&api, node).await?,
        None => api.config.settings.clone(),
    };
    Ok(Json(SettingsInForce { items }))
}
