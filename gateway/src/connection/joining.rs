//! How a connection comes to watch a chat from where it stopped: from the replay where it
//! reaches, page by page from the api where it does not, then live, with no event lost or repeated
//! in between. Runs on the connection's own task; which chats go on when is `join_queue.rs`'s.

use crate::{
    backend::{Unavailable, request_result::RequestError},
    dialect::refusal,
    hub::{
        Hub,
        conn::{
            Conn,
            join::{Announce, Join, Subscription},
            outbox::DropPolicy,
        },
        local_chat::Attached,
        shared_event::SharedEvent,
    },
    wire::frame::Frame,
};
use protocol::{close::Close, code::Code, frames::ServerFrame, id::ChatId, refusal::Refusal};
use std::{sync::Arc, time::Duration};

/// How far a join got.
#[derive(Debug)]
pub(super) enum JoinStep {
    /// The chat is watched, or cannot be and the client was told.
    Done(ChatId),
    /// Go on after a pause, in which other chats may.
    Later(Join, Duration),
}

/// How long to wait for a feed that is a moment behind; longer each time.
const A_MOMENT: Duration = Duration::from_millis(20);

/// How long to wait when the api does not answer although its lane tried for long.
const A_WHILE: Duration = Duration::from_secs(1);

/// Takes one chat as far as it gets without waiting for what may take long.
pub(crate) async fn join(hub: Arc<Hub>, conn: Arc<Conn>, mut join: Join) -> JoinStep {
    loop {
        hub.pace.turn().await;
        match hub.attach(&conn, &mut join) {
            Attached::Live => return JoinStep::Done(join.chat_id),
            Attached::NotYet => {
                let pause = A_MOMENT.saturating_mul(1 << join.waits.min(6)).min(A_WHILE);
                join.waits += 1;
                return JoinStep::Later(join, pause);
            }
            Attached::NoSpace => conn.outbox.wait_for_space().await,
            Attached::AccessChanged => {
                join.allowed = conn.access_version();
                match hub.view_for(&conn, join.chat_id).await {
                    Ok(_) => {}
                    Err(RequestError::Refused(refusal)) => {
                        on_refusal(&conn, &mut join, &refusal);
                        return JoinStep::Done(join.chat_id);
                    }
                    Err(RequestError::Unavailable) => {
                        // Nothing was allowed: ask again before the next try.
                        conn.revoke();
                        return JoinStep::Later(join, A_WHILE);
                    }
                }
            }
            Attached::Page(events) => send(&conn, &mut join, &events, None).await,
            // The client's reading sets the pace: a page only when the last one is on its way.
            Attached::Behind => match hub.page(join.chat_id, join.after).await {
                Ok(Some(page)) => {
                    hub.pace.turn().await;
                    let after = join.after;
                    send(&conn, &mut join, page.since(after), page.whole(after)).await;
                    if page.upto <= after {
                        // A database that has less than it had: nothing to do but to wait.
                        return JoinStep::Later(join, A_WHILE);
                    }
                    join.after = page.upto;
                }
                Ok(None) => {
                    conn.lose(join.chat_id, Close::ChatNotFound);
                    return JoinStep::Done(join.chat_id);
                }
                // What nobody can be asked is not asked again and again.
                Err(Unavailable::Refused(_)) => resync(&conn, &mut join),
                Err(Unavailable::NotAnswered(_)) => return JoinStep::Later(join, A_WHILE),
            },
        }
    }
}

/// Sends missed events at the pace at which the client reads. `whole` is all of them in one frame, if at hand.
async fn send(
    conn: &Conn,
    join: &mut Join,
    mut events: &[Arc<SharedEvent>],
    mut whole: Option<&Frame>,
) {
    while !events.is_empty() {
        conn.outbox.wait_for_space().await;
        let pushed = conn.deliver_run(join.chat_id, events, whole.take());
        if conn.outbox.is_closing() {
            return;
        }
        if let Some(last) = events[..pushed.taken].last() {
            join.after = last.seq;
        }
        events = &events[pushed.taken..];
    }
}

/// Nobody can supply what the client missed, so it goes on at the chat's end.
fn resync(conn: &Conn, join: &mut Join) {
    metrics::counter!("gateway_resyncs_total").increment(1);
    let (chat_id, seq) = (join.chat_id, join.head.max(join.after));
    conn.send(&ServerFrame::Resync { chat_id, seq }, DropPolicy::Durable);
    (join.after, join.target) = (seq, None);
}

/// The user may no longer watch the chat. Answers the client's `subscribe` if that caused the join;
/// otherwise tells the client that it lost the chat.
fn on_refusal(conn: &Conn, join: &mut Join, why: &Refusal) {
    match join.announce.take() {
        Some(Announce::Subscribed(granted)) => {
            let Subscription { id, reply, .. } = *granted;
            reply(&refusal(id, why.code, &why.message));
        }
        _ => conn.lose(join.chat_id, close_for(why)),
    }
}

/// The close for a window whose chat the api refused.
pub(crate) fn close_for(refusal: &Refusal) -> Close {
    match refusal.code {
        Code::ChatNotFound => Close::ChatNotFound,
        _ => Close::NotAMember,
    }
}

#[cfg(test)]
mod tests;
