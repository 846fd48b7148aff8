//! Opens a native connection: hello, token, the api's answer, `ready`, and the place at which each chat goes on.

use super::{Admission, ConnectionParts, admit, count_opening, handshake};
use crate::{
    backend::request_result::RequestError,
    connection::{
        greeting::{Greeting, GreetingOutcome, Hello},
        join_queue::JoinQueue,
        session::Session,
        upgrade_credential::UpgradeCredential,
    },
    dialect::{Window, native},
    hub::{
        conn::{
            Conn,
            join::{AccessVersion, Announce, Cause, Join},
            outbox::DropPolicy,
        },
        presence::chats_to_tell,
        strangers::Stranger,
    },
    state::Gateway,
    wire::{frame::Frame, input::Incoming, socket::Socket},
};
use protocol::{
    calls::UserChat,
    chat::{ChatType, ChatView},
    close::Close,
    frames::{Resume, ServerFrame},
    id::{ChatId, Seq},
    time::Timestamp,
};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};
use tokio::time::Instant;

/// A client further behind than this reloads its chats instead of being sent everything.
pub(crate) const MAX_CATCH_UP: i64 = 10_000;

/// Opens a native connection, from the first frame to `ready`.
pub(crate) async fn open(
    gateway: &Arc<Gateway>,
    socket: &mut Socket,
    credential: UpgradeCredential,
    stranger: Stranger,
) -> Result<ConnectionParts, Close> {
    let started = Instant::now();
    let config = &gateway.hub.config;
    let hello = tokio::time::timeout(config.hello_timeout, greet(gateway, socket, credential));
    let hello = hello.await.map_err(|_| Close::HelloTimeout)??;
    // After the timeout: from here on the node takes the time, not the client.
    let answered = handshake(Window::Native, answer(gateway, hello, stranger)).await?;
    count_opening(Window::Native, started);
    Ok(answered)
}

async fn answer(
    gateway: &Arc<Gateway>,
    Hello { token, version, resume }: Hello,
    stranger: Stranger,
) -> Result<ConnectionParts, Close> {
    let config = &gateway.hub.config;
    let claims = gateway.keys.verify(&token).await?;
    let network = stranger.address;
    drop(stranger);
    let expires_at = Timestamp(claims.exp.saturating_mul(1000));
    let Admission { guard, allowed, epoch, view } =
        admit(gateway, Window::Native, claims, network).await?;
    let conn = Arc::clone(&guard.conn);

    gateway.hub.greet(&conn, |announcement| ServerFrame::Ready {
        version,
        connection_id: gateway.hub.name_of(&conn),
        user: view.user,
        epoch: epoch.to_string(),
        heartbeat_ms: u64::try_from(config.heartbeat.as_millis()).unwrap_or(u64::MAX),
        chats: view.chats.clone(),
        announcement,
    });
    let kinds = view.chats.iter().map(|chat| (chat.id, chat.chat_type));
    let shares = chats_to_tell(kinds, config.presence.max_chats);
    let joins = plan_joins(gateway, &conn, allowed, view.chats, resume, &epoch);
    let joins = conn.unless_closing(joins).await??;
    let session = Session::new(expires_at, config);
    Ok(ConnectionParts { guard, session, joins, shares, stranger: None })
}

async fn greet(
    gateway: &Gateway,
    socket: &mut Socket,
    credential: UpgradeCredential,
) -> Result<Hello, Close> {
    let mut greeting = Greeting::new(credential, &gateway.hub.config);
    loop {
        let answer = match socket.next().await? {
            Incoming::Text(text) => match greeting.on_text(&text, gateway.uptime())? {
                GreetingOutcome::Hello(hello) => return Ok(hello),
                GreetingOutcome::NotYet(answer) => Some(answer),
            },
            Incoming::Binary => return Err(Close::TextOnly),
            Incoming::Sign => None,
        };
        let mut frames: VecDeque<Frame> = answer.iter().map(native::encode).collect();
        socket.write(&mut frames, gateway.hub.config.write_timeout).await?;
    }
}

/// Plans the joins: each chat goes on where the client stopped, or else at the end that `ready` named. Every cursor is
/// answered by the missed events, by `resync`, or by `chat_removed`.
async fn plan_joins(
    gateway: &Gateway,
    conn: &Conn,
    allowed: AccessVersion,
    mut chats: Vec<ChatView>,
    resume: Option<Resume>,
    epoch: &str,
) -> Result<JoinQueue, Close> {
    let known = resume.is_some();
    let same_epoch = resume.as_ref().is_none_or(|resume| resume.epoch == epoch);
    metrics::counter!("gateway_resumes_total", "result" => match (known, same_epoch) {
        (false, _) => "new",
        (true, true) => "resumed",
        (true, false) => "other_epoch",
    })
    .increment(1);
    let mut cursors = resume.map(|resume| resume.cursors).unwrap_or_default();
    let ours = chats.len();
    chats.extend(view_unlisted(gateway, conn, &chats, &cursors).await?);
    let max_chats = gateway.hub.config.max_chats.max(ours);
    let mut joins = JoinQueue::default();
    let mut beyond = Vec::new();
    for (place, chat) in chats.into_iter().enumerate() {
        let join = Join::at_end(&chat, allowed, Cause::Opened);
        let Some(cursor) = cursors.remove(&chat.id) else {
            joins.add(join);
            continue;
        };
        let missed = chat.seq.0 - cursor.0;
        let reachable = same_epoch && cursor >= Seq::ZERO && (0..=MAX_CATCH_UP).contains(&missed);
        if place < max_chats && reachable {
            joins.add(join.resume_at(cursor));
            continue;
        }
        let (chat_id, seq) = (chat.id, chat.seq);
        let answer = if reachable && missed == 0 {
            ServerFrame::CaughtUp { chat_id, seq }
        } else {
            metrics::counter!("gateway_resyncs_total").increment(1);
            ServerFrame::Resync { chat_id, seq }
        };
        if place < max_chats {
            let announce = Some(Announce::Frame(native::encode(&answer)));
            joins.add(Join { announce, ..join });
        } else {
            joins.remember(chat_id, Some(seq));
            beyond.push((chat_id, answer));
        }
    }
    turn_away(gateway, conn, beyond).await?;
    Ok(joins)
}

/// Answers the cursors of chats beyond the bound of watched chats. A member will be woken when such a chat
/// gets a message. Whoever only watched a public room is told that it is gone.
async fn turn_away(
    gateway: &Gateway,
    conn: &Conn,
    beyond: Vec<(ChatId, ServerFrame)>,
) -> Result<(), Close> {
    let user_id = conn.user_id().unwrap_or_default();
    let lanes = &gateway.hub.lanes;
    let asked = beyond.into_iter().map(|(chat_id, answer)| async move {
        (chat_id, answer, lanes.mark_dormant(UserChat { user_id, chat_id }).await)
    });
    for (chat_id, answer, is_member) in futures_util::future::join_all(asked).await {
        match is_member {
            Ok(true) => conn.send(&answer, DropPolicy::Durable),
            Ok(false) => conn.send(&ServerFrame::ChatRemoved { chat_id }, DropPolicy::Durable),
            Err(_) => return Err(Close::Overloaded),
        }
    }
    Ok(())
}

/// The chats that the client knows and `ready` does not list: watched rooms and dormant chats. Tells the
/// client which of them it lost. Rooms come first, because only watching tells of their messages, then chats
/// in which the client missed something.
async fn view_unlisted(
    gateway: &Gateway,
    conn: &Conn,
    listed: &[ChatView],
    cursors: &HashMap<ChatId, Seq>,
) -> Result<Vec<ChatView>, Close> {
    let listed: HashSet<ChatId> = listed.iter().map(|chat| chat.id).collect();
    let others = cursors.keys().copied().filter(|id| !listed.contains(id));
    let asked =
        others.map(|chat_id| async move { (chat_id, gateway.hub.view_for(conn, chat_id).await) });
    let mut chats = Vec::new();
    for (chat_id, answer) in futures_util::future::join_all(asked).await {
        match answer {
            Ok(chat) => chats.push(chat),
            Err(RequestError::Refused(_)) => {
                conn.send(&ServerFrame::ChatRemoved { chat_id }, DropPolicy::Durable)
            }
            // Without this chat the client would have a hole that it cannot notice.
            Err(RequestError::Unavailable) => return Err(Close::Overloaded),
        }
    }
    let missed = |chat: &ChatView| cursors.get(&chat.id).is_some_and(|cursor| *cursor < chat.seq);
    chats.sort_by_key(|chat| (chat.chat_type != ChatType::Room, !missed(chat), chat.id));
    Ok(chats)
}
