//! Decides from what clients recorded whether the promise was kept: nothing acknowledged lost,
//! nothing delivered twice, every chat in order, the same content everywhere. Pure: it knows no
//! sockets, and who recorded how is not its business.

use shared::id::{ChatId, Seq, UserId};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

/// A message as somebody reported it: the server in an `ack`, a device, the stored history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub chat: ChatId,
    pub id: Seq,
    pub sender: UserId,
    /// The sender's idempotency key.
    pub key: String,
    pub text: String,
}

/// What one device received, in the order of its arrival.
#[derive(Clone, Debug)]
pub struct Heard {
    pub device: String,
    /// The chats it should have heard everything of.
    pub chats: BTreeSet<ChatId>,
    pub messages: Vec<Said>,
}

/// Everything that is known about one run.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What senders were promised.
    pub acked: Vec<Said>,
    /// What the api returns in the end.
    pub stored: Vec<Said>,
    pub devices: Vec<Heard>,
}

/// One broken promise, with the shortest evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Acknowledged, but not in the stored history, or there with another content.
    NotStored { chat: ChatId, id: Seq },
    /// One send became two messages.
    StoredTwice { chat: ChatId, id: Seq, again: Seq },
    /// A device never got it.
    Lost { device: String, chat: ChatId, id: Seq },
    /// A device got it more than once.
    Repeated { device: String, chat: ChatId, id: Seq },
    /// A device got it after a later one.
    OutOfOrder { device: String, chat: ChatId, id: Seq, after: Seq },
    /// A device got something else than what is stored, or what is not stored at all.
    Altered { device: String, chat: ChatId, id: Seq },
}

/// The size of a run without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub acked: usize,
    pub stored: usize,
    pub deliveries: usize,
}

type Key = (ChatId, Seq);

impl History {
    /// All faults, of everyone, in a stable order.
    pub fn check(&self) -> Result<Summary, Faults> {
        let stored: BTreeMap<Key, &Said> =
            self.stored.iter().map(|said| ((said.chat, said.id), said)).collect();
        let mut faults = self.check_storage(&stored);
        for device in &self.devices {
            check_device(device, &stored, &mut faults);
        }
        if faults.is_empty() {
            let deliveries = self.devices.iter().map(|device| device.messages.len()).sum();
            Ok(Summary { acked: self.acked.len(), stored: stored.len(), deliveries })
        } else {
            Err(Faults(faults))
        }
    }

    fn check_storage(&self, stored: &BTreeMap<Key, &Said>) -> Vec<Fault> {
        let mut faults: Vec<Fault> = self
            .acked
            .iter()
            .filter(|said| stored.get(&(said.chat, said.id)) != Some(said))
            .map(|said| Fault::NotStored { chat: said.chat, id: said.id })
            .collect();
        let mut first = HashMap::new();
        for (&(chat, id), said) in stored {
            if let Some(earlier) = first.insert((chat, said.sender, &said.key), id) {
                faults.push(Fault::StoredTwice { chat, id: earlier, again: id });
            }
        }
        faults
    }
}

fn check_device(heard: &Heard, stored: &BTreeMap<Key, &Said>, faults: &mut Vec<Fault>) {
    let device = || heard.device.clone();
    let mut seen = BTreeSet::new();
    let mut newest: HashMap<ChatId, Seq> = HashMap::new();
    for said in &heard.messages {
        let (chat, id) = (said.chat, said.id);
        if !heard.chats.contains(&chat) || stored.get(&(chat, id)) != Some(&said) {
            faults.push(Fault::Altered { device: device(), chat, id });
        }
        if !seen.insert((chat, id)) {
            faults.push(Fault::Repeated { device: device(), chat, id });
            continue;
        }
        let newest = newest.entry(chat).or_insert(id);
        if *newest > id {
            faults.push(Fault::OutOfOrder { device: device(), chat, id, after: *newest });
        }
        *newest = id.max(*newest);
    }
    for &(chat, id) in stored.keys() {
        if heard.chats.contains(&chat) && !seen.contains(&(chat, id)) {
            faults.push(Fault::Lost { device: device(), chat, id });
        }
    }
}

/// What went wrong; prints the number of faults and the first few.
#[derive(Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} faults:", self.0.len())?;
        self.0.iter().take(12).try_for_each(|fault| writeln!(f, "  {fault:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(id: i64) -> Said {
        Said {
            chat: ChatId(1),
            id: Seq(id),
            sender: UserId(9),
            key: format!("k{id}"),
            text: format!("text {id}"),
        }
    }

    /// Three messages in a chat, acknowledged, stored, and heard by two devices.
    fn sound() -> History {
        let all = vec![said(1), said(2), said(4)];
        let device = |name: &str| Heard {
            device: name.to_owned(),
            chats: BTreeSet::from([ChatId(1)]),
            messages: all.clone(),
        };
        History {
            acked: all.clone(),
            stored: all.clone(),
            devices: vec![device("phone"), device("desk")],
        }
    }

    fn faults(history: &History) -> Vec<Fault> {
        history.check().expect_err("a planted fault is found").0
    }

    #[test]
    fn a_sound_history_passes() {
        let summary = Summary { acked: 3, stored: 3, deliveries: 6 };
        assert_eq!(sound().check(), Ok(summary));
    }

    #[test]
    fn a_planted_loss_is_found() {
        let mut history = sound();
        history.devices[1].messages.remove(1);
        let lost = Fault::Lost { device: "desk".to_owned(), chat: ChatId(1), id: Seq(2) };
        assert_eq!(faults(&history), [lost]);
    }

    #[test]
    fn a_planted_repeat_is_found() {
        let mut history = sound();
        history.devices[0].messages.push(said(1));
        let repeat = Fault::Repeated { device: "phone".to_owned(), chat: ChatId(1), id: Seq(1) };
        assert_eq!(faults(&history), [repeat]);
    }

    #[test]
    fn a_planted_reorder_is_found() {
        let mut history = sound();
        history.devices[0].messages.swap(1, 2);
        let device = "phone".to_owned();
        let late = Fault::OutOfOrder { device, chat: ChatId(1), id: Seq(2), after: Seq(4) };
        assert_eq!(faults(&history), [late]);
    }

    #[test]
    fn a_planted_alteration_is_found() {
        let mut history = sound();
        "other".clone_into(&mut history.devices[0].messages[0].text);
        let altered = Fault::Altered { device: "phone".to_owned(), chat: ChatId(1), id: Seq(1) };
        assert_eq!(faults(&history), [altered]);
    }

    #[test]
    fn a_message_of_a_foreign_chat_is_found() {
        let mut history = sound();
        history.devices[0].chats.clear();
        history.devices[0].messages.truncate(1);
        let foreign = Fault::Altered { device: "phone".to_owned(), chat: ChatId(1), id: Seq(1) };
        assert_eq!(faults(&history), [foreign]);
    }

    #[test]
    fn an_acknowledged_message_that_is_not_stored_is_found() {
        let mut history = sound();
        history.acked.push(said(5));
        assert_eq!(faults(&history), [Fault::NotStored { chat: ChatId(1), id: Seq(5) }]);
    }

    #[test]
    fn a_send_stored_twice_is_found() {
        let mut history = sound();
        let again = Said { id: Seq(5), ..said(4) };
        history.stored.push(again.clone());
        for device in &mut history.devices {
            device.messages.push(again.clone());
        }
        let twice = Fault::StoredTwice { chat: ChatId(1), id: Seq(4), again: Seq(5) };
        assert_eq!(faults(&history), [twice]);
    }
}
