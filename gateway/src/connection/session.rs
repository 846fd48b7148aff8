//! Decides what a client's frames lead to, in every dialect. A pure state machine: no socket, no clock, no
//! lock. Before a native client says hello, a [`crate::connection::greeting::Greeting`] decides.

use crate::{
    config::Config,
    connection::look_up_queue::Question,
    dialect::{ClientRequest, Speaker, native::frame_id, refusal, too_fast},
    hub::conn::account::Allowance,
};
use platform::limit::{Bucket, Rate};
use protocol::{
    calls::ReadMark,
    close::Close,
    code::Code,
    command::{Action, Command},
    frames::{ClientFrame, ServerFrame},
    id::{ChatId, Seq, SessionId, UserId},
    limits::MAX_CLIENT_ID_BYTES,
    refusal::Refusal,
    time::Timestamp,
};
use std::time::Duration;

/// A connection whose client is known.
#[derive(Debug)]
pub(crate) struct Session {
    /// When the connection ends: at the token's expiry, or at the end of the longest life in dialects that cannot
    /// renew a token.
    pub expires_at: Timestamp,
    frame_rate: Rate,
    typing_rate: Rate,
    refused_rate: Rate,
}

/// The effect of a frame. The connection carries it out.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Answer with this.
    Reply(ServerFrame),
    /// Have the api carry this out and answer with `ack` or `error`.
    Post {
        id: Option<String>,
        command: Command,
    },
    /// Look this up first. A token that verifies comes back to [`Session::renew`].
    LookUp(Question),
    Read(ReadMark),
    Typing(ChatId),
    Nothing,
}

impl Session {
    pub(crate) fn new(expires_at: Timestamp, config: &Config) -> Self {
        Self {
            expires_at,
            frame_rate: config.account.frames,
            typing_rate: config.account.typing,
            refused_rate: config.account.refused_frames,
        }
    }

    /// Decides on a text frame of this speaker. `allowance` is what the account has left. `now` counts from
    /// any fixed start, the same for all of the account's connections. `fallback_id` makes a client message
    /// id for a message without one. An error closes the connection.
    pub(crate) fn on_text(
        &self,
        text: &str,
        from: Speaker<'_>,
        allowance: &mut Allowance,
        now: Duration,
        fallback_id: impl FnOnce() -> String,
    ) -> Result<Effect, Close> {
        let request = match from.decode(text) {
            Ok(request) => request,
            Err(error) => return self.refuse(*error, allowance, now),
        };
        let id = match &request {
            ClientRequest::Frame(frame) => frame_id(frame),
            ClientRequest::Direct { .. } | ClientRequest::Guest { .. } | ClientRequest::Nothing => {
                None
            }
        };
        // After decoding, so that the refusal names the frame.
        if let Err(wait) = allowance.frames.try_take(&self.frame_rate, now, 1) {
            metrics::counter!("gateway_rate_limited_total").increment(1);
            return self.refuse(too_fast(id, wait), allowance, now);
        }
        if id.as_ref().is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID_BYTES) {
            let error = refusal(None, Code::InvalidId, "A frame's id has 1 to 64 bytes.");
            return self.refuse(error, allowance, now);
        }
        if let Err(Refusal { code, message }) = request.check() {
            // Not counted by `refuse`: the text is a person's mistake, as when the api refuses it.
            return Ok(Effect::Reply(refusal(id, code, &message)));
        }
        let frame = match request {
            ClientRequest::Frame(frame) => frame,
            ClientRequest::Direct { to, text } => {
                let action = send(fallback_id(), text, None);
                return Ok(Effect::LookUp(Question::Direct { to, action }));
            }
            ClientRequest::Guest { name, text } => {
                let action = text.map(|text| send(fallback_id(), text, None));
                return Ok(Effect::LookUp(Question::Guest { name, action }));
            }
            ClientRequest::Nothing => return Ok(Effect::Nothing),
        };
        let Some(user) = from.user else {
            // The guests' dialect makes no other requests.
            let error = refusal(None, Code::Unauthenticated, "Sign in first.");
            return self.refuse(error, allowance, now);
        };
        self.on_frame(frame, user.id, allowance, now, fallback_id)
    }

    /// Decides on a user's frame that is well-formed and within the rate.
    fn on_frame(
        &self,
        frame: ClientFrame,
        user_id: UserId,
        allowance: &mut Allowance,
        now: Duration,
        fallback_id: impl FnOnce() -> String,
    ) -> Result<Effect, Close> {
        let post = |id, chat_id, action| {
            let command = Command { user_id, chat_id, action };
            Effect::Post { id, command }
        };
        Ok(match frame {
            ClientFrame::Hello { .. } => {
                let error = refusal(None, Code::AlreadyGreeted, "This connection has said hello.");
                return self.refuse(error, allowance, now);
            }
            ClientFrame::Send { id, chat_id, text, reply_to } => {
                let client_message_id = id.clone().unwrap_or_else(fallback_id);
                post(id, chat_id, send(client_message_id, text, reply_to))
            }
            ClientFrame::Edit { id, chat_id, message_id, text } => {
                let client_edit_id = id.clone();
                post(id, chat_id, Action::Edit { message_id, text, client_edit_id })
            }
            ClientFrame::Delete { id, chat_id, message_id } => {
                post(id, chat_id, Action::Delete { message_id })
            }
            ClientFrame::Read { chat_id, message_id } => {
                Effect::Read(ReadMark { user_id, chat_id, message_id })
            }
            ClientFrame::Typing { chat_id } => {
                match allowance.typing.try_take(&self.typing_rate, now, 1) {
                    Ok(()) => Effect::Typing(chat_id),
                    Err(_) => Effect::Nothing,
                }
            }
            ClientFrame::Subscribe { id, chat_id, after } => {
                Effect::LookUp(Question::Subscribe { id, chat_id, after })
            }
            ClientFrame::Unsubscribe { id, chat_id } => {
                Effect::LookUp(Question::Unsubscribe { id, chat_id })
            }
            ClientFrame::Token { id, token } => Effect::LookUp(Question::Renew { id, token }),
            ClientFrame::Ping { id } => Effect::Reply(ServerFrame::Pong { id }),
        })
    }

    /// Refuses a binary frame, since the protocol has none.
    pub(crate) fn on_binary(
        &self,
        allowance: &mut Allowance,
        now: Duration,
    ) -> Result<Effect, Close> {
        self.refuse(refusal(None, Code::TextOnly, "Frames are JSON text."), allowance, now)
    }

    /// Answers a wrong frame with this `error`. Too many of them close the connection.
    pub(crate) fn refuse(
        &self,
        error: ServerFrame,
        allowance: &mut Allowance,
        now: Duration,
    ) -> Result<Effect, Close> {
        count_refused(&mut allowance.refused, &self.refused_rate, now)
            .map(|()| Effect::Reply(error))
    }

    /// Extends the session by a fresh token, if that belongs to the connection's own session. Returns the
    /// answer to the frame that brought it.
    pub(crate) fn renew(
        &mut self,
        id: Option<String>,
        (new, own): (SessionId, SessionId),
        expires_at: Timestamp,
    ) -> ServerFrame {
        if new != own {
            return refusal(
                id,
                Code::OtherSession,
                "That token is of another session. Open a new connection for it.",
            );
        }
        self.expires_at = self.expires_at.max(expires_at);
        ServerFrame::TokenAccepted { id, expires_at: self.expires_at }
    }
}

fn send(client_message_id: String, text: String, reply_to: Option<Seq>) -> Action {
    Action::Send { client_message_id, text, reply_to }
}

/// Counts a refused frame. A few are mistakes; too many are abuse, which closes the connection.
pub(crate) fn count_refused(bucket: &mut Bucket, rate: &Rate, now: Duration) -> Result<(), Close> {
    bucket.try_take(rate, now, 1).map_err(|_| Close::Abuse)
}

#[cfg(test)]
mod tests;
