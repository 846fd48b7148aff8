//! A message as it is stored, and the events it stands for.

use protocol::{
    chat::{Change, Event, Message, UserRef},
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};

/// The columns of a [`MessageRow`], of `messages m` and its sender `users s`.
macro_rules! message_columns {
    () => {
        "m.chat_id, m.id, m.seq, m.sender_id, s.username, s.guest, m.client_message_id, m.text, m.reply_to, \
         m.created_at, m.edited_at, m.deleted_at, m.deleted_by"
    };
}
pub(crate) use message_columns;

/// What [`message_columns`] selects.
pub(crate) type MessageRow = (
    i64,
    i64,
    i64,
    i64,
    String,
    bool,
    String,
    String,
    Option<i64>,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// A message, deleted ones included.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
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

impl From<MessageRow> for Stored {
    fn from(row: MessageRow) -> Self {
        let (
            chat,
            id,
            seq,
            sender,
            username,
            guest,
            client_message_id,
            text,
            reply_to,
            created,
            edited,
            deleted,
            by,
        ) = row;
        Self {
            chat_id: ChatId(chat),
            seq: Seq(seq),
            message: Message {
                id: Seq(id),
                sender: UserRef { id: UserId(sender), username, guest },
                text,
                timestamp: Timestamp(created),
                client_message_id: Some(client_message_id),
                reply_to: reply_to.map(Seq),
                edited_at: edited.map(Timestamp),
            },
            deleted: deleted
                .map(|at| Deletion { by: UserId(by.unwrap_or(sender)), at: Timestamp(at) }),
        }
    }
}

impl Stored {
    /// The event that shows this message to somebody who has seen everything up to `after`: at the
    /// place of its creation when that is later, else at the place of its last change.
    pub fn into_event(self, after: Seq) -> Event {
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
