//! Makes a user's open connections watch one more chat, because the user became a member or because a dormant
//! chat woke. The connection's own task joins the chat.

use crate::{
    backend::request_result::RequestResult,
    dialect::Window,
    hub::{
        Hub,
        conn::join::{Announce, Cause, Join},
    },
};
use protocol::{
    calls::UserChat,
    chat::ChatView,
    frames::ServerFrame,
    id::{ChatId, Seq, UserId},
};
use std::sync::Arc;

/// Why a user's connections must watch another chat.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Invitation {
    /// The user became a member of it.
    Joined,
    /// The chat was dormant and has events after this place.
    Woke(Seq),
}

impl Hub {
    /// Invites the connections of a user who became a member of a chat.
    pub(crate) fn welcome(self: &Arc<Self>, user: UserId, chat: ChatId) {
        self.invite(user, chat, Invitation::Joined, Cause::Invited);
    }

    /// Makes a user's connections here watch a chat, if their windows take it. Asks the api for the chat first.
    pub(crate) fn invite(
        self: &Arc<Self>,
        user: UserId,
        chat: ChatId,
        invitation: Invitation,
        cause: Cause,
    ) {
        let mut waiting = self.users.of_user(user);
        waiting.retain(|conn| conn.window.takes_invitations() && !conn.watches(chat));
        if waiting.is_empty() {
            return;
        }
        // Connections that open after this get the chat from an answer that is newer than this request.
        let waiting: Vec<_> =
            waiting.into_iter().map(|conn| (conn.access_version(), conn)).collect();
        let done = move |view: RequestResult<ChatView>| {
            // On a refusal the user is no longer a member. Without an answer, the next poll invites again.
            let Ok(mut chat) = view else { return };
            let head = chat.seq;
            if let Invitation::Woke(after) = invitation {
                chat.seq = after.min(head);
            }
            for (allowed, conn) in waiting {
                if conn.watches(chat.id) || !conn.window.takes(&chat) {
                    continue;
                }
                // A native client is told of the chat and loads older messages itself. A window that only
                // shows messages gets all messages of a new chat.
                let (announce, from) = match (conn.window, invitation) {
                    (Window::Native, _) => {
                        let frame = conn.encode(&ServerFrame::Chat { chat: chat.clone() });
                        (frame.map(Announce::Frame), chat.seq)
                    }
                    (_, Invitation::Joined) => (None, Seq::ZERO),
                    (_, Invitation::Woke(_)) => (None, chat.seq),
                };
                let join = Join::at_end(&chat, allowed, cause);
                conn.outbox.join(Join { head, from, after: from, announce, ..join });
            }
        };
        let asked = UserChat { user_id: user, chat_id: chat };
        // When the lane is full, the next poll invites again.
        let _ = self.lanes.request_view(asked, done);
    }
}
