//! A crowd that chats while something breaks: users with a device on each gateway, a few chats or many,
//! everyone sending at once, and in the end the history checker's verdict on all of it.

use super::live::{Deliveries, DeliveryTimes};
use crate::{
    harness::{Device, System, User, want, within},
    weather::people,
};
use futures_util::future::join_all;
use loadtest::history::{HistoryMessage, Ledger, LedgerLimits, StoredChats, Verdict};
use protocol::id::{ChatId, Seq, UserId};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

/// How many take part.
pub const SENDERS: usize = 20;
pub const CHATS: usize = 5;

/// Members of a chat, two devices each: every user is in two fifths of the chats.
const DEVICES_OF_A_CHAT: usize = SENDERS * 2 / 5 * 2;

/// Between two messages of one sender, in a steady crowd: it leaves the machine time for what breaks.
const PAUSE: Duration = Duration::from_millis(100);

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
    pub chats: Vec<ChatId>,
    devices: JoinSet<(Device, DeliveryTimes)>,
    ledger: Arc<Ledger>,
    progress: watch::Receiver<Progress>,
    call: watch::Sender<Call>,
    messages: usize,
}

impl Crowd {
    /// Brings everyone together and lets them send as fast as they can, so many messages in all or more.
    /// Every user has a device on both gateways; the first one sends.
    pub async fn start(t: &System, messages: usize) -> Self {
        Self::gather(t, CHATS, messages, Duration::ZERO).await
    }

    /// The same, in so many chats, a multiple of ten, and at a pace that it can keep for long. Each chat is written to
    /// from one gateway only, so that the other one has nothing but the relay to hear of it at once.
    pub async fn start_steady(t: &System, chats: usize) -> Self {
        Self::gather(t, chats, 0, PAUSE).await
    }

    async fn gather(t: &System, chats: usize, messages: usize, pause: Duration) -> Self {
        let admin = t.admin().await;
        let users = people(&admin, SENDERS).await;
        let described = (0..chats).map(|chat| {
            let members = users.iter().enumerate();
            let members = members.filter(|(user, _)| chats_of(*user, chats).any(|one| one == chat));
            let members: Vec<UserId> = members.map(|(_, user)| user.id).collect();
            json!({ "chat_type": "group", "name": format!("chat {chat}"), "member_ids": members })
        });
        // By the administrator, because nobody may invite strangers into so many chats.
        let body = json!({ "chats": described.collect::<Vec<_>>() });
        let made = admin.rest.post("/admin/chats/bulk", body).await.ok();
        let made = made["chat_ids"].as_array().expect("ids");
        let chats: Vec<ChatId> = made.iter().filter_map(Value::as_i64).map(ChatId).collect();
        // Everyone is there before the first message is sent.
        let ledger = Ledger::new(LedgerLimits::default());
        let mut everyone = Vec::new();
        for (number, user) in users.iter().enumerate() {
            let home = number % 2;
            for (node, shares) in [(home, true), (1 - home, false)] {
                let mut device = user.connect_to(node).await.returning();
                device.track.record(&ledger, &format!("{} on {node}", user.username));
                let of_this_gateway = |chat: &usize| pause.is_zero() || chat % 2 == home;
                let own = chats_of(number, chats.len()).filter(of_this_gateway);
                let chats = own.map(|chat| chats[chat]).collect();
                let share = messages / SENDERS;
                everyone.push((device, shares.then_some(SendQuota { chats, share, pause })));
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
        let (mut devices, mut times) = (Vec::new(), Vec::new());
        while let Some(ended) = self.devices.join_next().await {
            let (device, its_times) = device(ended);
            devices.push(device);
            times.push(its_times);
        }
        devices.iter_mut().for_each(|device| device.track.end_record());
        let verdict = self.verdict().await;
        assert!(verdict.is_sound(), "{verdict:#?}");
        assert_eq!(verdict.devices, 2 * SENDERS as u64);
        assert_eq!((verdict.away, verdict.skipped), (0, 0), "{verdict:?}");
        assert!(verdict.acked >= self.messages as u64, "{verdict:?}");
        assert_eq!(verdict.stored, verdict.acked);
        assert_eq!(verdict.delivered, verdict.stored * DEVICES_OF_A_CHAT as u64);
        Party { devices, deliveries: Deliveries::of(times) }
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
        let is_member = |user: &usize| chats_of(*user, self.chats.len()).any(|one| one == chat);
        let member = (0..SENDERS).find(is_member);
        &self.users[member.expect("every chat has members")]
    }
}

/// The crowd's devices after the end.
pub struct Party {
    devices: Vec<Device>,
    pub deliveries: Deliveries,
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

/// Which of so many chats a user is in.
fn chats_of(user: usize, chats: usize) -> impl Iterator<Item = usize> {
    let first = user * chats / SENDERS;
    (first..first + chats * 2 / 5).map(move |chat| chat % chats)
}

fn device<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

/// What a device that sends has to send, taking turns between its chats.
struct SendQuota {
    chats: Vec<ChatId>,
    /// How many at least.
    share: usize,
    /// Between two of them.
    pause: Duration,
}

/// One device's life: sends its part, a few at a time, and stays until it has everything.
async fn take_part(
    mut device: Device,
    part: Option<SendQuota>,
    progress: watch::Sender<Progress>,
    mut call: watch::Receiver<Call>,
) -> (Device, DeliveryTimes) {
    let (mut sent, mut counted, mut resting) = (0, 0, part.is_none());
    let (mut next, mut times) = (Instant::now(), DeliveryTimes::default());
    loop {
        let Call { enough, ending } = call.borrow_and_update().clone();
        if ending.as_ref().is_some_and(|ending| ending.missing(&device).is_none()) {
            break;
        }
        let mut may_send_at = None;
        if let Some(SendQuota { chats, share, pause }) = &part {
            while device.track.in_flight() < WINDOW && !(enough && sent >= *share) {
                if Instant::now() < next {
                    may_send_at = Some(next);
                    break;
                }
                let text = format!("{} of {}", sent, device.user.username);
                device.submit(chats[sent % chats.len()], &text).await;
                sent += 1;
                next = Instant::now() + *pause;
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
            frame = device.pump() => times.note(&frame),
            _ = call.changed() => {}
            () = due(may_send_at) => {}
            () = due(ending.as_ref().map(|ending| ending.by)) => {
                let missing = ending.and_then(|ending| ending.missing(&device));
                panic!("{} has not caught up: {missing:?}", device.user.username);
            }
        }
    }
    // Whatever is delivered twice has come by the time a ping is answered.
    device.expect_none(want::error("none")).await;
    (device, times)
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

/// Never, if there is no such time.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
