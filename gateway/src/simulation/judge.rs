//! What must hold when nothing fails any more.

use super::{
    device::{Device, DeviceState},
    script::CHATS,
    world::{World, user},
};
use protocol::id::{ChatId, Seq};
use std::{collections::BTreeMap, sync::Arc};

/// What must not be, if anything.
pub(super) fn everything(world: &World, devices: &[Arc<Device>]) -> Vec<String> {
    let store = world.store.lock();
    let mut complaints = Vec::new();
    if !world.is_at_rest() {
        complaints.push("something that failed is not over".to_owned());
    }
    for device in devices {
        let (number, user) = (device.number, user(device.user));
        let state = device.state.lock();
        let mut complain = |what: String| complaints.push(format!("device {number}: {what}"));
        state.complaints.iter().cloned().for_each(&mut complain);
        if !state.is_live {
            complain("it is not connected".to_owned());
        }
        if !state.unanswered.is_empty() {
            complain(format!("it has no answer to {:?}", state.unanswered));
        }
        for (id, chat) in &store.chats {
            if !chat.members.contains_key(&user) {
                if let Some(cursor) = state.cursors.get(id) {
                    complain(format!("it has chat {id} up to {cursor:?} and is no member"));
                }
                continue;
            }
            // It may be behind the chat's end by changes that what it has includes.
            let cursor = state.cursors.get(id);
            if cursor.is_none_or(|cursor| *cursor > chat.last_seq) {
                complain(format!("it has chat {id} up to {cursor:?} of {:?}", chat.last_seq));
            }
            let (shown, stored) = (state.shown.get(id), chat.shown());
            if shown != Some(&stored) {
                complain(format!("it shows chat {id} as {shown:?}, stored is {stored:?}"));
            }
        }
        for (chat, key, message) in &state.acknowledged {
            let stored = store.chats.get(chat).and_then(|chat| chat.sent(user, key));
            if stored != Some(*message) {
                complain(format!("{key} was acknowledged as {message:?}, stored is {stored:?}"));
            }
        }
        for (chat, key) in &state.refused {
            if store.chats.get(chat).is_some_and(|chat| chat.sent(user, key).is_some()) {
                complain(format!("{key} was refused and is stored"));
            }
        }
        if !state.had_errors {
            let was_refused = |chat| store.refused.contains(&(chat, user));
            in_order(&state, was_refused).into_iter().for_each(&mut complain);
        }
    }
    complaints
}

/// A device's messages are in the order in which it sent them, where none was refused meanwhile.
fn in_order(state: &DeviceState, was_refused: impl Fn(ChatId) -> bool) -> Vec<String> {
    let mut sent: BTreeMap<ChatId, Vec<(usize, Seq)>> =
        CHATS.into_iter().map(|chat| (chat, Vec::new())).collect();
    for (chat, key, message) in &state.acknowledged {
        let number = key.rsplit('-').next().and_then(|number| number.parse().ok());
        sent.entry(*chat).or_default().push((number.unwrap_or_default(), *message));
    }
    let mut complaints = Vec::new();
    for (chat, mut messages) in sent {
        messages.sort_unstable();
        if !was_refused(chat) && !messages.is_sorted_by_key(|(_, message)| *message) {
            complaints.push(format!("its messages in {chat} changed places: {messages:?}"));
        }
    }
    complaints
}
