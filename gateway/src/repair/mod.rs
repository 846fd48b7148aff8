//! Anti-entropy: repairs the damage of lost bus messages. Every few seconds the gateway asks the api for recent
//! changes, and compares the answer with the feeds, memberships and sessions here. It asks at once when the bus
//! comes back, and every second while the bus is down. `doubts.rs` follows up on answers that were cut.

mod doubts;

use crate::{
    backend::Backend,
    hub::{Hub, conn::join::Cause, invitations::Invitation, watching::Parting},
};
use doubts::Doubts;
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
    let mut since = None;
    let mut failing_since = None;
    loop {
        let up = hub.hears();
        let pause = if up { hub.config.repair_interval } else { hub.config.repair_interval_down };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.poll_now.notified() => {}
        }
        match backend.changed(Changed { since }).await {
            Ok(found) => {
                since = Some(found.now);
                failing_since = None;
                apply(&hub, found, &doubts);
            }
            Err(error) => {
                metrics::counter!("gateway_backend_errors_total", "call" => "changed").increment(1);
                // One warning for each outage, not for each poll.
                if failing_since.replace(Instant::now()).is_none() {
                    tracing::warn!(%error, "cannot ask the api what changed");
                }
            }
        }
    }
}

/// Applies the api's changes to this node. Lists that were cut become suspicions and doubts.
pub(crate) fn apply(hub: &Arc<Hub>, found: ChangedFound, doubts: &Doubts) {
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
        hub.on_head(chat, head);
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
        hub.suspect_all();
    }
    if cut != Cut::default() {
        doubts.raise(cut);
    }
}
