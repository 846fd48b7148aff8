//! The entry point of all bus messages: events, signals, memberships, ended sessions. Other files decide what
//! each leads to; `repair/` finds messages that the bus loses.

use crate::{
    dialect::lobby,
    hub::{
        Hub,
        conn::{join::Cause, outbox::DropPolicy},
        crowds::{CROWD, Payload, PayloadSource},
        delivery::{LiveRun, bad_payload},
        invitations::Invitation,
        local_chat::LocalChat,
        watching::Parting,
    },
};
use bytes::Bytes;
use platform::bus::BusEvent;
use protocol::{
    frames::ServerFrame,
    id::ChatId,
    relay::{Channel, ChatPayload, ControlPayload, UserPayload},
    time::Timestamp,
};
use std::{mem, sync::Arc};
use tokio::time::Instant;

impl Hub {
    /// Handles a bus message. Runs on the task that reads the bus.
    pub(crate) fn on_bus(self: &Arc<Self>, event: BusEvent) {
        match event {
            BusEvent::Message { channel, payload } => {
                if self.on_message(channel, &payload).is_err() {
                    bad_payload();
                }
            }
            // Messages that were published meanwhile are lost. A poll finds what they said.
            BusEvent::Up(partitions) => {
                self.hearing.on_up(&partitions, Instant::now() + self.config.repair_settling);
                self.poll_now.notify_one();
            }
            BusEvent::Down(partitions) => {
                self.hearing.on_down(&partitions);
                self.poll_now.notify_one();
            }
        }
    }

    /// Handles a bus message about a chat.
    fn on_chat_bytes(self: &Arc<Self>, chat: ChatId, payload: &[u8]) {
        if let Some(head) = self.on_run(payload) {
            relayed(head.published_ms);
            return;
        }
        match serde_json::from_slice(payload) {
            Ok(payload) => self.on_chat_payload(chat, payload),
            Err(_) => bad_payload(),
        }
    }

    /// Handles the payloads of a crowded chat that are delivered together. `true` if there were events among them.
    fn on_crowd(self: &Arc<Self>, chat: ChatId, payloads: Vec<Payload>) -> bool {
        let mut together = LiveRun::default();
        for payload in payloads {
            let Some((head, run)) = self.read_run(&payload.bytes) else {
                // Not before the events that came before it.
                self.on_live(chat, mem::take(&mut together));
                self.on_chat_bytes(chat, &payload.bytes);
                continue;
            };
            if payload.from == PayloadSource::Bus {
                relayed(head.published_ms);
            }
            together.cause = together.cause.or(run.cause);
            together.events.extend(run.events);
        }
        let has_events = !together.events.is_empty();
        self.on_live(chat, together);
        has_events
    }

    fn on_message(self: &Arc<Self>, channel: Channel, payload: &Bytes) -> serde_json::Result<()> {
        match channel {
            Channel::Chat(chat) => {
                if !self.crowds.hand_over(chat, payload) {
                    self.on_chat_bytes(chat, payload);
                }
            }
            Channel::User(user) => match serde_json::from_slice(payload)? {
                UserPayload::Added { chat_id } => self.welcome(user, chat_id),
                UserPayload::Removed { chat_id, banned } => {
                    let how = if banned { Parting::Barred } else { Parting::Member };
                    self.part(user, chat_id, how);
                }
                UserPayload::Wake { chat_id, after } => {
                    self.invite(user, chat_id, Invitation::Woke(after), Cause::Invited);
                }
                UserPayload::Read { chat_id, message_id } => {
                    self.tell_own_read(user, chat_id, message_id);
                }
                UserPayload::Settings { chat_id, settings } => {
                    let frame = ServerFrame::ChatSettings { chat_id, settings };
                    for conn in self.users.of_user(user) {
                        conn.send(&frame, DropPolicy::Durable);
                    }
                }
            },
            Channel::Control => match serde_json::from_slice(payload)? {
                ControlPayload::Ended(ended) => self.users.end_sessions(&ended),
            },
            Channel::Orders => self.on_order(serde_json::from_slice(payload)?),
            Channel::Probe(..) => {}
        }
        Ok(())
    }

    /// A payload of `chat:{id}`.
    pub(crate) fn on_chat_payload(self: &Arc<Self>, chat_id: ChatId, payload: ChatPayload) {
        match payload {
            // An older api's, or a newer one's.
            ChatPayload::Events(run) => {
                relayed(run.published_ms);
                self.on_events(&run);
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
                // The reader's own devices get the mark from `user:{id}`.
                let frame = ServerFrame::Read { chat_id, user_id, message_id };
                self.tell_few(chat_id, &frame, user_id);
            }
            ChatPayload::ChatDeleted => self.close_chat(chat_id),
        }
    }

    /// Gives a chat with many watchers a task of its own, or ends that task when half of them have left. Called
    /// when the number of watchers may have changed. During the change two tasks may handle the chat's payloads
    /// at the same time; the feed puts their events in order.
    pub(crate) fn look_at_crowd(self: &Arc<Self>, chat: &mut LocalChat) {
        let (chat_id, watchers) = (chat.chat_id(), chat.watchers().len());
        // Half of the bound, so that a chat at the bound does not change with every watcher.
        if chat.crowded && watchers < CROWD / 2 {
            chat.crowded = false;
            self.crowds.disperse(chat_id);
        } else if !chat.crowded && watchers > CROWD {
            chat.crowded = true;
            let mut payloads = self.crowds.form(chat_id);
            let hub = Arc::clone(self);
            self.lifecycle.spawn_background(async move {
                while let Some(together) = payloads.next().await {
                    let has_delivered = hub.on_crowd(chat_id, together);
                    let watchers = hub.with_chat(chat_id, |chat| {
                        chat.suspect |= payloads.have_overflowed();
                        chat.watchers().len()
                    });
                    if let Some(watchers) = watchers.filter(|_| has_delivered) {
                        payloads.rest(watchers);
                    }
                }
            });
        }
    }
}

/// Notes how long the bus took.
fn relayed(published_ms: i64) {
    let lag = Timestamp::now().0.saturating_sub(published_ms);
    metrics::histogram!("gateway_relay_lag_seconds").record(lag.max(0) as f64 / 1e3);
}
