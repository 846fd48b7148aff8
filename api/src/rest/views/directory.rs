//! Chats as administrators see them in the list of all.

use crate::chats::directory::{ChatsPage, DirectoryEntry};
use protocol::{chat::ChatType, id::ChatId, time::Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

/// A chat in the list of all chats.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListedChat)]
pub(crate) struct ListedChatView {
    id: ChatId,
    /// Empty for a private chat.
    #[schema(examples("team"))]
    name: String,
    chat_type: ChatType,
    #[schema(examples(4))]
    member_count: i64,
    #[schema(examples(25))]
    message_count: i64,
    created_at: Timestamp,
    /// When the newest message or change came.
    last_activity_at: Timestamp,
}

impl From<DirectoryEntry> for ListedChatView {
    fn from(chat: DirectoryEntry) -> Self {
        let DirectoryEntry {
            id,
            name,
            chat_type,
            member_count,
            message_count,
            created_at,
            changed_at,
            ..
        } = chat;
        let last_activity_at = changed_at;
        Self { id, name, chat_type, member_count, message_count, created_at, last_activity_at }
    }
}

/// A page of chats.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ChatsPage)]
pub(crate) struct ChatsPageView {
    items: Vec<ListedChatView>,
    /// The `before` value of the next page; `null` on the last page.
    next: Option<ChatId>,
}

impl From<ChatsPage> for ChatsPageView {
    fn from(page: ChatsPage) -> Self {
        let ChatsPage { chats, next } = page;
        Self { items: chats.into_iter().map(Into::into).collect(), next }
    }
}
