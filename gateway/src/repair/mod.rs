//! Anti-entropy: repairs the damage of lost bus messages. Every few seconds the gateway asks the api for recent
//! changes, and compares the answer with the feeds, memberships and sessions here. It asks at once when a part of the
//! bus goes or comes back, and every second while one is down and until all others can publish there again. `doubts.rs` follows up on answers that were cut.

mod doubts;

use crate::{
    backend::Backend,
    hub::{Hub, conn::join::Cause, invitations::Invitation, watching::Parting},
};
use doubts::Doubts;
use platform::bus::Partitions;
use protocol::calls::{Changed, ChangedFound, Cut, UserChat, Woken};
use std::sync::Arc;
use tokio::time::Instant;

/// Starts the tasks that compare this node with the api for the lifetime of the process.
pub(crate) fn start(hub: &Arc<Hub>, backend: &Arc<dyn Backend>) {
    let doubts = Arc::new(Doubts::default());
    let checking = doubts::run(Arc::clone(hub), Arc::clone(backend), Arc::clone(&doubts));
    hub.lifecycle.spawn_background(checking);
    hub.lifecycle.spawn_background(run(Arc::clone(hub), Arc::clone(backend), doubts));
}

async fn run(hub: Arc<Hub>, backend: Arc<dyn Backend>, doubts: Arc<Doubts>) {
    // Until when it is known what changed: by one clock, and by that of each database server where there are several.
    let mut since = None;
    let mut marks = Vec::new();
    let mut failing_since = None;
    let mut regular_at = Instant::now() + hub.config.repair_interval;
    loop {
        let soon = Instant::now() + hub.config.repair_interval_down;
        let next = if hub.hearing.hears_all() { regular_at } else { regular_at.min(soon) };
        tokio::select! {
            biased;
            () = tokio::time::sleep_until(next) => {}
            () = hub.poll_now.notified() => {}
        }
        let is_regular = Instant::now() >= regular_at;
        if is_regular {
            regular_at = Instant::now() + hub.config.repair_interval;
        }
        let asked_at = Instant::now();
        let missed = hub.hearing.take_missed(asked_at);
        match backend.changed(Changed { since, marks: marks.clone() }).await {
            Ok(mut found) => {
                metrics::histogram!("gateway_backend_duration_seconds", "call" => "changed")
                    .record(asked_at.elapsed());
                failing_since = None;
                let reach = if is_regular || since.is_none() { Reach::All } else { Reach::Missed };
                // What a cut answer leaves out of the other partitions, the next regular one must find.
                if reach == Reach::All || !found.cut().chats {
                    since = Some(found.now);
                    marks = std::mem::take(&mut found.marks);
                }
                apply(&hub, found, &doubts, &Poll { missed, reach });
            }
            Err(error) => {
                hub.hearing.put_back(&missed);
                metrics::counter!("gateway_backend_errors_total", "call" => "changed").increment(1);
                // One warning for each outage, not for each poll.
                if failing_since.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "cannot ask the api what changed");
                }
            }
        }
    }
}

/// What one question to the api is for.
#[derive(Debug)]
pub(crate) struct Poll {
    /// The partitions in which the bus may have lost something since the last one.
    pub missed: Partitions,
    pub reach: Reach,
}

/// The chats that are suspected when the answer leaves some out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All: a publisher may have died, whatever the bus says.
    All,
    /// Those of the missed partitions. A server that restarts must not make every node compare every chat at once.
    Missed,
}

/// Applies the api's changes to this node. Lists that were cut become suspicions and doubts.
pub(crate) fn apply(hub: &Arc<Hub>, found: ChangedFound, doubts: &Doubts, poll: &Poll) {
    // Ended sessions come first and invitations last. An invitation asks the api once more, so it is right even
    // if the user has left the chat meanwhile.
    let cut = found.cut();
    for ended in &found.ended {
        hub.users.end_sessions(ended);
    }
    if let Some(announced) = found.announced {
        hub.on_announced(announced);
    }
    for (chat, head) in found.chats {
        hub.on_head(chat, head, &poll.missed);
    }
    for chat in found.deleted {
        hub.close_chat(chat);
    }
    for UserChat { user_id, chat_id } in found.parted {
        hub.part(user_id, chat_id, Parting::Member);
    }
    for UserChat { user_id, chat_id } in found.banned {
        hub.part(user_id, chat_id, Parting::Barred);
    }
    // The newest come first. Clients put on top of their lists what they hear of last.
    for UserChat { user_id, chat_id } in found.joined.into_iter().rev() {
        hub.invite(user_id, chat_id, Invitation::Joined, Cause::Found);
    }
    for Woken { user_id, chat_id, after } in found.woken.into_iter().rev() {
        hub.invite(user_id, chat_id, Invitation::Woke(after), Cause::Found);
    }
    if cut.chats {
        match poll.reach {
            Reach::All => hub.suspect(&Partitions::all()),
            Reach::Missed => hub.suspect(&poll.missed),
        }
    }
    if cut != Cut::default() {
        doubts.raise(cut);
    }
}

#[cfg(test)]
mod tests;
