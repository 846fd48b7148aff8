//! Whether the other members of private chats are connected, for chats that were found already. Without presence
//! nobody is said to be on- or offline.

use crate::state::Api;
use protocol::chat::{ChatPeer, ChatView, PresenceStatus};

/// Peers of one user who are looked up when its connection opens: as many as are told when a user comes or goes
/// (`presence.max_chats` of gateways), and more than a list shows at once. The look-up of 100 takes Redis some
/// tenths of a millisecond.
const MOST_AT_OPENING: usize = 50;

/// The peers of the first private chats in a user's list.
pub(super) fn first_peers(chats: &mut [ChatView]) -> impl Iterator<Item = &mut ChatPeer> {
    chats.iter_mut().filter_map(|chat| chat.peer.as_deref_mut()).take(MOST_AT_OPENING)
}

/// Looks up whether these are connected.
pub(crate) async fn look_up(api: &Api, peers: impl Iterator<Item = &mut ChatPeer>) {
    let peers: Vec<&mut ChatPeer> = peers.collect();
    if peers.is_empty() {
        return;
    }
    let mut users: Vec<_> = peers.iter().map(|peer| peer.id).collect();
    users.sort_unstable();
    users.dedup();
    match api.presence.online(&users).await {
        Ok(online) => {
            for peer in peers {
                peer.status = Some(match online.contains(&peer.id) {
                    true => PresenceStatus::Online,
                    false => PresenceStatus::Offline,
                });
            }
        }
        Err(error) => tracing::debug!(%error, "cannot read who is online"),
    }
}
