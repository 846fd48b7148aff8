//! What the paged routes share: the check of `limit`, and the shape of a page with a cursor.

use crate::error::{Error, Result};
use protocol::id::UserId;
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{KnownFormat, Object, ObjectBuilder, SchemaFormat, Type, schema::SchemaType},
};

/// Which page of a list in the order of its users' ids.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UsersQuery {
    /// The `next` value of the previous page.
    #[serde(default)]
    pub after: UserId,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    pub limit: Option<i64>,
}

/// A page of a list that can be long.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Items<T: ToSchema, C: ToSchema> {
    pub items: Vec<T>,
    /// The `after` of the next page; `null` on the last page.
    #[schema(schema_with = cursor)]
    pub next: Option<C>,
}

impl<T: ToSchema, C: ToSchema> Items<T, C> {
    /// Of what a service returned with the next page's cursor.
    pub(super) fn of<S: Into<T>>(items: Vec<S>, next: Option<C>) -> Self {
        Self { items: items.into_iter().map(Into::into).collect(), next }
    }

    /// Of what a service returned. `limit` is how many were asked for: fewer means that there are no more.
    pub(super) fn new<S: Into<T>>(items: Vec<S>, limit: i64, cursor: impl Fn(&S) -> C) -> Self {
        let full = i64::try_from(items.len()).is_ok_and(|items| items >= limit);
        let next = items.last().filter(|_| full).map(cursor);
        Self::of(items, next)
    }
}

/// Every cursor is an id. Said here because what is derived of `Option<C>` leaves `null` out.
fn cursor() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .description(Some("The `after` of the next page; `null` on the last page."))
        .examples([12])
        .build()
}

/// The `limit` of a query, or 422.
pub(super) fn limit_within(limit: Option<i64>, default: i64, most: i64) -> Result<i64> {
    let limit = limit.unwrap_or(default);
    if !(1..=most).contains(&limit) {
        return Err(Error::field("limit", format!("must be from 1 to {most}")));
    }
    Ok(limit)
}
