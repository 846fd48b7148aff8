//! What a client hears, one line a frame, so that a test reads like the conversation: `1#6 hi` is event 6
//! of chat 1, a message; `1@6` is chat 1 up to there.

use protocol::{
    chat::{Change, ChatView, PresenceStatus},
    frames::{ChatEvent, ServerFrame, Typist},
};

/// A frame in a few words.
pub fn words(frame: &ServerFrame) -> String {
    let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "-".to_owned());
    match frame {
        ServerFrame::Ready { chats, .. } => {
            let chats: Vec<String> = chats.iter().map(place).collect();
            format!("ready {}", chats.join(" ")).trim_end().to_owned()
        }
        ServerFrame::CaughtUp { chat_id, seq } => format!("caught up {chat_id}@{}", seq.0),
        ServerFrame::Resync { chat_id, seq } => format!("resync {chat_id}@{}", seq.0),
        ServerFrame::Ack { id: of, chat_id, seq, .. } => {
            format!("ack {} {chat_id}#{}", id(of), seq.0)
        }
        ServerFrame::Read { chat_id, user_id, message_id } => {
            format!("read {chat_id}#{} by {user_id}", message_id.0)
        }
        ServerFrame::Typing { chat_id, who: Typist::One { user } } => {
            format!("typing {chat_id} by {}", user.id)
        }
        ServerFrame::Typing { chat_id, who: Typist::Many { count } } => {
            format!("typing {chat_id} by {count} users")
        }
        ServerFrame::Presence { user_id, status } => match status {
            PresenceStatus::Online => format!("online {user_id}"),
            PresenceStatus::Offline => format!("offline {user_id}"),
        },
        ServerFrame::Chat { chat } => format!("chat {}", place(chat)),
        ServerFrame::ChatSettings { chat_id, settings } => {
            format!("settings {chat_id} {settings:?}")
        }
        ServerFrame::ChatRemoved { chat_id } => format!("removed {chat_id}"),
        ServerFrame::Subscribed { id: of, chat } => {
            format!("subscribed {} {}", id(of), place(chat))
        }
        ServerFrame::Unsubscribed { id: of, chat_id } => {
            format!("unsubscribed {} {chat_id}", id(of))
        }
        ServerFrame::TokenAccepted { id: of, .. } => format!("token accepted {}", id(of)),
        ServerFrame::Pong { id: of } => format!("pong {}", id(of)),
        ServerFrame::Reconnect { .. } => "reconnect".to_owned(),
        ServerFrame::Announcement { announcement } => {
            format!("announced {}", announcement.as_ref().map_or("nothing", |one| &one.text))
        }
        ServerFrame::Error { id: of, code, .. } => format!("error {} {code}", id(of)),
        ServerFrame::Event(ChatEvent { chat_id, event }) => {
            let what = match &event.change {
                Change::Message(message) => message.text.clone(),
                Change::Edited(message) => format!("edited {} {}", message.id.0, message.text),
                Change::Deleted { id, .. } => format!("deleted {}", id.0),
                Change::Member { user, change, .. } => format!("{change:?} {}", user.id),
                other => format!("{other:?}"),
            };
            format!("{chat_id}#{} {what}", event.seq.0)
        }
    }
}

fn place(chat: &ChatView) -> String {
    format!("{}@{}", chat.id, chat.seq.0)
}
