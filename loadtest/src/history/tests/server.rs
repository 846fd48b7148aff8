//! A model of a sound server with its devices: what each device is sent while messages are posted,
//! edited and deleted, lines are cut, the bus is deaf and catch-ups are refused.

use super::*;
use protocol::{
    chat::{Change, Event, MemberChange, Message, UserRef},
    frames::ChatEvent,
    time::Timestamp,
};
use std::collections::BTreeMap;

pub(super) const DEVICES: usize = 4;
const SENDER: UserId = UserId(3);

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Happening {
    Post,
    /// Of the message that is so far down the list.
    Edit(usize),
    Delete(usize),
    Join,
    Cut(usize),
    /// Comes back; caught up in one page or in two, or refused when `resync`.
    Return {
        device: usize,
        pages: bool,
        resync: bool,
    },
    /// The bus delivers nothing until it is healed; the gateway then asks for what is missing.
    Deaf,
    Heal,
}

/// What a device goes through.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Heard(ChatEvent),
    Away,
    CatchingUp,
    CaughtUp(Seq),
    Resync(Seq),
}

/// The whole of it, after the end.
#[derive(Default)]
pub(super) struct Server {
    /// Everything that was committed, in order; each event was acknowledged.
    pub events: Vec<Event>,
    pub messages: BTreeMap<i64, StoredRow>,
    pub devices: [Device; DEVICES],
    deaf: bool,
}

/// A message in the database.
#[derive(Clone, Debug)]
pub(super) struct StoredRow {
    pub text: String,
    /// Its last change.
    pub seq: i64,
    pub gone: bool,
}

#[derive(Default)]
pub(super) struct Device {
    pub steps: Vec<Step>,
    away: bool,
    cursor: i64,
}

impl Server {
    /// Lets all of this happen, then heals everything and brings everybody back.
    pub(super) fn after(happenings: &[Happening]) -> Self {
        let mut server = Self::default();
        happenings.iter().for_each(|happening| server.on(*happening));
        server.on(Happening::Heal);
        for device in 0..DEVICES {
            server.on(Happening::Return { device, pages: false, resync: false });
        }
        server
    }

    fn on(&mut self, happening: Happening) {
        let seq = self.events.len() as i64 + 1;
        match happening {
            Happening::Post => {
                let row = StoredRow { text: format!("message {seq}"), seq, gone: false };
                let change = Change::Message(message_of(seq, &row));
                self.messages.insert(seq, row);
                self.commit(change);
            }
            Happening::Edit(of) | Happening::Delete(of) => {
                let mut alive: Vec<_> =
                    self.messages.iter_mut().filter(|(_, row)| !row.gone).collect();
                if alive.is_empty() {
                    return;
                }
                let at = of % alive.len();
                let (id, row) = &mut alive[at];
                row.seq = seq;
                let change = if matches!(happening, Happening::Edit(_)) {
                    row.text = format!("edit {seq}");
                    Change::Edited(message_of(**id, row))
                } else {
                    row.gone = true;
                    gone(**id)
                };
                self.commit(change);
            }
            Happening::Join => self.commit(joined()),
            Happening::Cut(device) => {
                let device = &mut self.devices[device % DEVICES];
                if !std::mem::replace(&mut device.away, true) {
                    device.steps.push(Step::Away);
                }
            }
            Happening::Return { device, pages, resync } => {
                self.welcome(device % DEVICES, pages, resync)
            }
            Happening::Deaf => self.deaf = true,
            Happening::Heal => {
                self.deaf = false;
                let head = self.events.len() as i64;
                for at in 0..DEVICES {
                    if !self.devices[at].away {
                        let missed = self.range(self.devices[at].cursor, head);
                        self.devices[at].hear(missed, head);
                    }
                }
            }
        }
    }

    fn commit(&mut self, change: Change) {
        let event = Event { seq: Seq(self.events.len() as i64 + 1), change };
        self.events.push(event.clone());
        if !self.deaf {
            for device in self.devices.iter_mut().filter(|device| !device.away) {
                device.hear(vec![event.clone()], event.seq.0);
            }
        }
    }

    fn welcome(&mut self, at: usize, pages: bool, resync: bool) {
        if !self.devices[at].away {
            return;
        }
        let head = self.events.len() as i64;
        self.devices[at].away = false;
        self.devices[at].steps.push(Step::CatchingUp);
        if resync {
            self.devices[at].cursor = head;
            self.devices[at].steps.push(Step::Resync(Seq(head)));
            return;
        }
        let cursor = self.devices[at].cursor;
        let middle = if pages { cursor + (head - cursor) / 2 } else { head };
        for (after, upto) in [(cursor, middle), (middle, head)] {
            let page = self.range(after, upto);
            self.devices[at].hear(page, upto);
        }
        self.devices[at].steps.push(Step::CaughtUp(Seq(head)));
    }

    /// What a reader at `after` is sent of the places up to `upto`: each message once, in its latest
    /// state, at its creation's place or, when that was read before, at its last change's.
    fn range(&self, after: i64, upto: i64) -> Vec<Event> {
        let place = |seq: i64| {
            let event = &self.events[usize::try_from(seq - 1).unwrap()];
            let id = match &event.change {
                Change::Message(message) | Change::Edited(message) => message.id.0,
                Change::Deleted { id, .. } => id.0,
                _ => return Some(event.clone()),
            };
            let row = &self.messages[&id];
            let shown = id == seq || (id <= after && row.seq == seq);
            let change = match (row.gone, id == seq) {
                (true, _) => gone(id),
                (false, true) => Change::Message(message_of(id, row)),
                (false, false) => Change::Edited(message_of(id, row)),
            };
            shown.then_some(Event { seq: Seq(seq), change })
        };
        (after + 1..=upto).filter_map(place).collect()
    }
}

impl Device {
    fn hear(&mut self, events: Vec<Event>, upto: i64) {
        let heard = |event| Step::Heard(ChatEvent { chat_id: CHAT, event });
        self.steps.extend(events.into_iter().map(heard));
        self.cursor = upto;
    }
}

fn message_of(id: i64, row: &StoredRow) -> Message {
    Message {
        id: Seq(id),
        sender: UserRef::registered(SENDER, "ann"),
        text: row.text.clone(),
        timestamp: Timestamp(0),
        client_message_id: Some(format!("key {id}")),
        reply_to: None,
        edited_at: None,
    }
}

fn gone(id: i64) -> Change {
    Change::Deleted { id: Seq(id), by: SENDER, timestamp: Timestamp(0) }
}

fn joined() -> Change {
    let user = UserRef::registered(UserId(4), "bob");
    Change::Member { user, change: MemberChange::Joined, by: SENDER, timestamp: Timestamp(0) }
}
