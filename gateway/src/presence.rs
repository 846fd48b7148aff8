//! Takes and gives back the users' presence leases, and tells those who share a chat. One task; it
//! never stands between a user and its messages.

use crate::hub::Hub;
use shared::{
    chat::PresenceStatus,
    id::{ChatId, UserId},
    presence::{Presence, PresenceError},
    relay::Channel,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often arrivals and departures are gathered: soon enough to look live, and a storm of
/// reconnects becomes a few calls.
const GATHER: Duration = Duration::from_millis(250);

/// The number of connections is stated anew at most this often when it changed: what
/// `/status` shows is seldom older, and a storm of connects costs a call a second.
const RESTATE: Duration = Duration::from_secs(1);

/// Users who are to give their lease back, with the chats they watched last.
type Leaving = HashMap<UserId, Vec<ChatId>>;

/// Keeps the leases for as long as the process lives.
pub(crate) async fn run(hub: Arc<Hub>, presence: Presence) {
    let mut every = tokio::time::interval(GATHER);
    let mut renewed = Instant::now();
    // The first renewal makes the node known; there is no lease yet that it could find lost.
    let mut failing = presence.renew(hub.node, 0).await.is_err();
    let mut stated = 0;
    // Gone, and not given back yet because Redis was away. At most as many as were connected.
    let mut leaving = Leaving::new();
    loop {
        every.tick().await;
        let mut result = arrivals(&hub, &presence).await;
        forget_gone(&hub, &mut leaving).await;
        result = result.and(departures(&hub, &presence, &mut leaving).await);
        let connections = hub.users.connections() as u64;
        let changed = connections != stated && renewed.elapsed() >= RESTATE;
        if changed || renewed.elapsed() >= hub.config.presence_renewal {
            renewed = Instant::now();
            let told = renew(&hub, &presence, connections).await;
            if told.is_ok() {
                stated = connections;
            }
            result = result.and(told);
        }
        if let Err(error) = &result {
            metrics::counter!("gateway_presence_errors_total").increment(1);
            if !failing {
                tracing::warn!(%error, "presence is not up to date");
            }
        }
        failing = result.is_err();
    }
}

/// Gives all leases back: the node is leaving.
pub(crate) async fn retire(hub: &Hub, presence: &Presence) {
    if let Err(error) = presence.retire(hub.node).await {
        tracing::warn!(%error, "the presence leases run out by themselves");
    }
}

async fn arrivals(hub: &Hub, presence: &Presence) -> Result<(), PresenceError> {
    let arrived = hub.users.take_arrived();
    if arrived.is_empty() {
        return Ok(());
    }
    for user in presence.enter(hub.node, &arrived).await? {
        hub.announce(user, PresenceStatus::Online, &hub.users.chats_of(user));
    }
    Ok(())
}

/// Forgets users whose grace is over. Those whom others know of are to leave.
async fn forget_gone(hub: &Hub, leaving: &mut Leaving) {
    let gone = hub.users.take_gone(hub.config.presence_grace);
    if let Some(subscriber) = hub.subscriber.get().filter(|_| !gone.is_empty()) {
        let channels: Vec<Channel> = gone.iter().map(|(id, ..)| Channel::User(*id)).collect();
        subscriber.remove(&channels);
        // One who came back in this very moment has asked for the channel again, or does so now.
        let back: Vec<Channel> = gone
            .iter()
            .filter(|(id, ..)| !hub.users.of_user(*id).is_empty())
            .map(|(id, ..)| Channel::User(*id))
            .collect();
        if !back.is_empty() {
            subscriber.add(&back).await;
        }
    }
    leaving.extend(gone.into_iter().filter(|(_, known, _)| *known).map(|(id, _, at)| (id, at)));
}

async fn departures(
    hub: &Hub,
    presence: &Presence,
    leaving: &mut Leaving,
) -> Result<(), PresenceError> {
    // Whoever is here again does not leave.
    leaving.retain(|user, _| hub.users.of_user(*user).is_empty());
    if leaving.is_empty() {
        return Ok(());
    }
    let ids: Vec<UserId> = leaving.keys().copied().collect();
    let offline = presence.leave(hub.node, &ids).await?;
    let left = std::mem::take(leaving);
    for (user, chats) in left.iter().filter(|(id, _)| offline.contains(id)) {
        hub.announce(*user, PresenceStatus::Offline, chats);
    }
    Ok(())
}

async fn renew(hub: &Hub, presence: &Presence, connections: u64) -> Result<(), PresenceError> {
    if !presence.renew(hub.node, connections).await? && connections > 0 {
        tracing::info!("the presence leases were lost, taking them again");
        // Nobody is told again: for the users nothing changed.
        presence.enter(hub.node, &hub.users.present()).await?;
        presence.renew(hub.node, connections).await?;
    }
    Ok(())
}
