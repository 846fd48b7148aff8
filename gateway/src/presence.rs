//! Takes and gives back the users' presence leases, and tells those who share a chat. One task; it
//! never stands between a user and its messages.

use crate::hub::Hub;
use shared::{
    chat::PresenceStatus,
    id::{ChatId, UserId},
    presence::{Presence, PresenceError},
    relay::Channel,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often arrivals and departures are gathered: soon enough to look live, and a storm of
/// reconnects becomes a few calls.
const GATHER: Duration = Duration::from_millis(250);

/// Keeps the leases for as long as the process lives.
pub(crate) async fn run(hub: Arc<Hub>, presence: Presence) {
    let mut every = tokio::time::interval(GATHER);
    let mut renewed = Instant::now();
    let mut failing = false;
    loop {
        every.tick().await;
        let mut result = arrivals(&hub, &presence).await;
        result = result.and(departures(&hub, &presence).await);
        if renewed.elapsed() >= hub.config.presence_renewal {
            renewed = Instant::now();
            result = result.and(renew(&hub, &presence).await);
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

async fn departures(hub: &Hub, presence: &Presence) -> Result<(), PresenceError> {
    let gone = hub.users.take_gone(hub.config.presence_grace);
    if gone.is_empty() {
        return Ok(());
    }
    if let Some(subscriber) = hub.subscriber.get() {
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
    let known: Vec<(UserId, Vec<ChatId>)> =
        gone.into_iter().filter(|(_, known, _)| *known).map(|(id, _, chats)| (id, chats)).collect();
    let ids: Vec<UserId> = known.iter().map(|(id, _)| *id).collect();
    let offline = presence.leave(hub.node, &ids).await?;
    for (user, chats) in known.iter().filter(|(id, _)| offline.contains(id)) {
        hub.announce(*user, PresenceStatus::Offline, chats);
    }
    Ok(())
}

async fn renew(hub: &Hub, presence: &Presence) -> Result<(), PresenceError> {
    let connections = hub.users.connections() as u64;
    if !presence.renew(hub.node, connections).await? && connections > 0 {
        tracing::info!("the presence leases were lost, taking them again");
        // Nobody is told again: for the users nothing changed.
        presence.enter(hub.node, &hub.users.present()).await?;
        presence.renew(hub.node, connections).await?;
    }
    Ok(())
}
