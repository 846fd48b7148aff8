//! Which member's row, or which ban: a chat and a user, as statements take them.

use protocol::calls::UserChat;
use serde::Serialize;

/// A row of parameters ([`crate::db::column`]). The keys' order is that in which rows are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(super) struct MemberKey {
    pub chat_id: i64,
    pub user_id: i64,
}

impl From<&UserChat> for MemberKey {
    fn from(pair: &UserChat) -> Self {
        Self { chat_id: pair.chat_id.0, user_id: pair.user_id.0 }
    }
}
