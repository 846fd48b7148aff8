//! Follows up on an answer to `changed` that was cut. If the list of sessions or members was cut, this file asks
//! about all sessions and members here, in pages and one call at a time, until each page has an answer. A cut
//! list of chats is not handled here: see `LocalChat::suspect`.

use crate::{
    backend::{Backend, Unavailable},
    hub::{Hub, conn::join::Cause, invitations::Invitation, watching::Parting},
};
use parking_lot::Mutex;
use protocol::{
    calls::{Cut, Open, OpenSession, SessionRefusal, Shows, View},
    id::SessionId,
    limits::MAX_BATCH,
    relay::{EndReason, EndedSessions},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::Notify;

/// The pause between two pages. 15,000 sessions then take eight seconds, which is a small load for the api.
const PAUSE: Duration = Duration::from_millis(100);

/// The pause before a page without an answer is requested again, so that an outage meets no storm of calls.
const RETRY: Duration = Duration::from_secs(1);

/// The lists that were cut since the last look.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    cut: Mutex<Cut>,
    raised: Notify,
}

impl Doubts {
    /// Notes lists that were cut.
    pub(crate) fn raise(&self, more: Cut) {
        let mut cut = self.cut.lock();
        cut.parted |= more.parted;
        cut.ended |= more.ended;
        cut.joined |= more.joined;
        cut.woken |= more.woken;
        drop(cut);
        self.raised.notify_one();
    }

    async fn next(&self) -> Cut {
        self.raised.notified().await;
        std::mem::take(&mut *self.cut.lock())
    }
}

/// Resolves doubts for the lifetime of the process.
pub(crate) async fn run(hub: Arc<Hub>, backend: Arc<dyn Backend>, doubts: Arc<Doubts>) {
    loop {
        let cut = doubts.next().await;
        if cut.ended || cut.joined || cut.woken {
            check_sessions(&hub, &*backend, cut).await;
        }
        if cut.parted {
            check_members(&hub, &*backend).await;
        }
    }
}

/// Closes the connections of sessions that are over. Invites the others to their chats, if `joined` or `woken` was
/// cut.
async fn check_sessions(hub: &Arc<Hub>, backend: &dyn Backend, cut: Cut) {
    let shows = if cut.joined || cut.woken { Shows::All } else { Shows::Nothing };
    let live_chats = hub.config.live_chats;
    for page in hub.users.sessions().chunks(MAX_BATCH) {
        let session = |&(user_id, session_id)| OpenSession { user_id, session_id, shows };
        let sessions: Vec<OpenSession> = page.iter().map(session).collect();
        let asked = || backend.open(Open { sessions: sessions.clone(), live_chats });
        let Some(opened) = until_answered("open", asked).await else { continue };
        for (&(user, session), answer) in page.iter().zip(opened.sessions) {
            match answer {
                Ok(view) => {
                    for chat in view.chats {
                        // Invites after the chat's end: nothing says that earlier events are new to the client.
                        hub.invite(user, chat.id, Invitation::Woke(chat.seq), Cause::Found);
                    }
                }
                Err(refusal) => end(hub, session, refusal),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn end(hub: &Hub, session: SessionId, refusal: SessionRefusal) {
    let reason = match refusal {
        SessionRefusal::Blocked => EndReason::Blocked,
        SessionRefusal::Ended => EndReason::SignedOut,
    };
    hub.users.end_sessions(&EndedSessions { sessions: vec![session], reason });
}

/// Detaches users from chats that they may no longer watch.
async fn check_members(hub: &Arc<Hub>, backend: &dyn Backend) {
    for part in hub.memberships() {
        for page in part.chunks(MAX_BATCH) {
            let asked = || backend.view(View { chats: page.to_vec() });
            let Some(viewed) = until_answered("view", asked).await else { continue };
            for (pair, answer) in page.iter().zip(viewed.chats) {
                if answer.is_err() {
                    hub.part(pair.user_id, pair.chat_id, Parting::Barred);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Repeats a call until it is answered. `None` if the api refuses it, which another try would not change.
async fn until_answered<T, F>(call: &'static str, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, Unavailable>>,
{
    loop {
        let error = match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        metrics::counter!("gateway_backend_errors_total", "call" => call).increment(1);
        if let Unavailable::Refused(_) = error {
            tracing::error!(call, %error, "the api cannot be asked what it left out");
            return None;
        }
        tokio::time::sleep(RETRY).await;
    }
}

#[cfg(test)]
mod tests;
