//! Joins a chat from where the client stopped: from the replay as far as that reaches back, otherwise page by page
//! from the api, and then live. No event is lost or repeated in between. Runs on the connection's own task.
//! `join_queue.rs` decides which chat goes on when.

use crate::{
    backend::{Unavailable, request_result::RequestError},
    dialect::refusal,
    hub::{
        Hub,
        conn::{
            Conn,
            join::{Announce, Join, Subscription},
            outbox::{DropPolicy, queue::Writer},
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
    /// The connection watches the chat, or the client was told why not.
    Done(ChatId),
    /// Go on after a pause. Other chats go on meanwhile.
    Later(Join, Duration),
}

/// The first pause before another try when the feed is a moment behind. Each pause is twice as long as the last.
const A_MOMENT: Duration = Duration::from_millis(20);

/// The longest pause, also used when the api does not answer although its lane tried for long.
const A_WHILE: Duration = Duration::from_secs(1);

/// Joins one chat until it is done or needs a pause.
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
                        // Makes the next try ask the api again, since this one allowed nothing.
                        conn.revoke();
                        return JoinStep::Later(join, A_WHILE);
                    }
                }
            }
            Attached::Page(events) => send(&conn, &mut join, &events, None).await,
            // `send` waits for space, so the next page is fetched only when the client has read enough.
            Attached::Behind => match hub.page(join.chat_id, join.after).await {
                Ok(Some(page)) => {
                    hub.pace.turn().await;
                    let after = join.after;
                    send(&conn, &mut join, page.since(after), page.whole(after)).await;
                    if page.upto <= after {
                        // The page brings nothing new, as after a restore of the database: wait.
                        return JoinStep::Later(join, A_WHILE);
                    }
                    join.after = page.upto;
                }
                Ok(None) => {
                    conn.lose(join.chat_id, Close::ChatNotFound);
                    return JoinStep::Done(join.chat_id);
                }
                // The api would refuse the same request again, so the client reloads the chat.
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
        let pushed = conn.deliver_run(join.chat_id, events, whole.take(), Writer::Task);
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
