//! The settings in force, for administrators.

use crate::{error::Result, http::extract::Json, rest::caller::Admin, state::Api};
use axum::extract::State;
use platform::settings::SettingInForce;
use serde::Serialize;
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

/// List the settings in force
///
/// Those of the api that answers, with the place that each value comes from. Values of secrets are not shown, only
/// whether there is one. Gateways have settings of their own, which no api knows.
#[utoipa::path(
    get,
    path = "/admin/settings",
    operation_id = "list_settings",
    tag = "Administration",
    responses(
        (status = 200, description = "The settings.", body = SettingsInForce),
        (status = 403, description = "`admin_only` Only administrators may do this."),
    )
)]
async fn settings(State(api): State<Api>, _: Admin) -> Result<Json<SettingsInForce>> {
    Ok(Json(SettingsInForce { items: api.config.settings.clone() }))
}
