//! What a good client remembers across connections: its epoch and cursors, what it sent and was
//! not acknowledged, and here also a record of all it received. Pure: it knows no socket.

use super::user::SentMessage;
use loadtest::history::{Ledger, Log, ReportedContent, ReportedEvent};
use protocol::{
    chat::Change,
    frames::{ChatEvent, ClientFrame, Resume, ServerFrame},
    id::{ChatId, Seq, UserId},
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A client's memory.
#[derive(Debug)]
pub struct Track {
    user: UserId,
    epoch: String,
    pub cursors: HashMap<ChatId, Seq>,
    unacked: VecDeque<Unacked>,
    /// Every numbered event in the order of its arrival, over all connections.
    pub events: Vec<ChatEvent>,
    /// What it was promised.
    pub acked: Vec<SentMessage>,
    /// For the history checker, from [`Track::record`] on.
    recorded: Option<(Arc<Ledger>, Log)>,
    /// How often it was told that something could not be caught up.
    pub resyncs: usize,
    /// Once the server found it too fast: when the next message may go out on this connection.
    paced: Option<Instant>,
}

/// A message on its way.
#[derive(Debug)]
struct Unacked {
    id: String,
    chat: ChatId,
    text: String,
    /// To be sent then: the server asked for a pause.
    again_at: Option<Instant>,
}

/// How a client that was too fast goes on: a little slower than the 50 frames a second of the
/// protocol.
const PACE: Duration = Duration::from_millis(25);

impl Track {
    pub fn new(user: UserId) -> Self {
        Self {
            user,
            epoch: String::new(),
            cursors: HashMap::new(),
            unacked: VecDeque::new(),
            events: Vec::new(),
            acked: Vec::new(),
            recorded: None,
            resyncs: 0,
            paced: None,
        }
    }

    /// Where it stopped; `None` before its first connection.
    pub fn resume(&self) -> Option<Resume> {
        let known = !self.epoch.is_empty();
        known.then(|| Resume { epoch: self.epoch.clone(), cursors: self.cursors.clone() })
    }

    /// Records from here on what it receives and what it is promised, for the history checker.
    pub fn record(&mut self, ledger: &Arc<Ledger>, device: &str) {
        let mut log = ledger.log(device.to_owned());
        self.cursors.iter().for_each(|(chat, seq)| log.watch(*chat, *seq));
        self.recorded = Some((Arc::clone(ledger), log));
    }

    /// Gives the record back to the ledger, as that of a device that is there to the end.
    pub fn end_record(&mut self) {
        self.recorded = None;
    }

    /// The connection ended.
    pub fn on_disconnected(&mut self) {
        if let Some((_, log)) = &mut self.recorded {
            log.away();
        }
    }

    /// Remembers a message before it is sent. Gives its id, and the frame when it may go at once.
    pub fn on_send(&mut self, chat: ChatId, text: &str) -> (String, Option<ClientFrame>) {
        let id = uuid::Uuid::new_v4().to_string();
        let again_at = self.paced.is_some().then(|| self.next_turn(PACE));
        let sent = Unacked { id: id.clone(), chat, text: text.to_owned(), again_at };
        let frame = sent.again_at.is_none().then(|| sent.frame());
        self.unacked.push_back(sent);
        (id, frame)
    }

    /// Everything unacknowledged, to be sent on a new connection.
    pub fn on_connected(&mut self) -> Vec<ClientFrame> {
        self.paced = None;
        self.unacked.iter_mut().for_each(|sent| sent.again_at = None);
        self.unacked.iter().map(Unacked::frame).collect()
    }

    /// A moment for one more message, after all that wait already.
    fn next_turn(&mut self, pause: Duration) -> Instant {
        let now = Instant::now();
        let turn = self.paced.map_or(now, |last| last.max(now)) + pause.max(PACE);
        self.paced = Some(turn);
        turn
    }

    /// How many messages are on their way.
    pub fn in_flight(&self) -> usize {
        self.unacked.len()
    }

    /// When the first refused message may be sent again.
    pub fn again_at(&self) -> Option<Instant> {
        self.unacked.iter().filter_map(|sent| sent.again_at).min()
    }

    /// The refused messages whose pause is over.
    pub fn due(&mut self, now: Instant) -> Vec<ClientFrame> {
        let due = |sent: &mut Unacked| {
            sent.again_at.take_if(|at| *at <= now).is_some().then(|| sent.frame())
        };
        self.unacked.iter_mut().filter_map(due).collect()
    }

    /// Takes a frame of the server into account.
    pub fn on_frame(&mut self, frame: &ServerFrame) {
        if let Some((_, log)) = &mut self.recorded {
            log_frame(log, frame, &self.epoch, &self.cursors);
        }
        match frame {
            ServerFrame::Ready { epoch, chats, .. } => {
                if *epoch != self.epoch {
                    self.cursors.clear();
                    self.epoch.clone_from(epoch);
                }
                for chat in chats {
                    self.cursors.entry(chat.id).or_insert(chat.seq);
                }
            }
            ServerFrame::Event(event) => {
                self.advance(event.chat_id, event.event.seq);
                self.events.push(event.clone());
            }
            ServerFrame::CaughtUp { chat_id, seq } => self.advance(*chat_id, *seq),
            ServerFrame::Resync { chat_id, seq } => {
                self.cursors.insert(*chat_id, *seq);
                self.resyncs += 1;
            }
            ServerFrame::Chat { chat } | ServerFrame::Subscribed { chat, .. } => {
                self.cursors.entry(chat.id).or_insert(chat.seq);
            }
            ServerFrame::ChatRemoved { chat_id } | ServerFrame::Unsubscribed { chat_id, .. } => {
                self.cursors.remove(chat_id);
            }
            ServerFrame::Ack { id: Some(id), chat_id, message_id, seq, .. } => {
                let (chat, at) = (*chat_id, *message_id);
                if let Some(Unacked { id: key, text, .. }) = self.take_unacked(id) {
                    if let Some((ledger, _)) = &self.recorded {
                        let (sender, key, text) = (self.user, &key, &text);
                        let what = ReportedContent::Message { id: at, sender, key, text };
                        ledger.acked(&ReportedEvent { chat, seq: *seq, what });
                    }
                    self.acked.push(SentMessage { chat, id: at, sender: self.user, key, text });
                }
            }
            ServerFrame::Error { id: Some(id), retry_after_ms: Some(wait), .. } => {
                if let Some(at) = self.unacked.iter().position(|sent| sent.id == *id) {
                    let turn = self.next_turn(Duration::from_millis(*wait));
                    self.unacked[at].again_at = Some(turn);
                }
            }
            ServerFrame::Error { id: Some(id), .. } => {
                self.take_unacked(id);
            }
            _ => {}
        }
    }

    fn advance(&mut self, chat: ChatId, seq: Seq) {
        let cursor = self.cursors.entry(chat).or_insert(seq);
        *cursor = seq.max(*cursor);
    }

    fn take_unacked(&mut self, id: &str) -> Option<Unacked> {
        let at = self.unacked.iter().position(|sent| sent.id == id)?;
        self.unacked.remove(at)
    }

    /// The messages it has received, in the order of arrival.
    pub fn messages(&self) -> Vec<SentMessage> {
        let messages = self.events.iter().filter_map(|event| match &event.event.change {
            Change::Message(message) => Some(SentMessage {
                chat: event.chat_id,
                id: message.id,
                sender: message.sender.id,
                key: message.client_message_id.clone().unwrap_or_default(),
                text: message.text.clone(),
            }),
            _ => None,
        });
        messages.collect()
    }

    /// The `seq` of every event it has received of this chat, in the order of arrival.
    pub fn seqs(&self, chat: ChatId) -> Vec<i64> {
        let of_chat = self.events.iter().filter(|event| event.chat_id == chat);
        of_chat.map(|event| event.event.seq.0).collect()
    }
}

impl Unacked {
    fn frame(&self) -> ClientFrame {
        ClientFrame::Send {
            id: Some(self.id.clone()),
            chat_id: self.chat,
            text: self.text.clone(),
            reply_to: None,
        }
    }
}

/// Enters into a device's log what a frame means to it.
fn log_frame(log: &mut Log, frame: &ServerFrame, known: &str, cursors: &HashMap<ChatId, Seq>) {
    match frame {
        ServerFrame::Ready { epoch, chats, .. } => {
            if epoch == known {
                log.catching_up();
            } else {
                cursors.keys().for_each(|chat| log.unwatch(*chat));
            }
            chats.iter().for_each(|chat| log.watch(chat.id, chat.seq));
        }
        ServerFrame::Event(event) => {
            log.on_event(&ReportedEvent::from(event));
        }
        ServerFrame::CaughtUp { chat_id, seq } => log.caught_up(*chat_id, *seq),
        ServerFrame::Resync { chat_id, seq } => log.resync(*chat_id, *seq),
        ServerFrame::Chat { chat } | ServerFrame::Subscribed { chat, .. } => {
            log.watch(chat.id, chat.seq);
        }
        ServerFrame::ChatRemoved { chat_id } | ServerFrame::Unsubscribed { chat_id, .. } => {
            log.unwatch(*chat_id);
        }
        _ => {}
    }
}
