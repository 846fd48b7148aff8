//! What a chat's watchers are told beside its events: typing, presence, arrivals, read marks, new
//! names. Nothing here has a number, and whatever of it is lost stays lost. What grows with the people
//! in a chat is told by name to few watchers only: one such signal costs no node more than
//! [`MAX_WATCHERS`] frames, however many watch.

use crate::{
    conn::{Conn, ConnId},
    dialect::{Dialect, lobby},
    frame::Frame,
    hub::{Hub, lock},
    outbox::Worth,
    room::Room,
};
use shared::{
    chat::{PresenceStatus, UserRef},
    id::{ChatId, UserId},
    limit::{Bucket, Rate},
    protocol::{ServerFrame, Typist},
    relay::{Channel, ChatPayload, MAX_WATCHERS},
    time::Timestamp,
};
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often the watchers of a crowded chat hear how many type.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// A crowd in which nobody typed for so long is remembered no more: all that may be relayed of it has
/// come back, and a count has no past.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// The most who are counted between two counts: what that takes in memory is 16 KiB a chat.
const MAX_TYPISTS: usize = 1_000;

/// What a node tells others of those who type in a crowded chat: enough that each of them has
/// something to count.
const TYPISTS_RELAYED: Rate = Rate { per: Duration::from_millis(100), burst: 10 };

/// Who types in a crowded chat.
#[derive(Debug, Default)]
pub struct Typists {
    told_at: Option<Instant>,
    since: HashSet<UserId>,
    relayed: Bucket,
}

impl Typists {
    /// Whether nobody has typed for long, so that all may be forgotten.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.told_at.is_none_or(|told_at| now.duration_since(told_at) >= FORGOTTEN)
    }

    /// Somebody types: how many have since the last count, when it is time for the next one. People
    /// who type say so again and again, so the last ones of a second are counted in the next.
    fn on_typing(&mut self, user: UserId, now: Instant) -> Option<u32> {
        if self.since.len() < MAX_TYPISTS {
            self.since.insert(user);
        }
        if self.told_at.is_some_and(|told_at| now.duration_since(told_at) < COUNT_EVERY) {
            return None;
        }
        self.told_at = Some(now);
        let count = std::mem::take(&mut self.since).len();
        u32::try_from(count).ok()
    }
}

/// Whether other nodes are to hear of somebody who types here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relay {
    Yes,
    No,
}

impl Hub {
    /// A payload of `chat:{id}`.
    pub fn on_chat_payload(self: &Arc<Self>, chat_id: ChatId, payload: ChatPayload) {
        match payload {
            ChatPayload::Events(run) => {
                let lag = Timestamp::now().0.saturating_sub(run.published_ms);
                metrics::histogram!("gateway_relay_lag_seconds").record(lag.max(0) as f64 / 1e3);
                self.on_events(run);
            }
            ChatPayload::Typing { origin, user } if origin != self.node => {
                self.show_typing(chat_id, user);
            }
            ChatPayload::Presence { origin, user_id, status } if origin != self.node => {
                self.tell_few(chat_id, &ServerFrame::Presence { user_id, status }, user_id);
            }
            ChatPayload::Arrived { origin, username, at } if origin != self.node => {
                self.tell_lobby(&lobby::user_joined(&username, at), None);
            }
            ChatPayload::Typing { .. }
            | ChatPayload::Presence { .. }
            | ChatPayload::Arrived { .. } => {}
            ChatPayload::Read { user_id, message_id } => {
                // The reader's own devices hear it through `user:{id}`.
                let frame = ServerFrame::Read { chat_id, user_id, message_id };
                self.tell_few(chat_id, &frame, user_id);
            }
            ChatPayload::ChatDeleted => self.close_room(chat_id),
        }
    }

    /// A local user is typing: tells the others here and on other nodes.
    pub fn typing(&self, conn: &Conn, chat_id: ChatId) {
        let Some(user) = conn.user().cloned() else { return };
        if self.show_typing(chat_id, user.clone()) == Relay::Yes {
            self.publish(chat_id, &ChatPayload::Typing { origin: self.node, user });
        }
    }

    /// A user came online or went offline: tells those who share these chats.
    pub(crate) fn announce(&self, user_id: UserId, status: PresenceStatus, chats: &[ChatId]) {
        for chat_id in chats {
            self.tell_few(*chat_id, &ServerFrame::Presence { user_id, status }, user_id);
            self.publish(*chat_id, &ChatPayload::Presence { origin: self.node, user_id, status });
        }
    }

    /// Somebody came into the lobby by its own window: tells the others in it, here and on other
    /// nodes, unless too many come at once.
    pub(crate) fn arrived(&self, conn: &Conn, username: &str) {
        let rate = &self.config.arrivals;
        if lock(&self.arrivals).try_take(rate, self.started.elapsed(), 1).is_err() {
            metrics::counter!("gateway_dropped_frames_total", "reason" => "many_arrivals")
                .increment(1);
            return;
        }
        let at = Timestamp::now();
        self.tell_lobby(&lobby::user_joined(username, at), Some(conn.id));
        let arrived = ChatPayload::Arrived { origin: self.node, username: username.to_owned(), at };
        self.publish(ChatId::LOBBY, &arrived);
    }

    fn tell_lobby(&self, frame: &Frame, except: Option<ConnId>) {
        self.with_room(ChatId::LOBBY, |room| room.tell_dialect(Dialect::Lobby, frame, except));
    }

    /// Shows the watchers here who types, or how many do.
    fn show_typing(&self, chat_id: ChatId, user: UserRef) -> Relay {
        self.with_room(chat_id, |room| self.show_typing_in(room, user)).unwrap_or(Relay::Yes)
    }

    fn show_typing_in(&self, room: &mut Room, user: UserRef) -> Relay {
        let (chat_id, user_id) = (room.chat_id(), user.id);
        if room.watchers().len() <= MAX_WATCHERS {
            let frame = ServerFrame::Typing { chat_id, who: Typist::One { user } };
            room.tell(&frame, Worth::Ephemeral, Some(user_id));
            return Relay::Yes;
        }
        let typists = &mut room.busy().typists;
        let relayed = typists.relayed.try_take(&TYPISTS_RELAYED, self.started.elapsed(), 1);
        if let Some(count) = typists.on_typing(user_id, Instant::now()) {
            let frame = ServerFrame::Typing { chat_id, who: Typist::Many { count } };
            // Nobody is told of itself alone.
            room.tell(&frame, Worth::Ephemeral, (count == 1).then_some(user_id));
        }
        if relayed.is_ok() {
            return Relay::Yes;
        }
        left_out();
        Relay::No
    }

    /// Tells a chat's watchers about one of them, unless they are many.
    fn tell_few(&self, chat: ChatId, frame: &ServerFrame, about: UserId) {
        self.with_room(chat, |room| {
            if room.watchers().len() <= MAX_WATCHERS {
                room.tell(frame, Worth::Ephemeral, Some(about));
            } else {
                left_out();
            }
        });
    }

    fn publish(&self, chat: ChatId, payload: &ChatPayload) {
        if let Ok(bytes) = serde_json::to_vec(payload) {
            self.bus.publish(Channel::Chat(chat), bytes.into());
        }
    }
}

/// Counts a signal that many watchers are not told of.
fn left_out() {
    metrics::counter!("gateway_dropped_frames_total", "reason" => "many_watchers").increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_counted_once_a_second_and_each_of_it_once() {
        let (mut typists, start) = (Typists::default(), Instant::now());
        assert_eq!(typists.on_typing(UserId(0), start), Some(1));
        for id in 0..5_000i64 {
            let now = start + Duration::from_micros(id.unsigned_abs() * 199);
            assert_eq!(typists.on_typing(UserId(id % 30), now), None, "{id}");
        }
        assert_eq!(typists.on_typing(UserId(30), start + COUNT_EVERY), Some(31));
        let later = start + 3 * COUNT_EVERY;
        assert_eq!(typists.on_typing(UserId(1), later), Some(1), "who has stopped is no more");
        for id in 0..5_000 {
            assert_eq!(typists.on_typing(UserId(id), later), None);
        }
        assert_eq!(typists.since.len(), MAX_TYPISTS);
    }
}
