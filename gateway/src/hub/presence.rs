//! Reports the users of this node to the presence register, and tells the shared chats who comes and goes:
//! this node's users, and those of dead nodes. One task does this, and it never stands between a user and its
//! messages. It ends with the node's lease and writes nothing afterwards.

use crate::hub::{Hub, users::Departed};
use platform::presence::{Gone, Lease, Presence, PresenceError};
use protocol::{
    chat::{ChatType, PresenceStatus},
    id::{ChatId, NodeId, UserId},
    relay::Channel,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The interval of the rounds that report arrivals and departures. It is short enough to look live, and long
/// enough to turn a storm of reconnects into a few calls.
const GATHER: Duration = Duration::from_millis(250);

/// The shortest time between two statements of a changed number of connections. `/status` seldom shows an
/// older number, and a storm of connects costs one call a second.
const RESTATE: Duration = Duration::from_secs(1);

/// The interval at which a node looks for dead nodes. Each look costs Redis one command for each node: about
/// 1,000 a second with 50 nodes, a thousandth of what Redis can do.
const LOOK: Duration = Duration::from_secs(2);

/// The maximum number of users in one call. The node acts on each answer before the next call, so a failed call
/// costs no other call's answer.
const CHUNK: usize = 500;

/// Selects the chats that hear when a user comes or goes: private chats first, then groups, at most `most`.
/// Expects the chats in the order of `ready`, the most recently active first. Rooms are left out, because
/// their visitors need not know about each other.
pub(crate) fn chats_to_tell(
    chats: impl Iterator<Item = (ChatId, ChatType)> + Clone,
    most: usize,
) -> Vec<ChatId> {
    let of = |kind| chats.clone().filter(move |(_, of)| *of == kind).map(|(chat, _)| chat);
    of(ChatType::Private).chain(of(ChatType::Group)).take(most).collect()
}

/// Keeps the node's lease until `leave` is cancelled, then gives it back. After that other nodes announce that
/// this node's users are gone, except users who connected again.
pub(crate) async fn run(hub: Arc<Hub>, presence: Presence, leave: CancellationToken) {
    let mut every = tokio::time::interval(GATHER);
    // The first renewal makes the node known. Its answer says nothing: there was no lease to lose yet.
    let mut failing = presence.renew(hub.node, 0).await.is_err();
    let now = Instant::now();
    let mut keeper = PresenceKeeper {
        hub,
        presence,
        leaving: HashMap::new(),
        dead: HashMap::new(),
        looked: now,
        renewed: now,
        overdue: failing,
        stated: 0,
        swept: false,
    };
    loop {
        tokio::select! {
            // The order to leave comes first: nothing may be written after the lease ends.
            biased;
            () = leave.cancelled() => break,
            _ = every.tick() => {}
        }
        let result = keeper.round().await;
        if let Err(error) = &result {
            metrics::counter!("gateway_presence_errors_total").increment(1);
            if !failing {
                tracing::warn!(%error, "presence is not up to date");
            }
        }
        failing = result.is_err();
    }
    if let Err(error) = keeper.presence.retire(keeper.hub.node).await {
        tracing::warn!(%error, "the presence lease runs out by itself");
    }
}

struct PresenceKeeper {
    hub: Arc<Hub>,
    presence: Presence,
    /// Users who are gone here but still in the register, each with the chats that this node told. Bounded by
    /// the number of users who were connected.
    leaving: HashMap<UserId, Vec<ChatId>>,
    /// Nodes without a lease, each with the time at which this node noticed.
    dead: HashMap<NodeId, Instant>,
    looked: Instant,
    renewed: Instant,
    /// The last renewal failed, so the next one comes soon. Once Redis is back, the lease must stand before
    /// the grace ends after which other nodes take this one for dead.
    overdue: bool,
    /// The number of connections that the register has.
    stated: u64,
    /// Other nodes announced that this node's users are gone, and not all of them are in the register again.
    swept: bool,
}

impl PresenceKeeper {
    async fn round(&mut self) -> Result<(), PresenceError> {
        // Every step runs even if an earlier one failed: an outage of one call must not cost the lease.
        let stated = self.state_users().await;
        self.forget_gone().await;
        let departures = self.departures().await;
        let lease = self.lease().await;
        stated.and(departures).and(lease).and(self.sweep().await)
    }

    /// Tells the register about users here whose state changed. Announces each user in the chats that do not know
    /// yet that the user is online.
    async fn state_users(&self) -> Result<(), PresenceError> {
        let unstated = self.hub.users.take_unstated();
        for (number, chunk) in unstated.chunks(CHUNK).enumerate() {
            match self.presence.enter(self.hub.node, chunk).await {
                Ok(entered) => {
                    for one in entered {
                        self.hub.announce(one.user, PresenceStatus::Online, &one.untold);
                        self.hub.users.on_elsewhere(one.user, one.elsewhere);
                    }
                }
                Err(error) => {
                    self.hub.users.put_back(&unstated[number * CHUNK..]);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Gives up the channels of users whose grace is over. Users whom others know to be here become departures.
    async fn forget_gone(&mut self) {
        let gone = self.hub.users.take_departed();
        if let Some(subscriber) = self.hub.subscriber.get().filter(|_| !gone.is_empty()) {
            let channels: Vec<Channel> = gone.iter().map(|one| Channel::User(one.user)).collect();
            subscriber.remove(&channels);
            // A user who came back at this moment may have subscribed before the removal: subscribe again.
            let back: Vec<Channel> = gone
                .iter()
                .filter(|one| !self.hub.users.of_user(one.user).is_empty())
                .map(|one| Channel::User(one.user))
                .collect();
            if !back.is_empty() {
                subscriber.add(&back).await;
            }
        }
        let known = gone.into_iter().filter(|one| one.present);
        self.leaving.extend(known.map(|Departed { user, chats, .. }| (user, chats)));
    }

    /// Takes users who left out of the register and announces those who are on no other node.
    async fn departures(&mut self) -> Result<(), PresenceError> {
        // A user who is present again does not leave. One who has only connected stays on the list, since it
        // may be gone again before it is present.
        self.leaving.retain(|user, _| !self.hub.users.is_present(*user));
        let ids = self.leaving.keys().copied();
        let ids: Vec<UserId> =
            ids.filter(|user| self.hub.users.of_user(*user).is_empty()).collect();
        for chunk in ids.chunks(CHUNK) {
            let mut gone = self.presence.leave(self.hub.node, chunk).await?;
            let mut left = HashMap::new();
            for user in chunk {
                left.extend(self.leaving.remove(user).map(|chats| (*user, chats)));
            }
            for Gone { user, chats } in &mut gone {
                // A register that lost its data does not know which chats this node told.
                chats.extend(left.remove(user).unwrap_or_default());
            }
            self.tell_gone(gone);
        }
        Ok(())
    }

    /// Renews the lease when it is due. States all users again if the lease was lost.
    async fn lease(&mut self) -> Result<(), PresenceError> {
        let connections = self.hub.users.connections() as u64;
        let soon = connections != self.stated || self.overdue;
        let wait = if soon { RESTATE } else { self.hub.config.presence.renewal };
        if self.renewed.elapsed() < wait {
            return Ok(());
        }
        self.renewed = Instant::now();
        let lease = self.presence.renew(self.hub.node, connections).await;
        self.overdue = lease.is_err();
        let lease = lease?;
        self.stated = connections;
        self.swept = connections > 0 && (self.swept || lease == Lease::Swept);
        if lease == Lease::Held || connections == 0 {
            return Ok(());
        }
        tracing::info!("the presence lease was lost, stating all users again");
        for chunk in self.hub.users.present_users().chunks(CHUNK) {
            for entered in self.presence.enter(self.hub.node, chunk).await? {
                // Unless other nodes announced that these users are gone, nothing changed for their chats.
                if self.swept {
                    self.hub.announce(entered.user, PresenceStatus::Online, &entered.untold);
                }
            }
        }
        self.swept = false;
        Ok(())
    }

    /// Announces that users of dead nodes are gone who did not come back to another node within the grace. All
    /// nodes do this at the same time; the register gives each user to one of them.
    async fn sweep(&mut self) -> Result<(), PresenceError> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let dead = self.presence.dead().await?;
            self.dead.retain(|node, _| dead.contains(node));
            for node in dead.into_iter().filter(|node| *node != self.hub.node) {
                self.dead.entry(node).or_insert_with(Instant::now);
            }
        }
        let over = |since: &Instant| since.elapsed() >= self.hub.config.presence.grace;
        let due: Vec<NodeId> =
            self.dead.iter().filter(|(_, since)| over(since)).map(|(node, _)| *node).collect();
        for node in due {
            // One call for each node and round, so that thousands of announcements take some seconds.
            match self.presence.sweep(node).await? {
                Some(gone) => self.tell_gone(gone),
                None => drop(self.dead.remove(&node)),
            }
        }
        Ok(())
    }

    fn tell_gone(&self, gone: Vec<Gone>) {
        for Gone { user, chats } in gone {
            let chats: BTreeSet<ChatId> = chats.into_iter().collect();
            let chats: Vec<ChatId> = chats.into_iter().collect();
            self.hub.announce(user, PresenceStatus::Offline, &chats);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        backend::scripted::Scripted,
        config::Config,
        dialect::Window,
        testing::{chat, connect, gateway_in, taken, watch},
    };
    use platform::presence::Here;
    use protocol::id::Seq;

    /// The dead are looked for every two seconds, which bounds what that costs the register.
    #[tokio::test(start_paused = true)]
    async fn users_of_a_dead_node_are_gone_after_the_next_look_and_the_grace() {
        let (presence, dead, config) = (Presence::local(), NodeId::random(), Config::default());
        let grace = config.presence.grace;
        let gateway = gateway_in(presence.clone(), &Arc::new(Scripted::default()), config);
        let group = chat(ChatId(1), ChatType::Group, Seq::ZERO);
        let bob = connect(&gateway, UserId(2), Window::Native);
        watch(&gateway, &bob.conn, &group);
        presence.renew(dead, 1).await.unwrap();
        let ann = Here { user: UserId(1), sockets: 1, chats: vec![group.id] };
        presence.enter(dead, &[ann]).await.unwrap();
        presence.retire(dead).await.unwrap();
        tokio::time::sleep(grace + LOOK / 2).await;
        assert!(taken(&bob.conn).frames.is_empty(), "she may come back");
        tokio::time::sleep(LOOK).await;
        let frames = taken(&bob.conn).frames;
        let frames: Vec<&str> = frames.iter().map(|frame| frame.text()).collect();
        let gone = r#"{"type":"presence","user_id":1,"status":"offline"}"#;
        assert_eq!(frames, [gone]);
    }

    #[test]
    fn private_chats_come_first_then_the_most_recently_active_and_rooms_take_no_place() {
        use ChatType::{Group, Private, Room};
        let chats = [(9, Room), (8, Group), (2, Private), (7, Group), (5, Private)];
        let chats = chats.map(|(id, kind)| (ChatId(id), kind));
        let ids = |most| {
            chats_to_tell(chats.into_iter(), most)
                .into_iter()
                .map(|chat| chat.0)
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(50), [2, 5, 8, 7]);
        assert_eq!(ids(3), [2, 5, 8]);
    }
}
