//! Lets a client watch a chat that it asks for, and stop watching it. `joining.rs` does the joining itself.

use crate::{
    backend::request_result::{RequestError, RequestResult},
    connection::{
        Connection,
        answer::Answer,
        look_up_queue::{LookUp, then},
        opening::native::MAX_CATCH_UP,
    },
    dialect::{refusal, try_later},
    hub::conn::join::{AccessVersion, Announce, Cause, Join, Subscription},
};
use protocol::{
    chat::ChatView,
    code::Code,
    frames::ServerFrame,
    id::{ChatId, Seq},
    refusal::Refusal,
};
use std::sync::Arc;

impl Connection {
    /// Views a chat as the user, then joins it. Refused at once if the connection watches too many chats.
    pub(crate) fn view(
        &self,
        id: Option<String>,
        chat_id: ChatId,
        after: Option<Seq>,
        answer: Answer,
    ) -> Option<LookUp<Self>> {
        if self.is_too_much(chat_id) {
            let text = "This connection watches as many chats as it may.";
            answer.send(&refusal(id, Code::TooManyChats, text));
            return None;
        }
        let (gateway, conn) = (Arc::clone(self.gateway()), Arc::clone(self.conn()));
        Some(Box::pin(async move {
            // Before the api is asked: a right that is lost meanwhile is noticed when the chat is joined.
            let allowed = conn.access_version();
            let view = gateway.hub.view_for(&conn, chat_id).await;
            then(move |connection: &mut Self| {
                connection.subscribe((id, after), allowed, view, answer);
                Ok(())
            })
        }))
    }

    /// Whether the chat would be one more than the connection may watch. Chats on their way in count.
    fn is_too_much(&self, chat_id: ChatId) -> bool {
        let many = self.conn().watch_count() + self.joins.len();
        self.gateway().hub.config.max_chats <= many && !self.conn().watches(chat_id)
    }

    /// Joins a chat that the api lets the user watch; otherwise answers with the refusal.
    fn subscribe(
        &mut self,
        (id, after): (Option<String>, Option<Seq>),
        allowed: AccessVersion,
        view: RequestResult<ChatView>,
        answer: Answer,
    ) {
        let chat = match view {
            Ok(chat) => chat,
            Err(RequestError::Refused(Refusal { code, message })) => {
                return answer.send(&refusal(id, code, &message));
            }
            Err(RequestError::Unavailable) => {
                let text = "The chat cannot be looked up right now.";
                let wait = self.gateway().hub.config.unavailable_wait;
                return answer.send(&try_later(id, Code::Unavailable, text, wait));
            }
        };
        let join = Join::at_end(&chat, allowed, Cause::Subscribed);
        let after = after.filter(|after| *after >= Seq::ZERO);
        let reachable = |after: Seq| (0..=MAX_CATCH_UP).contains(&(chat.seq.0 - after.0));
        let join = match after {
            Some(after) if reachable(after) => join.resume_at(after),
            _ => join,
        };
        let resync = after.is_some() && join.target.is_none();
        let reply = Box::new(move |frame: &ServerFrame| answer.send(frame));
        let granted = Subscription { id, chat, resync, reply };
        self.joins.add(Join { announce: Some(Announce::Subscribed(Box::new(granted))), ..join });
        self.join_waiting();
    }

    pub(crate) fn unsubscribe(&mut self, id: Option<String>, chat_id: ChatId, answer: Answer) {
        self.gateway().hub.detach(self.conn(), chat_id);
        self.joins.decline(chat_id, &self.guard.conn);
        answer.send(&ServerFrame::Unsubscribed { id, chat_id });
    }
}
