//! A message as it is stored, and the events it stands for.

use crate::db::from_row;
use protocol::{
    chat::{Change, Event, Message, UserRef},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};

/// A message, deleted ones included.
#[derive(Clone, Debug)]
pub(crate) struct MessageRecord {
    pub chat_id: ChatId,
    /// The place of its last change.
    pub seq: Seq,
    pub message: Message,
    pub deleted: Option<Deletion>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Deletion {
    pub by: UserId,
    pub at: Timestamp,
}

from_row!(MessageRecord, |row| {
    let sender = UserId(row.try_get("sender_id")?);
    let deleted_at: Option<i64> = row.try_get("deleted_at")?;
    let deleted_by: Option<i64> = row.try_get("deleted_by")?;
    Self {
        chat_id: ChatId(row.try_get("chat_id")?),
        seq: Seq(row.try_get("seq")?),
        message: Message {
            id: Seq(row.try_get("id")?),
            sender: UserRef {
                guest: row.try_get("guest")?,
                ..UserRef::registered(sender, row.try_get::<String, _>("username")?)
                    .named(row.try_get::<String, _>("name")?)
                    .pictured(row.try_get::<String, _>("avatar")?)
            },
            text: row.try_get("text")?,
            timestamp: Timestamp(row.try_get("created_at")?),
            client_message_id: row.try_get("client_message_id")?,
            reply_to: row.try_get::<Option<i64>, _>("reply_to")?.map(Seq),
            edited_at: row.try_get::<Option<i64>, _>("edited_at")?.map(Timestamp),
        },
        deleted: deleted_at
            .map(|at| Deletion { by: deleted_by.map_or(sender, UserId), at: Timestamp(at) }),
    }
});

impl MessageRecord {
    /// The event that shows this message to somebody who has seen everything up to `after`: at the
    /// place of its creation when that is later, else at the place of its last change.
    pub(crate) fn into_event(self, after: Seq) -> Event {
        let created_later = self.message.id > after;
        let seq = if created_later { self.message.id } else { self.seq };
        let change = match self.deleted {
            Some(Deletion { by, at }) => Change::Deleted { id: self.message.id, by, timestamp: at },
            None if created_later => Change::Message(self.message),
            None => Change::Edited(self.message),
        };
        Event { seq, change }
    }
}
