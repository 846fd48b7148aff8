//! Starts the look-up that a frame needs, and carries the frame out afterwards. `look_up_queue.rs` keeps the
//! order.

use crate::{
    connection::{
        Connection,
        answer::Answer,
        look_up_queue::{LookUp, Question, Then, then},
    },
    dialect::{refusal, try_later},
    hub::conn::Owner,
};
use protocol::{close::Close, code::Code, time::Timestamp};
use std::sync::Arc;

impl Connection {
    /// Queues the look-up of a frame behind those of earlier frames.
    pub(crate) fn ask(&mut self, question: Question, answer: Answer) {
        self.look_ups.add(question, answer);
        self.ask_next();
    }

    /// Carries a frame out after its look-up, and starts the next look-up.
    pub(crate) fn on_look_up(&mut self, then: Then<Self>) -> Result<(), Close> {
        then(self)?;
        self.ask_next();
        Ok(())
    }

    /// Carries out what the client sent before it hung up: in a dialect without acks it has no reason to stay,
    /// and would never send it again. Each of the few look-ups ends when its lane gives up, and all end with an
    /// order to close: nothing is posted for a session that is over.
    pub(crate) async fn finish_look_ups(&mut self) {
        let conn = Arc::clone(self.conn());
        let finished = async {
            while !self.look_ups.is_empty() {
                let then = self.look_ups.finish().await;
                if self.on_look_up(then).is_err() {
                    return;
                }
            }
        };
        // Whether they ended or were ended: the socket is gone, and nobody is told.
        let _ = conn.outbox.unless_closing(finished).await;
    }

    fn ask_next(&mut self) {
        // Goes on after a frame that is answered without a look-up.
        while let Some((question, answer)) = self.look_ups.next() {
            let look_up = match question {
                Question::Direct { to, action } => self.find_peer(to, action, answer),
                Question::Guest { name, action } => self.find_guest(name, action, answer),
                Question::Subscribe { id, chat_id, after } => self.view(id, chat_id, after, answer),
                Question::Unsubscribe { id, chat_id } => {
                    self.unsubscribe(id, chat_id, answer);
                    None
                }
                Question::Renew { id, token } => Some(self.verify(id, token, answer)),
            };
            if let Some(look_up) = look_up {
                self.look_ups.begin(look_up);
            }
        }
    }

    /// Verifies a token, then renews the session with it.
    fn verify(&self, id: Option<String>, token: String, answer: Answer) -> LookUp<Self> {
        let gateway = Arc::clone(self.gateway());
        Box::pin(async move {
            let verdict = gateway.keys.verify(&token).await;
            then(move |connection: &mut Self| {
                let Owner::User { session: own, .. } = connection.conn().owner else {
                    return Ok(());
                };
                answer.send(&match verdict {
                    Ok(claims) => {
                        let expires_at = Timestamp(claims.exp.saturating_mul(1000));
                        connection.session.renew(id, (claims.sid, own), expires_at)
                    }
                    Err(Close::Overloaded) => {
                        let text = "This token cannot be checked right now. Send it again.";
                        try_later(id, Code::Unavailable, text, gateway.hub.config.unavailable_wait)
                    }
                    Err(close) => refusal(id, code(close), "This token is not accepted."),
                });
                Ok(())
            })
        })
    }
}

/// The code of the `error` for a token that would close a new connection.
fn code(close: Close) -> Code {
    match close {
        Close::TokenExpired => Code::TokenExpired,
        Close::SessionEnded => Code::SessionEnded,
        Close::Blocked => Code::Blocked,
        _ => Code::Unauthenticated,
    }
}

#[cfg(test)]
mod tests;
