//! Sends a connection's commands to the api and tells the client the outcome. The lane keeps their order.
//! Nothing here waits.

use crate::{
    backend::request_result::{RequestError, RequestResult},
    connection::{Connection, answer::Answer},
    dialect::{Window, refusal, try_later},
};
use platform::telemetry::trace::{self, Kind, Span};
use protocol::{
    chat::{Change, Event, Message, UserRef},
    code::Code,
    command::{Action, Command, Receipt},
    frames::{ChatEvent, ServerFrame},
    id::ChatId,
    refusal::Refusal,
};
use std::time::Duration;
use tokio::time::Instant;

impl Connection {
    /// Sends a command to its lane. `answer` gets an `ack` or an `error` with the frame's `id`.
    pub(crate) fn post(&self, id: Option<String>, command: Command, answer: Answer) {
        let config = &self.gateway().hub.config;
        let Some(in_flight) = self.conn().account.try_command(config.account.in_flight) else {
            metrics::counter!("gateway_rate_limited_total").increment(1);
            let text = "Too many of your commands have no answer yet. Wait for some.";
            return answer.send(&try_later(id, Code::RateLimited, text, config.in_flight_wait));
        };
        metrics::counter!("gateway_commands_total").increment(1);
        let (chat_id, frame_id) = (command.chat_id, id.clone());
        let unavailable_wait = config.unavailable_wait;
        let echo = self.pending_echo(id.as_deref(), &command.action);
        let taken = Instant::now();
        let mut span = Span::root("command", Kind::Server);
        span.text(
            "action",
            match &command.action {
                Action::Send { .. } => "send",
                Action::Edit { .. } => "edit",
                Action::Delete { .. } => "delete",
            },
        );
        span.text("dialect", self.conn().window.dialect().name());
        span.number("chat.id", chat_id.0);
        let here = span.here();
        // Shared with the callback, because a full lane drops the callback unused.
        let answer = answer.share();
        let or_else = answer.clone();
        let done = move |outcome: RequestResult<Receipt>| {
            // Before the answer: a client that answers it at once finds its place free.
            drop(in_flight);
            let result = match &outcome {
                Ok(_) => "acknowledged",
                Err(RequestError::Refused(_)) => "refused",
                Err(RequestError::Unavailable) => "unavailable",
            };
            count(result);
            span.text("result", result);
            if let Err(RequestError::Refused(refusal)) = &outcome {
                span.text("refusal", refusal.code.as_str());
            }
            metrics::histogram!("gateway_command_duration_seconds").record(taken.elapsed());
            answer.send(&match (outcome, echo) {
                (Ok(receipt), Some(echo)) if receipt.repeated => echo.repeat(chat_id, receipt),
                (outcome, _) => result_frame(frame_id, chat_id, outcome, unavailable_wait),
            });
        };
        let lanes = &self.gateway().lanes;
        if trace::within(here, || lanes.post(command, done)).is_err() {
            count("overloaded");
            let text = "Too much is waiting. Send it again.";
            or_else.send(&try_later(id, Code::Overloaded, text, config.overloaded_wait));
        }
    }

    /// The part of a message to keep until its receipt arrives. `None` except in the one dialect that has
    /// client message ids and no `ack`.
    fn pending_echo(&self, id: Option<&str>, action: &Action) -> Option<PendingEcho> {
        match (self.conn().window, action) {
            (Window::Chat(_), Action::Send { text, .. }) => Some(PendingEcho {
                sender: self.conn().user()?.clone(),
                text: text.clone(),
                client_message_id: id?.to_owned(),
            }),
            _ => None,
        }
    }
}

/// Counts what a client was told of its command.
fn count(result: &'static str) {
    metrics::counter!("gateway_command_results_total", "result" => result).increment(1);
}

/// A message that its sender may have to see again.
struct PendingEcho {
    sender: UserRef,
    text: String,
    client_message_id: String,
}

impl PendingEcho {
    /// The stored message as an event for its sender. A repeat makes no event of its own, and the sender
    /// repeated it because the first answer was lost.
    fn repeat(self, chat_id: ChatId, receipt: Receipt) -> ServerFrame {
        let message = Message {
            id: receipt.message_id,
            sender: self.sender,
            text: self.text,
            timestamp: receipt.timestamp,
            client_message_id: Some(self.client_message_id),
            reply_to: None,
            edited_at: None,
        };
        let event = Event { seq: receipt.seq, change: Change::Message(message) };
        ServerFrame::Event(ChatEvent { chat_id, event })
    }
}

/// The answer to a command's frame.
fn result_frame(
    id: Option<String>,
    chat_id: ChatId,
    outcome: RequestResult<Receipt>,
    wait: Duration,
) -> ServerFrame {
    match outcome {
        Ok(Receipt { message_id, seq, timestamp, .. }) => {
            ServerFrame::Ack { id, chat_id, message_id, seq, timestamp }
        }
        Err(RequestError::Refused(Refusal { code, message })) => refusal(id, code, &message),
        Err(RequestError::Unavailable) => {
            let text = match id {
                Some(_) => {
                    "It is not known whether this was stored. Send it again with the same id."
                }
                None => "It is not known whether this was stored.",
            };
            try_later(id, Code::Unavailable, text, wait)
        }
    }
}
