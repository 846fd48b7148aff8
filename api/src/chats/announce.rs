//! Telling gateways what was committed. Nothing here can fail or wait: what the bus loses, gateways
//! find by `changed`.

use bytes::Bytes;
use serde::Serialize;
use shared::{
    bus::Bus,
    chat::Event,
    id::{ChatId, UserId},
    relay::{Channel, ChatEvents, ChatPayload, UserPayload},
    telemetry::trace,
    time::Timestamp,
};

/// Wraps a run of events for the bus and for the caller.
pub(crate) fn run(chat_id: ChatId, events: Vec<Event>) -> ChatEvents {
    let (published_ms, traceparent) = (Timestamp::now().0, trace::current());
    ChatEvents { chat_id, events, published_ms, traceparent }
}

/// To every gateway with somebody in the chat.
pub(crate) fn to_chat(bus: &Bus, chat_id: ChatId, payload: &ChatPayload) {
    publish(bus, Channel::Chat(chat_id), payload);
}

/// To every gateway with a connection of the user.
pub(crate) fn to_user(bus: &Bus, user_id: UserId, payload: &UserPayload) {
    publish(bus, Channel::User(user_id), payload);
}

fn publish(bus: &Bus, channel: Channel, payload: &impl Serialize) {
    match serde_json::to_vec(payload) {
        Ok(bytes) => bus.publish(channel, Bytes::from(bytes)),
        Err(error) => tracing::error!(%error, %channel, "cannot encode what to publish"),
    }
}
