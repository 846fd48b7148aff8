//! A watched gateway: its two connections as the rounds see them. Pure but for the queues of frames to
//! send.

use crate::{account::CanaryAccount, config::CanaryConfig};
use protocol::{frames::ClientFrame, id::ChatId};
use std::collections::BTreeMap;
use tokio::{sync::mpsc, time::Instant};

/// The two connections to one gateway.
pub(crate) struct ConnectionPair {
    pub sender: Seat,
    pub listener: Seat,
}

/// One connection, open or not. Dropping it ends the connection.
pub(crate) struct Seat {
    orders: mpsc::Sender<ClientFrame>,
    ready_since: Option<Instant>,
    /// The canary's chats that are live on it, since when.
    chats: BTreeMap<ChatId, Instant>,
}

impl ConnectionPair {
    pub(crate) fn seat(&mut self, account: CanaryAccount) -> &mut Seat {
        match account {
            CanaryAccount::Sender => &mut self.sender,
            CanaryAccount::Listener => &mut self.listener,
        }
    }

    /// Whether both connections are open and ready.
    pub(crate) fn is_connected(&self) -> bool {
        self.sender.ready_since.is_some() && self.listener.ready_since.is_some()
    }
}

impl Seat {
    pub(crate) fn new(orders: mpsc::Sender<ClientFrame>) -> Self {
        Self { orders, ready_since: None, chats: BTreeMap::new() }
    }

    pub(crate) fn on_ready(&mut self, chats: Vec<ChatId>, now: Instant) {
        self.ready_since = Some(now);
        self.chats = chats.into_iter().map(|chat| (chat, now)).collect();
    }

    pub(crate) fn on_ended(&mut self) {
        self.ready_since = None;
        self.chats.clear();
    }

    /// A chat became live. Those made before the present one are of no use any more.
    pub(crate) fn on_chat(&mut self, chat: ChatId, present: ChatId, now: Instant) {
        self.chats.retain(|other, _| *other >= present);
        self.chats.entry(chat).or_insert(now);
    }

    pub(crate) fn on_chat_gone(&mut self, chat: ChatId) {
        self.chats.remove(&chat);
    }

    /// Whether it takes part in rounds in a chat that was made at `made`.
    pub(crate) fn takes_part(
        &self,
        chat: ChatId,
        made: Instant,
        now: Instant,
        config: &CanaryConfig,
    ) -> bool {
        let Some(ready) = self.ready_since else { return false };
        match self.chats.get(&chat) {
            Some(live) => now.duration_since(*live) >= config.settle,
            // A gateway that never announces the chat takes part all the same, and fails its rounds.
            // Left out, it would hide its fault.
            None => now.duration_since(ready.max(made)) >= config.overdue,
        }
    }

    /// Queues a frame; whether there was room. A connection that does not even take the few frames of
    /// some rounds is dead, and is found to be so by its own silence.
    pub(crate) fn send(&self, frame: ClientFrame) -> bool {
        self.orders.try_send(frame).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::settings::Secret;
    use std::time::Duration;

    #[test]
    fn a_connection_settles_before_it_takes_part() {
        let config = CanaryConfig::new("http://a".parse().unwrap(), Vec::new(), Secret::new("p"));
        let (old, chat, start) = (ChatId(4), ChatId(5), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut seat = Seat::new(mpsc::channel(1).0);
        let part = |seat: &Seat, now| seat.takes_part(chat, start, now, &config);
        assert!(!part(&seat, after(100)), "it was never ready");
        seat.on_ready(vec![old, chat], start);
        assert!(!part(&seat, after(0)));
        assert!(part(&seat, after(1)));
        seat.on_ended();
        assert!(!part(&seat, after(100)));

        seat.on_ready(vec![old], after(1));
        assert!(!part(&seat, after(30)), "it may still be told of the chat");
        assert!(part(&seat, after(31)), "it should have been");
        seat.on_chat(chat, chat, after(40));
        assert!(!part(&seat, after(40)));
        assert!(part(&seat, after(41)));
        assert_eq!(seat.chats.len(), 1, "the old one is of no use");
        seat.on_chat_gone(chat);
        assert!(!part(&seat, after(30)));
    }
}
