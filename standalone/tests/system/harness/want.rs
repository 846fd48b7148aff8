//! What a test waits for on a socket: `phone.expect(message("hi")).await`. Each names itself for
//! the failure's text and picks out of the frame what the test goes on with.

use protocol::{
    chat::{Change, ChatSettings, ChatView, MemberChange, Message, PresenceStatus, UserRef},
    frames::{ChatEvent, ServerFrame, Typist},
    id::{ChatId, Seq, UserId},
};
use std::fmt;

/// A frame to wait for.
pub struct Want<T> {
    what: String,
    pick: Pick<T>,
}

type Pick<T> = Box<dyn Fn(&ServerFrame) -> Option<T> + Send + Sync>;

impl<T> Want<T> {
    fn new(what: String, pick: impl Fn(&ServerFrame) -> Option<T> + Send + Sync + 'static) -> Self {
        Self { what, pick: Box::new(pick) }
    }

    /// What the test wants of this frame, when it is the one.
    pub fn of(&self, frame: &ServerFrame) -> Option<T> {
        (self.pick)(frame)
    }
}

impl<T> fmt::Display for Want<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// An event of any chat.
fn event<T: 'static>(
    what: String,
    pick: impl Fn(ChatId, Seq, &Change) -> Option<T> + Send + Sync + 'static,
) -> Want<T> {
    Want::new(what, move |frame| match frame {
        ServerFrame::Event(ChatEvent { chat_id, event }) => {
            pick(*chat_id, event.seq, &event.change)
        }
        _ => None,
    })
}

/// A message with this text.
pub fn message(text: &str) -> Want<Message> {
    let text = text.to_owned();
    event(format!("the message {text:?}"), move |_, _, change| match change {
        Change::Message(message) if message.text == text => Some(message.clone()),
        _ => None,
    })
}

/// A message edited to this text. Gives the edit's `seq` too.
pub fn edited(text: &str) -> Want<(Seq, Message)> {
    let text = text.to_owned();
    event(format!("an edit to {text:?}"), move |_, seq, change| match change {
        Change::Edited(message) if message.text == text => Some((seq, message.clone())),
        _ => None,
    })
}

/// This message is gone. Gives the deletion's `seq`.
pub fn deleted(chat: ChatId, message: Seq) -> Want<Seq> {
    event(format!("message {message} deleted"), move |in_chat, seq, change| match change {
        Change::Deleted { id, .. } if in_chat == chat && *id == message => Some(seq),
        _ => None,
    })
}

/// A membership changed. Gives who did it.
pub fn member(user: UserId, wanted: MemberChange) -> Want<UserId> {
    event(format!("user {user} {wanted:?}"), move |_, _, change| match change {
        Change::Member { user: who, change, by, .. } if who.id == user && *change == wanted => {
            Some(*by)
        }
        _ => None,
    })
}

/// A user's read mark at this message.
pub fn read(chat: ChatId, user: UserId, message: Seq) -> Want<()> {
    Want::new(format!("user {user} read up to {message}"), move |frame| {
        (*frame == ServerFrame::Read { chat_id: chat, user_id: user, message_id: message })
            .then_some(())
    })
}

/// Somebody types in this chat.
pub fn typing(chat: ChatId) -> Want<UserRef> {
    Want::new(format!("typing in chat {chat}"), move |frame| match frame {
        ServerFrame::Typing { chat_id, who: Typist::One { user } } if *chat_id == chat => {
            Some(user.clone())
        }
        _ => None,
    })
}

/// A user came or went.
pub fn presence(user: UserId, status: PresenceStatus) -> Want<()> {
    Want::new(format!("user {user} {status:?}"), move |frame| {
        (*frame == ServerFrame::Presence { user_id: user, status }).then_some(())
    })
}

/// The user has this chat from now on.
pub fn chat(id: ChatId) -> Want<ChatView> {
    Want::new(format!("chat {id}"), move |frame| match frame {
        ServerFrame::Chat { chat } if chat.id == id => Some(chat.clone()),
        _ => None,
    })
}

/// The user has set this for a chat.
pub fn chat_settings(id: ChatId, settings: ChatSettings) -> Want<()> {
    Want::new(format!("chat {id} set to {settings:?}"), move |frame| {
        (*frame == ServerFrame::ChatSettings { chat_id: id, settings }).then_some(())
    })
}

/// A chat has this name now.
pub fn renamed(id: ChatId, name: &str) -> Want<()> {
    let name = name.to_owned();
    Want::new(format!("chat {id} named {name:?}"), move |frame| {
        let ServerFrame::Event(ChatEvent { chat_id, event }) = frame else { return None };
        matches!(&event.change, Change::Renamed { name: new, .. } if *chat_id == id && *new == name)
            .then_some(())
    })
}

/// A chat is no longer the user's.
pub fn chat_removed(id: ChatId) -> Want<()> {
    Want::new(format!("chat {id} removed"), move |frame| {
        (*frame == ServerFrame::ChatRemoved { chat_id: id }).then_some(())
    })
}

/// All that was missed in this chat has come. Gives the `seq`.
pub fn caught_up(id: ChatId) -> Want<Seq> {
    Want::new(format!("chat {id} caught up"), move |frame| match frame {
        ServerFrame::CaughtUp { chat_id, seq } if *chat_id == id => Some(*seq),
        _ => None,
    })
}

/// What was missed in this chat cannot come. Gives the `seq` to go on after.
pub fn resync(id: ChatId) -> Want<Seq> {
    Want::new(format!("a resync of chat {id}"), move |frame| match frame {
        ServerFrame::Resync { chat_id, seq } if *chat_id == id => Some(*seq),
        _ => None,
    })
}

/// An error frame with this code. Gives its `id` and `retry_after_ms`.
pub fn error(wanted: &str) -> Want<(Option<String>, Option<u64>)> {
    let wanted = wanted.to_owned();
    Want::new(format!("the error {wanted}"), move |frame| match frame {
        ServerFrame::Error { id, code, retry_after_ms, .. } if *code == wanted => {
            Some((id.clone(), *retry_after_ms))
        }
        _ => None,
    })
}

/// Every new connection should be elsewhere. Gives the delay in milliseconds.
pub fn reconnect() -> Want<u64> {
    Want::new("a call to reconnect".to_owned(), |frame| match frame {
        ServerFrame::Reconnect { after_ms } => Some(*after_ms),
        _ => None,
    })
}

/// The answer to a frame with this id, whichever kind of answer it is.
pub fn answer(to: &str) -> Want<ServerFrame> {
    let to = Some(to.to_owned());
    Want::new(format!("an answer to {to:?}"), move |frame| match frame {
        ServerFrame::Ack { id, .. }
        | ServerFrame::Error { id, .. }
        | ServerFrame::Subscribed { id, .. }
        | ServerFrame::Unsubscribed { id, .. }
        | ServerFrame::TokenAccepted { id, .. }
        | ServerFrame::Pong { id }
            if *id == to =>
        {
            Some(frame.clone())
        }
        _ => None,
    })
}
