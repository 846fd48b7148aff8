//! How a connection comes to watch a chat from where it stopped: from the feed's window where it
//! reaches, page by page from the api where it does not, then live, with no event lost or repeated
//! in between. Runs on the connection's own task; which chats go on when is `arriving.rs`'s.

use crate::{
    answer::Answer,
    arriving::Arriving,
    backend::Unavailable,
    conn::{Conn, Departures},
    dialect::{refusal, try_later},
    frame::Frame,
    hub::Hub,
    outbox::Worth,
    relayed::Relayed,
    room::Attached,
};
use shared::{
    chat::{ChatType, ChatView},
    close::Close,
    id::{ChatId, Seq},
    internal::{Refusal, RefusalCode},
    protocol::ServerFrame,
};
use std::{sync::Arc, time::Duration};

/// A chat to join.
#[derive(Debug)]
pub struct Join {
    pub chat_id: ChatId,
    pub chat_type: ChatType,
    /// The chat's newest event as far as known.
    pub head: Seq,
    /// In which state of departures the api allowed it.
    pub allowed: Departures,
    /// From where on the client is sent the chat's events …
    pub from: Seq,
    /// … and how far it has been sent them.
    pub after: Seq,
    /// To be sent first.
    pub announce: Option<Announce>,
    /// Tell the client when it has everything up to here.
    pub target: Option<Seq>,
    pub cause: Cause,
    /// How often the feed was not as far as the client.
    pub waits: u32,
}

/// Why a chat is joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Opened,
    /// The user became a member, or the chat woke, as the bus says.
    Invited,
    /// The same, as a poll found; polls find it again for a while.
    Found,
    /// The client asked for it, from `from` on if it says so: what it was sent before does not count.
    Subscribed,
    /// It was watched, and the client did not keep up.
    Lagged,
}

/// What a client is told of a chat before its events.
#[derive(Debug)]
pub enum Announce {
    Frame(Frame),
    /// The answer to a `subscribe`.
    Subscribed(Box<Subscription>),
}

/// What a `subscribe` was granted.
#[derive(Debug)]
pub struct Subscription {
    /// Its frame's.
    pub id: Option<String>,
    /// If it is watched already, it goes on after what has been sent, which only the room knows.
    pub chat: ChatView,
    /// What the client missed of it is too much to be sent.
    pub resync: bool,
    pub answer: Answer,
}

/// How far a join got.
#[derive(Debug)]
pub enum Step {
    /// The chat is watched, or cannot be and the client was told.
    Done(ChatId),
    /// Go on after a pause, in which other chats may.
    Later(Join, Duration),
}

/// How long to wait for a feed that is a moment behind; longer each time.
const A_MOMENT: Duration = Duration::from_millis(20);

/// How long to wait when the api does not answer although its lane tried for long.
const A_WHILE: Duration = Duration::from_secs(1);

impl Join {
    /// A chat to be watched after its present end.
    pub fn at_end(chat: &ChatView, allowed: Departures, cause: Cause) -> Self {
        Self {
            chat_id: chat.id,
            chat_type: chat.chat_type,
            head: chat.seq,
            allowed,
            from: chat.seq,
            after: chat.seq,
            announce: None,
            target: None,
            cause,
            waits: 0,
        }
    }

    /// The same from this place on, where the client stopped; it is told when it has caught up.
    pub fn resumed(self, from: Seq) -> Self {
        Self { from, after: from, target: Some(self.head), ..self }
    }

    /// The client asks for this chat again and again: it is told to wait.
    pub fn turn_away(self) {
        if let Some(Announce::Subscribed(granted)) = self.announce {
            let Subscription { id, answer, .. } = *granted;
            let text = "This chat is on its way already.";
            answer.send(&try_later(id, "rate_limited", text, A_WHILE));
        }
    }

    /// Says what is to be said first, once; `after` is where the chat goes on for the client, where
    /// that is not as the api said.
    pub fn say(&mut self, conn: &Conn, after: Option<Seq>) {
        match self.announce.take() {
            None => {}
            Some(Announce::Frame(frame)) => conn.outbox.push(frame, Worth::Durable),
            Some(Announce::Subscribed(granted)) => {
                let Subscription { id, mut chat, resync, answer } = *granted;
                let (chat_id, seq) = (chat.id, after.unwrap_or(chat.seq));
                chat.seq = seq;
                answer.send(&ServerFrame::Subscribed { id, chat });
                if resync {
                    metrics::counter!("gateway_resyncs_total").increment(1);
                    conn.send(&ServerFrame::Resync { chat_id, seq }, Worth::Durable);
                }
            }
        }
    }
}

/// Joins all these chats.
pub async fn join_all(hub: &Arc<Hub>, conn: &Arc<Conn>, joins: Vec<Join>) {
    let mut arriving = Arriving::default();
    for join in joins {
        arriving.add(join);
    }
    arriving.start(hub, conn);
    while arriving.len() > 0 {
        arriving.next(hub, conn).await;
        arriving.start(hub, conn);
    }
}

/// Takes one chat as far as it gets without waiting for what may take long.
pub(crate) async fn join(hub: Arc<Hub>, conn: Arc<Conn>, mut join: Join) -> Step {
    loop {
        hub.pace.turn().await;
        match hub.attach(&conn, &mut join) {
            Attached::Live => return Step::Done(join.chat_id),
            Attached::NotYet => {
                let pause = A_MOMENT.saturating_mul(1 << join.waits.min(6)).min(A_WHILE);
                join.waits += 1;
                return Step::Later(join, pause);
            }
            Attached::NoRoom => conn.outbox.room().await,
            Attached::Doubtful => {
                join.allowed = conn.departures();
                match hub.view_for(&conn, join.chat_id).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(refusal)) => {
                        refused(&conn, &mut join, &refusal);
                        return Step::Done(join.chat_id);
                    }
                    Err(_) => {
                        // Nothing was allowed: ask again before the next try.
                        conn.depart();
                        return Step::Later(join, A_WHILE);
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
                        return Step::Later(join, A_WHILE);
                    }
                    join.after = page.upto;
                }
                Ok(None) => {
                    conn.lose(join.chat_id, Close::ChatNotFound);
                    return Step::Done(join.chat_id);
                }
                // What nobody can be asked is not asked again and again.
                Err(Unavailable::Refused(_)) => resync(&conn, &mut join),
                Err(Unavailable::NotAnswered(_)) => return Step::Later(join, A_WHILE),
            },
        }
    }
}

/// Sends events that the client missed, which may be at hand as a `whole`, at the pace at which it reads.
async fn send(
    conn: &Conn,
    join: &mut Join,
    mut events: &[Arc<Relayed>],
    mut whole: Option<&Frame>,
) {
    while !events.is_empty() {
        conn.outbox.room().await;
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

/// What the client missed cannot be had: it goes on at the chat's end.
fn resync(conn: &Conn, join: &mut Join) {
    metrics::counter!("gateway_resyncs_total").increment(1);
    let (chat_id, seq) = (join.chat_id, join.head.max(join.after));
    conn.send(&ServerFrame::Resync { chat_id, seq }, Worth::Durable);
    (join.after, join.target) = (seq, None);
}

/// The api does not allow it any more: the answer to the client's frame, if that asked for it, or
/// what is said of a chat that one loses.
fn refused(conn: &Conn, join: &mut Join, why: &Refusal) {
    match join.announce.take() {
        Some(Announce::Subscribed(granted)) => {
            let Subscription { id, answer, .. } = *granted;
            answer.send(&refusal(id, why.code.as_str(), &why.message));
        }
        _ => conn.lose(join.chat_id, closed_by(why)),
    }
}

/// Why a window closes whose chat the api refused.
pub(crate) fn closed_by(refusal: &Refusal) -> Close {
    match refusal.code {
        RefusalCode::ChatNotFound => Close::ChatNotFound,
        _ => Close::NotAMember,
    }
}

#[cfg(test)]
mod tests;
