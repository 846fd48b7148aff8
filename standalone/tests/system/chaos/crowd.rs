//! A crowd that chats while something breaks: users with a device on each gateway, a few chats,
//! everyone sending at once, and in the end the history checker's verdict on all of it.

use crate::harness::{
    Device, System, User,
    history::{History, Summary},
    want, within,
};
use futures_util::future::join_all;
use shared::id::{ChatId, Seq};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};

/// How many take part.
pub const SENDERS: usize = 20;
pub const CHATS: usize = 5;

/// Every user is in this many of the chats.
const CHATS_OF_A_USER: usize = 2;

/// Messages that one sender has on their way at once.
const WINDOW: usize = 4;

/// A run that makes no progress for so long has failed.
const STALLED: Duration = Duration::from_secs(60);

/// Where every chat ends; empty until all is sent.
type Goal = HashMap<ChatId, Seq>;

/// A crowd in action. It sends until its messages are all acknowledged.
pub struct Crowd {
    users: Vec<User>,
    chats: Vec<ChatId>,
    devices: JoinSet<Device>,
    acked: watch::Receiver<usize>,
    goal: watch::Sender<Goal>,
    messages: usize,
}

impl Crowd {
    /// Brings everyone together and lets them send so many messages in all. Every user has a device
    /// on both gateways; the first one sends.
    pub async fn start(t: &System, messages: usize) -> Self {
        let users = join_all((0..SENDERS).map(async |_| t.user("sender").await)).await;
        let chats = join_all((0..CHATS).map(async |chat| {
            let members = users.iter().enumerate();
            let members = members.filter(|(user, _)| chats_of(*user).any(|one| one == chat));
            let members: Vec<&User> = members.map(|(_, user)| user).collect();
            members[0].group(&format!("chat {chat}"), &members[1..]).await
        }))
        .await;
        let (progress, acked) = watch::channel(0);
        let (goal, wanted) = watch::channel(Goal::new());
        // Everyone is there before the first message is sent.
        let mut everyone = Vec::new();
        for (number, user) in users.iter().enumerate() {
            let own: Vec<ChatId> = chats_of(number).map(|chat| chats[chat]).collect();
            let texts = (number..messages).step_by(SENDERS).enumerate();
            let plan = texts.map(|(turn, text)| (own[turn % own.len()], format!("text {text}")));
            let nodes = [number, number + 1].map(|number| number % 2);
            everyone.push((user.connect_to(nodes[0]).await.returning(), plan.collect()));
            everyone.push((user.connect_to(nodes[1]).await.returning(), VecDeque::new()));
        }
        let mut devices = JoinSet::new();
        for (device, plan) in everyone {
            devices.spawn(take_part(device, plan, progress.clone(), wanted.clone()));
        }
        Self { users, chats, devices, acked, goal, messages }
    }

    /// Waits until so many messages in all are acknowledged.
    pub async fn acked(&mut self, count: usize) {
        while *self.acked.borrow_and_update() < count {
            let what = format!("the next ack, {} of {count}", *self.acked.borrow());
            tokio::select! {
                changed = within(STALLED, &what, self.acked.changed()) => {
                    changed.expect("the devices live");
                }
                Some(ended) = self.devices.join_next() => drop(device(ended)),
            }
        }
    }

    /// How many messages are acknowledged.
    pub fn acked_so_far(&self) -> usize {
        *self.acked.borrow()
    }

    /// Waits until all is sent and everyone has everything, at most so long after the last ack,
    /// and holds the histories against each other.
    pub async fn finish(mut self, catch_up: Duration) -> Party {
        self.acked(self.messages).await;
        let mut goal = Goal::new();
        for (number, chat) in self.chats.iter().enumerate() {
            let seq = self.member(number).chat(*chat).await["seq"].as_i64().expect("a seq");
            goal.insert(*chat, Seq(seq));
        }
        self.goal.send_replace(goal);
        let mut devices = Vec::new();
        while let Some(ended) =
            within(catch_up, "everyone to catch up", self.devices.join_next()).await
        {
            devices.push(device(ended));
        }
        let summary = self.verdict(&devices).await;
        assert_eq!((summary.acked, summary.stored), (self.messages, self.messages));
        let each = CHATS_OF_A_USER * SENDERS / CHATS * 2;
        assert_eq!(summary.deliveries, self.messages * each);
        Party { devices }
    }

    async fn verdict(&self, devices: &[Device]) -> Summary {
        let stored = join_all(
            self.chats.iter().enumerate().map(|(number, chat)| self.member(number).messages(*chat)),
        )
        .await;
        let own = |device: &Device| {
            let mut heard = device.track.heard(&device.user.username);
            heard.chats.retain(|chat| self.chats.contains(chat));
            heard
        };
        let history = History {
            acked: devices.iter().flat_map(|device| device.track.acked.clone()).collect(),
            stored: stored.concat(),
            devices: devices.iter().map(own).collect(),
        };
        history.check().unwrap_or_else(|faults| panic!("{faults:?}"))
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

/// One device's life: sends its messages, a few at a time, and stays until it has everything.
async fn take_part(
    mut device: Device,
    mut plan: VecDeque<(ChatId, String)>,
    progress: watch::Sender<usize>,
    mut goal: watch::Receiver<Goal>,
) -> Device {
    let mut counted = 0;
    while !arrived(&device, &goal.borrow_and_update()) {
        while device.track.in_flight() < WINDOW
            && let Some((chat, text)) = plan.pop_front()
        {
            device.submit(chat, &text).await;
        }
        tokio::select! {
            _ = device.pump() => {}
            _ = goal.changed() => {}
        }
        let acked = device.track.acked.len();
        if acked > counted {
            progress.send_modify(|all| *all += acked - counted);
            counted = acked;
        }
    }
    // Whatever is delivered twice has come by the time a ping is answered.
    device.expect_none(want::error("none")).await;
    device
}

fn arrived(device: &Device, goal: &Goal) -> bool {
    let there = |(chat, seq)| device.track.cursors.get(chat).is_none_or(|at| at >= seq);
    !goal.is_empty() && goal.iter().all(there)
}
