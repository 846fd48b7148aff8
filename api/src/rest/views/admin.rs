//! What the administrators' calls answer.

use crate::{
    accounts::{bulk::BulkAccount, bulk_removal::Removed},
    audit::{AuditAction, RecordedEntry},
};
use protocol::{
    chat::UserRef,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::Serialize;
use strum::VariantNames as _;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

/// An account and its only session.
#[derive(Serialize, ToSchema)]
#[schema(as = BulkAccount)]
pub(crate) struct BulkAccountView {
    id: UserId,
    #[schema(examples("trial-0"))]
    username: String,
    /// An access token as returned by signing in.
    #[schema(examples("eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"))]
    access_token: String,
    #[schema(examples("019adf3c5f0a7c1e9a512f6f0c9f4f11.bm90IGEgcmVhbCB0b2tlbg"))]
    refresh_token: String,
}

impl From<BulkAccount> for BulkAccountView {
    fn from(account: BulkAccount) -> Self {
        let BulkAccount { id, username, access_token, refresh_token } = account;
        Self { id, username, access_token, refresh_token }
    }
}

/// The accounts and chats that one call deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Removed)]
pub(crate) struct RemovedView {
    #[schema(examples(1000))]
    users: usize,
    #[schema(examples(200))]
    chats: usize,
    /// If true, more remains: repeat the call.
    more: bool,
}

impl From<Removed> for RemovedView {
    fn from(removed: Removed) -> Self {
        let Removed { users, chats, more } = removed;
        Self { users, chats, more }
    }
}

/// For the document: the words of [`AuditAction`].
struct AuditedAction;

impl PartialSchema for AuditedAction {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(AuditAction::VARIANTS.iter().copied()))
            .description(Some(
                "What was done. Of chats, members and messages only what an administrator did by that \
                 right and\ncould not have done without it.",
            ))
            .into()
    }
}

impl ToSchema for AuditedAction {}

/// An entry of the audit log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub(crate) struct AuditEntryView {
    #[schema(examples(7))]
    id: i64,
    at: Timestamp,
    /// `null` stands for the operator, who creates the first administrator.
    actor: Option<UserRef>,
    /// The name of the action.
    #[schema(value_type = AuditedAction)]
    action: String,
    /// The user that the action concerns.
    target_user: Option<UserRef>,
    chat_id: Option<ChatId>,
    message_id: Option<Seq>,
    /// The administrator's reason, or the subject of a bulk action; empty if none.
    #[schema(max_length = 200, examples("spam"))]
    reason: String,
}

impl From<RecordedEntry> for AuditEntryView {
    fn from(entry: RecordedEntry) -> Self {
        let RecordedEntry { id, at, actor, action, target_user, chat_id, message_id, reason } =
            entry;
        Self { id, at, actor, action, target_user, chat_id, message_id, reason }
    }
}
