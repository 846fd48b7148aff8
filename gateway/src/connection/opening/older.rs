//! Opens a connection in an older dialect before the upgrade is answered, so that everything sent after the
//! handshake reaches the client. These clients say no hello, resume nothing and hear nothing on opening.

use crate::{
    backend::request_result::RequestError,
    connection::{
        join_queue::{JoinQueue, join_all},
        joining::close_for,
        opening::{Admission, ConnGuard, ConnectionParts, admit, count_opening, handshake},
        session::Session,
        upgrade_credential::UpgradeCredential,
    },
    dialect::Window,
    hub::{
        conn::{
            Conn, Owner,
            join::{AccessVersion, Cause, Join},
        },
        presence::chats_to_tell,
        strangers::Stranger,
    },
    state::Gateway,
};
use platform::limit::network;
use protocol::{calls::Shows, chat::ChatView, close::Close, id::ChatId, time::Timestamp};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The shortest life of a connection as a part of the longest: 20 of 24 hours. See [`lifetime`].
const SHORTEST: f64 = 5.0 / 6.0;

/// Opens a window for the token's user, or for a guest. Can be dropped at any point, as when the client goes
/// away, and leaves nothing behind.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    window: Window,
    credential: UpgradeCredential,
    address: IpAddr,
    stranger: Stranger,
) -> Result<ConnectionParts, Close> {
    let started = Instant::now();
    let opening = async {
        // A page of another origin must not use its visitor's browser: neither the cookie of an account, nor
        // the network for a guest.
        if credential == UpgradeCredential::Nothing
            && window == Window::Lobby
            && gateway.hub.config.guests.enabled
        {
            return open_guest(gateway, address, stranger).await;
        }
        open_user(gateway, window, &credential.token()?, stranger).await
    };
    let patience = gateway.hub.config.hello_timeout;
    let opening =
        async { tokio::time::timeout(patience, opening).await.unwrap_or(Err(Close::Overloaded)) };
    let result = handshake(window, opening).await;
    if result.is_ok() {
        count_opening(window, started);
    }
    result
}

async fn open_user(
    gateway: &Arc<Gateway>,
    window: Window,
    token: &str,
    stranger: Stranger,
) -> Result<ConnectionParts, Close> {
    let claims = gateway.keys.verify(token).await?;
    let network = stranger.address;
    drop(stranger);
    if let Window::Numbers(user) = window
        && user != claims.sub
    {
        return Err(Close::OtherUser);
    }
    let Admission { guard, allowed, mut view, .. } =
        admit(gateway, window, claims, network).await?;
    // An older api returns more chats than the window shows.
    view.chats.retain(|chat| window.takes(chat));
    let kinds = view.chats.iter().map(|chat| (chat.id, chat.chat_type));
    let shares = chats_to_tell(kinds, gateway.hub.config.presence.max_chats);
    let conn = &guard.conn;
    let joined = async {
        if let Shows::One(chat_id) = window.shows()
            && view.chats.is_empty()
        {
            // The answer for the single chat says why it is missing.
            view.chats.push(look_up(gateway, conn, chat_id).await?);
        }
        join(gateway, conn, allowed, view.chats).await;
        Ok(())
    };
    conn.unless_closing(joined).await??;
    let lives = lifetime(gateway.hub.config.max_session).as_millis();
    let lives = i64::try_from(lives).unwrap_or(i64::MAX);
    let expires_at = Timestamp(Timestamp::now().0.saturating_add(lives));
    let session = Session::new(expires_at, &gateway.hub.config);
    let joins = JoinQueue::default();
    Ok(ConnectionParts { guard, session, joins, shares, stranger: None })
}

async fn open_guest(
    gateway: &Arc<Gateway>,
    address: IpAddr,
    stranger: Stranger,
) -> Result<ConnectionParts, Close> {
    let owner = Owner::Guest { network: network(address) };
    let (guard, _) = ConnGuard::new(gateway, Window::Lobby, owner, None)?;
    let conn = &guard.conn;
    let joined = async {
        let allowed = conn.access_version();
        let lobby = look_up(gateway, conn, ChatId::LOBBY).await?;
        join(gateway, conn, allowed, vec![lobby]).await;
        Ok(())
    };
    conn.unless_closing(joined).await??;
    // A guest has no session, so the connection has no end of its own.
    let session = Session::new(Timestamp(i64::MAX), &gateway.hub.config);
    let (joins, shares) = (JoinQueue::default(), Vec::new());
    Ok(ConnectionParts { guard, session, joins, shares, stranger: Some(stranger) })
}

/// The longest life of a connection. It is shorter than `max_session` by a random part, so that connections that came
/// together after a restart do not all return together a day later.
fn lifetime(max_session: Duration) -> Duration {
    max_session.mul_f64(rand::random_range(SHORTEST..1.0))
}

async fn look_up(gateway: &Gateway, conn: &Conn, chat: ChatId) -> Result<ChatView, Close> {
    gateway.hub.view_for(conn, chat).await.map_err(|error| match error {
        RequestError::Refused(refusal) => close_for(&refusal),
        RequestError::Unavailable => Close::Overloaded,
    })
}

/// Watches these chats from their present ends on.
async fn join(gateway: &Gateway, conn: &Arc<Conn>, allowed: AccessVersion, chats: Vec<ChatView>) {
    let at_end = |chat: &ChatView| Join::at_end(chat, allowed, Cause::Opened);
    join_all(&gateway.hub, conn, chats.iter().map(at_end).collect()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_open_together_end_at_different_times() {
        let longest = Duration::from_secs(24 * 60 * 60);
        let lives: Vec<Duration> = (0..1_000).map(|_| lifetime(longest)).collect();
        let hour = Duration::from_secs(60 * 60);
        assert!(lives.iter().all(|life| (20 * hour..=longest).contains(life)));
        for from in [20, 21, 22, 23] {
            let hours = from * hour..(from + 1) * hour;
            let share = lives.iter().filter(|life| hours.contains(*life)).count();
            assert!((150..350).contains(&share), "{share} of 1,000 in hour {from}");
        }
    }
}
