//! How a connection of a client family opens: all before the upgrade is answered, so that whatever is
//! sent after a client's handshake reaches it. These clients say no hello, resume nothing and are
//! told nothing on opening.

use crate::{
    Gateway,
    conn::{Conn, Departures, Owner},
    dialect::Window,
    joining::{Join, closed_by, join_all},
    opening::{Admitted, Opened, Registered, admit, handshake, opened},
    presence::sharing,
    session::Session,
    strangers::Stranger,
};
use shared::{chat::ChatView, close::Close, id::ChatId, limit::network, time::Timestamp};
use std::{net::IpAddr, sync::Arc};
use tokio::time::Instant;

/// Opens a window, for whose token this is, or for a guest. Whoever drops this future, because the
/// client went away, leaves nothing behind.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    window: Window,
    presented: Option<String>,
    address: IpAddr,
    stranger: Stranger,
) -> Result<Opened, Close> {
    let started = Instant::now();
    let opening = async {
        match presented {
            Some(token) => open_user(gateway, window, &token, stranger).await,
            None if window == Window::Lobby && gateway.hub.config.guests => {
                open_guest(gateway, address, stranger).await
            }
            None => Err(Close::Unauthenticated),
        }
    };
    let patience = gateway.hub.config.hello_timeout;
    let opening =
        async { tokio::time::timeout(patience, opening).await.unwrap_or(Err(Close::Overloaded)) };
    let result = handshake(window, opening).await;
    if result.is_ok() {
        opened(window, started);
    }
    result
}

async fn open_user(
    gateway: &Arc<Gateway>,
    window: Window,
    token: &str,
    stranger: Stranger,
) -> Result<Opened, Close> {
    let claims = gateway.desk.verify(token).await?;
    drop(stranger);
    if let Window::Numbers(user) = window
        && user != claims.sub
    {
        return Err(Close::OtherUser);
    }
    let Admitted { registered, allowed, mut view, .. } = admit(gateway, window, claims).await?;
    view.chats.retain(|chat| window.takes(chat));
    let shown = match window {
        Window::Lobby => Some(ChatId::LOBBY),
        Window::Chat(chat) => Some(chat),
        Window::Native | Window::Names | Window::Numbers(_) => None,
    };
    if let Some(chat_id) = shown
        && view.chats.is_empty()
    {
        view.chats.push(look_up(gateway, &registered.conn, chat_id).await?);
    }
    let shares = sharing(&view.chats, gateway.hub.config.presence_chats);
    join(gateway, &registered.conn, allowed, view.chats).await;
    let max_session = gateway.hub.config.max_session.as_millis();
    let lives = i64::try_from(max_session).unwrap_or(i64::MAX);
    let expires_at = Timestamp(Timestamp::now().0.saturating_add(lives));
    let session = Session::new(expires_at, &gateway.hub.config);
    Ok(Opened { registered, session, joins: Vec::new(), shares, stranger: None })
}

async fn open_guest(
    gateway: &Arc<Gateway>,
    address: IpAddr,
    stranger: Stranger,
) -> Result<Opened, Close> {
    let owner = Owner::Guest { network: network(address) };
    let (registered, _) = Registered::new(gateway, Window::Lobby, owner)?;
    let allowed = registered.conn.departures();
    let lobby = look_up(gateway, &registered.conn, ChatId::LOBBY).await?;
    join(gateway, &registered.conn, allowed, vec![lobby]).await;
    // There is no session that could end.
    let session = Session::new(Timestamp(i64::MAX), &gateway.hub.config);
    let (joins, shares, stranger) = (Vec::new(), Vec::new(), Some(stranger));
    Ok(Opened { registered, session, joins, shares, stranger })
}

async fn look_up(gateway: &Gateway, conn: &Conn, chat: ChatId) -> Result<ChatView, Close> {
    match gateway.hub.view_for(conn, chat).await {
        Ok(Ok(chat)) => Ok(chat),
        Ok(Err(refusal)) => Err(closed_by(&refusal)),
        Err(_) => Err(Close::Overloaded),
    }
}

/// Watches these chats from their present ends on.
async fn join(gateway: &Gateway, conn: &Arc<Conn>, allowed: Departures, chats: Vec<ChatView>) {
    let joins = chats
        .into_iter()
        .map(|chat| Join { allowed, after: chat.seq, chat, announce: None, resumed: false })
        .collect();
    join_all(Arc::clone(&gateway.hub), Arc::clone(conn), joins).await;
}
