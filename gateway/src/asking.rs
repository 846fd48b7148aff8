//! What a connection's frames need before they can be answered: look-ups, one after the other in the
//! order of the frames, beside everything else that the connection does. Nothing waits for them but
//! the answers that need them.

use crate::{
    answer::Answer,
    conn::Owner,
    connection::Connection,
    dialect::{refusal, try_later},
    unanswered::Progress,
};
use futures_util::future::BoxFuture;
use shared::{
    close::Close,
    id::{ChatId, Seq},
    internal::{Action, Peer},
    time::Timestamp,
};
use std::{collections::VecDeque, future::pending, mem, sync::Arc, time::Duration};

/// The most frames of a connection that wait for the look-up of one before; more are left unread until
/// there are fewer. Each may hold the longest text, so it is a bound of memory; and one at a time goes
/// to the api, so that no connection's flood is others' wait. A look-up takes a millisecond or two.
const MAX_WAITING: usize = 8;

/// A frame that needs a look-up, or that must not overtake one.
#[derive(Debug)]
pub(crate) enum Question {
    /// The private chat with this person, to post to it.
    Direct { to: Peer, action: Action },
    /// The guest of this name, and whether its network may do that.
    Guest { name: String, action: Option<Action> },
    /// A chat as the user may watch it.
    Subscribe { id: Option<String>, chat_id: ChatId, after: Option<Seq> },
    /// Nothing: it is in here to stay behind its `subscribe`.
    Unsubscribe { id: Option<String>, chat_id: ChatId },
    /// Whose token this is.
    Renew { id: Option<String>, token: String },
}

/// What is done on the connection once a look-up has ended.
pub(crate) type Then = Box<dyn FnOnce(&mut Connection) -> Result<(), Close> + Send>;

/// A look-up under way.
pub(crate) type LookUp = BoxFuture<'static, Then>;

/// Makes a closure a [`Then`].
pub(crate) fn then(
    then: impl FnOnce(&mut Connection) -> Result<(), Close> + Send + 'static,
) -> Then {
    Box::new(then)
}

/// The look-ups of one connection.
#[derive(Default)]
pub(crate) struct Asking {
    under_way: Option<LookUp>,
    waiting: VecDeque<(Question, Answer)>,
    /// Frames are left unread, for a reason that was counted.
    paused: bool,
}

impl Asking {
    /// What to do now that the look-up under way has ended. Safe to drop while it waits.
    pub async fn found(&mut self) -> Then {
        match &mut self.under_way {
            Some(look_up) => look_up.await,
            None => pending().await,
        }
    }

    /// Whether frames are left unread.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether the next frame is to be read. Otherwise it stays in the kernel, whose buffer fills, so
    /// that the client is slowed down and nobody else.
    pub fn may_read(&mut self, progress: Progress) -> bool {
        let full = match progress {
            Progress::Open if self.waiting.len() >= MAX_WAITING => Some("look_ups"),
            Progress::Full => Some("answers"),
            Progress::Open | Progress::Leaving | Progress::Left => None,
        };
        let paused = mem::replace(&mut self.paused, full.is_some());
        if let Some(reason) = full.filter(|_| !paused) {
            metrics::counter!("gateway_reading_pauses_total", "reason" => reason).increment(1);
        }
        progress == Progress::Open && full.is_none()
    }
}

impl Connection {
    /// Looks up what a frame needs, behind what those before it need.
    pub(crate) fn ask(&mut self, question: Question, answer: Answer) {
        self.asking.waiting.push_back((question, answer));
        self.ask_next();
    }

    /// The look-up under way has ended.
    pub(crate) fn on_found(&mut self, then: Then) -> Result<(), Close> {
        self.asking.under_way = None;
        then(self)?;
        self.ask_next();
        Ok(())
    }

    fn ask_next(&mut self) {
        while self.asking.under_way.is_none()
            && let Some((question, answer)) = self.asking.waiting.pop_front()
        {
            self.asking.under_way = match question {
                Question::Direct { to, action } => self.find_peer(to, action, answer),
                Question::Guest { name, action } => self.find_guest(name, action, answer),
                Question::Subscribe { id, chat_id, after } => self.view(id, chat_id, after, answer),
                Question::Unsubscribe { id, chat_id } => {
                    self.unsubscribe(id, chat_id, answer);
                    None
                }
                Question::Renew { id, token } => Some(self.verify(id, token, answer)),
            };
        }
        if self.asking.waiting.is_empty() && self.asking.waiting.capacity() > 0 {
            // It is rare, and no part of an idle connection's memory.
            self.asking.waiting = VecDeque::new();
        }
    }

    /// Looks up whose token this is, to go on with it.
    fn verify(&self, id: Option<String>, token: String, answer: Answer) -> LookUp {
        let gateway = Arc::clone(self.gateway());
        Box::pin(async move {
            let verdict = gateway.keys.verify(&token).await;
            then(move |connection| {
                let Owner::User { session: own, .. } = connection.conn().owner else {
                    return Ok(());
                };
                answer.send(&match verdict {
                    Ok(claims) => {
                        let expires_at = Timestamp(claims.exp.saturating_mul(1000));
                        connection.session.renewed(id, (claims.sid, own), expires_at)
                    }
                    Err(Close::Overloaded) => {
                        let text = "This token cannot be checked right now. Send it again.";
                        try_later(id, "unavailable", text, Duration::from_secs(2))
                    }
                    Err(close) => refusal(id, close.reason(), "This token is not accepted."),
                });
                Ok(())
            })
        })
    }

    /// Looks a chat up as the user may watch it, to join it; refused at once when there are too many.
    fn view(
        &self,
        id: Option<String>,
        chat_id: ChatId,
        after: Option<Seq>,
        answer: Answer,
    ) -> Option<LookUp> {
        if self.is_too_much(chat_id) {
            let text = "This connection watches as many chats as it may.";
            answer.send(&refusal(id, "too_many_chats", text));
            return None;
        }
        let (gateway, conn) = (Arc::clone(self.gateway()), Arc::clone(self.conn()));
        Some(Box::pin(async move {
            let allowed = conn.access_version();
            let view = gateway.hub.view_for(&conn, chat_id).await;
            then(move |connection| {
                connection.subscribe((id, after), allowed, view, answer);
                Ok(())
            })
        }))
    }
}

#[cfg(test)]
mod tests;
