//! A crowd that chats while something breaks: users with a device on each gateway, a few chats,
//! everyone sending at once, and in the end the history checker's verdict on all of it.

use crate::harness::{Device, System, User, want, within};
use futures_util::future::join_all;
use loadtest::history::{HistoryMessage, Ledger, LedgerLimits, StoredChats, Verdict};
use protocol::id::{ChatId, Seq};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

/// How many take part.
pub const SENDERS: usize = 20;
pub const CHATS: usize = 5;

/// Every user is in this many of the chats.
const CHATS_OF_A_USER: usize = 2;

/// Members of a chat, two devices each.
const DEVICES_OF_A_CHAT: usize = SENDERS * CHATS_OF_A_USER / CHATS * 2;

/// Messages that one sender has on their way at once.
const WINDOW: usize = 4;

/// A run that makes no progress for so long has failed.
const STALLED: Duration = Duration::from_secs(60);

/// What the crowd is told.
#[derive(Clone, Default)]
struct Call {
    /// Who has sent its share may stop.
    enough: bool,
    /// Once nobody sends any more: who has everything may go.
    ending: Option<Ending>,
}

/// Where every chat ends, and by when everyone has to have all of it.
#[derive(Clone)]
struct Ending {
    ends: HashMap<ChatId, Seq>,
    by: Instant,
}

/// What the crowd tells.
#[derive(Clone, Copy, Default)]
struct Progress {
    acked: usize,
    /// Senders that have stopped, with nothing left unacknowledged.
    resting: usize,
}

/// A crowd in action. It sends until it is told to finish.
pub struct Crowd {
    users: Vec<User>,
    chats: Vec<ChatId>,
    devices: JoinSet<Device>,
    ledger: Arc<Ledger>,
    progress: watch::Receiver<Progress>,
    call: watch::Sender<Call>,
    messages: usize,
}

impl Crowd {
    /// Brings everyone together and lets them send, so many messages in all or more. Every user has
    /// a device on both gateways; the first one sends.
    pub async fn start(t: &System, messages: usize) -> Self {
        let users = join_all((0..SENDERS).map(async |_| t.user("sender").await)).await;
        let chats = join_all((0..CHATS).map(async |chat| {
            let members = users.iter().enumerate();
            let members = members.filter(|(user, _)| chats_of(*user).any(|one| one == chat));
            let members: Vec<&User> = members.map(|(_, user)| user).collect();
            members[0].group(&format!("chat {chat}"), &members[1..]).await
        }))
        .await;
        // Everyone is there before the first message is sent.
        let ledger = Ledger::new(LedgerLimits::default());
        let mut everyone = Vec::new();
        for (number, user) in users.iter().enumerate() {
            for (node, shares) in [(number % 2, true), ((number + 1) % 2, false)] {
                let mut device = user.connect_to(node).await.returning();
                device.track.record(&ledger, &format!("{} on {node}", user.username));
                let chats = chats_of(number).map(|chat| chats[chat]).collect();
                everyone.push((
                    device,
                    shares.then_some(SendQuota { chats, share: messages / SENDERS }),
                ));
            }
        }
        let (telling, progress) = watch::channel(Progress::default());
        let (call, told) = watch::channel(Call::default());
        let mut devices = JoinSet::new();
        for (device, part) in everyone {
            devices.spawn(take_part(device, part, telling.clone(), told.clone()));
        }
        Self { users, chats, devices, ledger, progress, call, messages }
    }

    /// Waits until so many more messages are acknowledged.
    pub async fn acks(&mut self, more: usize) {
        let count = self.progress.borrow().acked + more;
        self.until(|progress| progress.acked >= count).await;
    }

    async fn until(&mut self, holds: impl Fn(&Progress) -> bool) {
        while !holds(&self.progress.borrow_and_update()) {
            let what = format!("an ack after {}", self.progress.borrow().acked);
            tokio::select! {
                changed = within(STALLED, &what, self.progress.changed()) => {
                    changed.expect("the devices live");
                }
                Some(ended) = self.devices.join_next() => drop(device(ended)),
            }
        }
    }

    /// Lets everyone send the rest, waits until everyone has everything, at most so long after the
    /// last ack, and holds the histories against each other.
    pub async fn finish(mut self, catch_up: Duration) -> Party {
        self.call.send_modify(|call| call.enough = true);
        self.until(|progress| progress.resting == SENDERS).await;
        let mut ends = HashMap::new();
        for (number, chat) in self.chats.iter().enumerate() {
            let seq = self.member(number).chat(*chat).await["seq"].as_i64().expect("a seq");
            ends.insert(*chat, Seq(seq));
        }
        let by = Instant::now() + catch_up;
        self.call.send_modify(|call| call.ending = Some(Ending { ends, by }));
        let mut devices = Vec::new();
        while let Some(ended) = self.devices.join_next().await {
            devices.push(device(ended));
        }
        devices.iter_mut().for_each(|device| device.track.end_record());
        let verdict = self.verdict().await;
        assert!(verdict.is_sound(), "{verdict:#?}");
        assert_eq!(verdict.devices, 2 * SENDERS as u64);
        assert_eq!((verdict.away, verdict.skipped), (0, 0), "{verdict:?}");
        assert!(verdict.acked >= self.messages as u64, "{verdict:?}");
        assert_eq!(verdict.stored, verdict.acked);
        assert_eq!(verdict.delivered, verdict.stored * DEVICES_OF_A_CHAT as u64);
        Party { devices }
    }

    async fn verdict(&self) -> Verdict {
        let read = self.chats.iter().enumerate();
        let read = join_all(read.map(|(number, chat)| self.member(number).messages(*chat))).await;
        let mut stored = StoredChats::default();
        for (chat, messages) in self.chats.iter().zip(&read) {
            stored.chat(*chat, Seq::ZERO);
            for said in messages {
                let (id, sender, key, text) = (said.id, said.sender, &said.key, &said.text);
                stored.add(*chat, &HistoryMessage { id, sender, key, text });
            }
        }
        self.ledger.record().check(&stored)
    }

    /// A member of this chat.
    fn member(&self, chat: usize) -> &User {
        let member = (0..SENDERS).find(|user| chats_of(*user).any(|one| one == chat));
        &self.users[member.expect("every chat has members")]
    }
}

/// The crowd's devices after the end.
pub struct Party {
    devices: Vec<Device>,
}

impl Party {
    /// How many of the devices had to connect again.
    pub fn reconnected(&self) -> usize {
        self.devices.iter().filter(|device| device.connections > 1).count()
    }

    /// How often one was told that something could not be caught up.
    pub fn resyncs(&self) -> usize {
        self.devices.iter().map(|device| device.track.resyncs).sum()
    }
}

fn chats_of(user: usize) -> impl Iterator<Item = usize> {
    (user..user + CHATS_OF_A_USER).map(|chat| chat % CHATS)
}

fn device(ended: Result<Device, JoinError>) -> Device {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What a device that sends has to send, taking turns between its chats.
struct SendQuota {
    chats: Vec<ChatId>,
    /// How many at least.
    share: usize,
}

/// One device's life: sends its part, a few at a time, and stays until it has everything.
async fn take_part(
    mut device: Device,
    part: Option<SendQuota>,
    progress: watch::Sender<Progress>,
    mut call: watch::Receiver<Call>,
) -> Device {
    let (mut sent, mut counted, mut resting) = (0, 0, part.is_none());
    loop {
        let Call { enough, ending } = call.borrow_and_update().clone();
        if ending.as_ref().is_some_and(|ending| ending.missing(&device).is_none()) {
            break;
        }
        if let Some(SendQuota { chats, share }) = &part {
            while device.track.in_flight() < WINDOW && !(enough && sent >= *share) {
                let text = format!("{} of {}", sent, device.user.username);
                device.submit(chats[sent % chats.len()], &text).await;
                sent += 1;
            }
        }
        let rests = !resting && device.track.in_flight() == 0;
        let acked = device.track.acked.len() - counted;
        if acked > 0 || rests {
            progress.send_modify(|all| {
                all.acked += acked;
                all.resting += usize::from(rests);
            });
            counted += acked;
            resting |= rests;
        }
        tokio::select! {
            _ = device.pump() => {}
            _ = call.changed() => {}
            () = overdue(ending.as_ref()) => {
                let missing = ending.and_then(|ending| ending.missing(&device));
                panic!("{} has not caught up: {missing:?}", device.user.username);
            }
        }
    }
    // Whatever is delivered twice has come by the time a ping is answered.
    device.expect_none(want::error("none")).await;
    device
}

impl Ending {
    /// A chat of which the device does not have everything: what it has, and the end.
    fn missing(&self, device: &Device) -> Option<(ChatId, Seq, Seq)> {
        let behind = |(chat, end): (&ChatId, &Seq)| {
            let at = device.track.cursors.get(chat).filter(|at| *at < end)?;
            Some((*chat, *at, *end))
        };
        self.ends.iter().find_map(behind)
    }
}

/// When everyone should have had everything; never, before the ending is known.
async fn overdue(ending: Option<&Ending>) {
    match ending {
        Some(ending) => sleep_until(ending.by).await,
        None => std::future::pending().await,
    }
}
