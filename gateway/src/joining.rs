//! How a connection comes to watch a chat from where it stopped: from the feed's window where it
//! reaches, page by page from the api where it does not, then live, with no event lost or repeated
//! in between. Runs on the connection's own task.

use crate::{
    conn::{Conn, Departures},
    frame::Frame,
    hub::Hub,
    outbox::Worth,
    relayed::Relayed,
    room::Attached,
};
use futures_util::{StreamExt, stream};
use shared::{
    chat::ChatView,
    close::Close,
    id::Seq,
    internal::{Range, Refusal, RefusalCode},
    protocol::ChatEvent,
};
use std::{sync::Arc, time::Duration};

/// A chat to join.
#[derive(Debug)]
pub struct Join {
    /// Its `seq` is the chat's newest event as far as known.
    pub chat: ChatView,
    /// In which state of departures the api allowed it.
    pub allowed: Departures,
    /// The connection has everything up to here.
    pub after: Seq,
    /// To be sent first.
    pub announce: Option<Frame>,
    /// The client resumes: tell it when it has caught up.
    pub resumed: bool,
}

/// The most chats caught up at once for one connection: enough to hide the round trips to the api,
/// few enough that one returning client is not a storm.
const AT_ONCE: usize = 8;

/// How long to wait for a feed that is a moment behind.
const A_MOMENT: Duration = Duration::from_millis(20);

/// How long to wait when the api does not answer although its lane tried for long.
const A_WHILE: Duration = Duration::from_secs(1);

/// Joins all these chats.
pub async fn join_all(hub: Arc<Hub>, conn: Arc<Conn>, joins: Vec<Join>) {
    stream::iter(joins).for_each_concurrent(AT_ONCE, |one| join(&hub, &conn, one)).await;
}

async fn join(hub: &Arc<Hub>, conn: &Arc<Conn>, join: Join) {
    let Join { chat, mut allowed, mut after, announce, resumed } = join;
    if let Some(frame) = announce {
        conn.outbox.push(frame, Worth::Durable);
    }
    let head = resumed.then_some(chat.seq);
    loop {
        match hub.attach(conn, &chat, allowed, after, head) {
            Attached::Live => return,
            Attached::NotYet => {
                conn.outbox.room().await;
                tokio::time::sleep(A_MOMENT).await;
            }
            Attached::Doubtful => {
                allowed = conn.departures();
                match hub.view_for(conn, chat.id).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(refusal)) => return conn.lose(chat.id, closed_by(&refusal)),
                    Err(_) => {
                        // Nothing was allowed: ask again before the next try.
                        conn.depart();
                        tokio::time::sleep(A_WHILE).await;
                    }
                }
            }
            Attached::Behind => {
                // The client's reading sets the pace: a page only when the last one is on its way.
                conn.outbox.room().await;
                match hub.events(Range { chat_id: chat.id, after }).await {
                    Ok(Some(found)) => {
                        let relay = |event| Relayed::new(ChatEvent { chat_id: chat.id, event });
                        let events: Vec<Relayed> = found.events.into_iter().map(relay).collect();
                        conn.deliver(events.iter());
                        if found.upto <= after {
                            // A database that has less than it had: nothing to do but to wait.
                            tokio::time::sleep(A_WHILE).await;
                        }
                        after = after.max(found.upto);
                    }
                    Ok(None) => return conn.lose(chat.id, Close::ChatNotFound),
                    Err(_) => tokio::time::sleep(A_WHILE).await,
                }
            }
        }
    }
}

/// Why a window closes whose chat the api refused.
pub(crate) fn closed_by(refusal: &Refusal) -> Close {
    match refusal.code {
        RefusalCode::ChatNotFound => Close::ChatNotFound,
        _ => Close::NotAMember,
    }
}
