//! The watch: holds two connections to every gateway, begins the rounds, and brings what the
//! connections hear to the ledger. Nothing in here waits for the network: connections, lookups and the
//! keeper are tasks of their own.

use crate::{
    account::CanaryAccount,
    config::CanaryConfig,
    connection::{ConnectionEvent, ConnectionReport},
    keeper::{Complaint, Credentials},
    ledger::RoundLedger,
    lookup::Gateways,
    pair::Seat,
    pairs::{ConnectionPairs, Ties},
    report::HealthReport,
    resume::CanaryEvent,
    round::RoundVerdict,
};
use platform::lifecycle::Lifecycle;
use protocol::{frames::ClientFrame, id::ChatId};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};

/// What all connections have to tell and was not looked at yet: some rounds of the most gateways. When
/// it is full, connections wait before they read on.
const MAX_REPORTS: usize = 1_024;
/// What the canary says. Whoever looks into the database should know what this is.
const TEXT: &str = "A message of Switchboard's own canary";

/// What the watch lives from.
pub struct Inputs {
    /// The current tokens and the chat, from the keeper.
    pub credentials: watch::Receiver<Credentials>,
    /// The current gateways, from the look-ups.
    pub gateways: watch::Receiver<Gateways>,
    /// Where connections report lost sessions and chats to the keeper.
    pub complaints: mpsc::Sender<Complaint>,
    /// Set when the first round has begun.
    pub begun: Arc<AtomicBool>,
    /// Owns the tasks of the connections.
    pub lifecycle: Lifecycle,
}

/// See the module's head.
pub struct Watch {
    config: CanaryConfig,
    ledger: RoundLedger,
    report: HealthReport,
    pairs: ConnectionPairs,
    credentials: watch::Receiver<Credentials>,
    complaints: mpsc::Sender<Complaint>,
    begun: Arc<AtomicBool>,
    chat: ChatId,
    /// Since when the chat is that one.
    chat_since: Instant,
    /// Who sent last.
    turn: Option<SocketAddr>,
    /// Messages to be sent again as soon as somebody can.
    again: Vec<Again>,
}

struct Again {
    id: String,
    /// Whether the connection that sent it has ended.
    interrupted: bool,
}

impl Watch {
    /// Watches until the soft stop.
    pub async fn run(config: CanaryConfig, inputs: Inputs) {
        let (reports, mut incoming) = mpsc::channel(MAX_REPORTS);
        let Inputs { credentials, mut gateways, complaints, begun, lifecycle } = inputs;
        let stop = lifecycle.soft_stop().clone();
        let mut every = interval(config.interval);
        // After a pause of this process, missed rounds must not begin all at once.
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (complain, mut changed) = (complaints.clone(), credentials.clone());
        let ties =
            Ties { reports, credentials: credentials.clone(), complaints: complain, lifecycle };
        let chat = credentials.borrow().chat;
        let mut watch = Self {
            ledger: RoundLedger::new(config.rules),
            report: HealthReport::new(config.good_rounds),
            pairs: ConnectionPairs::new(ties),
            credentials,
            complaints,
            begun,
            chat,
            chat_since: Instant::now(),
            turn: None,
            again: Vec::new(),
            config,
        };
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(report) = incoming.recv() => watch.on_report(report),
                Ok(()) = gateways.changed() => {
                    let found = gateways.borrow_and_update().clone();
                    watch.on_gateways(&found);
                }
                Ok(()) = changed.changed() => {
                    let chat = changed.borrow_and_update().chat;
                    if chat != watch.chat {
                        (watch.chat, watch.chat_since) = (chat, Instant::now());
                    }
                }
                _ = every.tick() => watch.on_tick(Instant::now()),
            }
        }
    }

    fn on_gateways(&mut self, found: &Gateways) {
        metrics::gauge!("canary_gateways").set(found.len() as f64);
        for at in self.pairs.set(found) {
            let excused = self.ledger.excuse(at);
            self.conclude(excused);
            self.sender_ended(at);
            self.report.forget(at);
            tracing::info!(gateway = %at, "a gateway left");
        }
        self.count_connections();
        self.send_again(Instant::now());
    }

    fn on_report(&mut self, report: ConnectionReport) {
        let present = self.chat;
        // A connection to a gateway that has left may still report; nobody waits for it.
        let Some((gateway, account, seat)) = self.pairs.seat(report.number) else { return };
        match report.what {
            ConnectionEvent::Received(CanaryEvent::Ready { chats, resumed, .. }) => {
                seat.on_ready(chats, report.at);
                if account == CanaryAccount::Listener {
                    if resumed {
                        self.ledger.on_listener_back(gateway, report.at);
                    } else {
                        let excused = self.ledger.excuse(gateway);
                        self.conclude(excused);
                    }
                }
                self.count_connections();
            }
            ConnectionEvent::Received(CanaryEvent::Chat(chat)) => {
                seat.on_chat(chat, present, report.at)
            }
            ConnectionEvent::Received(CanaryEvent::Gone(chat)) => {
                seat.on_chat_gone(chat);
                if chat == present {
                    self.chat_is_gone();
                }
            }
            ConnectionEvent::Ended(why) => {
                seat.on_ended();
                tracing::debug!(%gateway, account = account.username(), why, "a connection ended");
                match account {
                    CanaryAccount::Sender => self.sender_ended(gateway),
                    CanaryAccount::Listener => self.ledger.on_listener_away(gateway),
                }
                self.count_connections();
                self.send_again(report.at);
            }
            ConnectionEvent::Failed(why) => {
                self.report.trouble(gateway, &format!("cannot connect: {why}"))
            }
            ConnectionEvent::Received(event) => match account {
                CanaryAccount::Sender => self.on_answer(event),
                CanaryAccount::Listener => self.on_delivery(gateway, event, report.at),
            },
        }
    }

    /// What the account that sends is told about its messages.
    fn on_answer(&mut self, event: CanaryEvent) {
        match event {
            CanaryEvent::Ack(id) => {
                let verdicts = self.ledger.on_ack(&id);
                self.conclude(verdicts);
            }
            CanaryEvent::Refused { id, again: true, .. } => {
                self.again.push(Again { id, interrupted: false });
            }
            CanaryEvent::Refused { id, code, again: false } => {
                let verdict = self.ledger.on_refusal(&id);
                self.conclude(verdict.into_iter().collect());
                if matches!(code.as_str(), "chat_not_found" | "not_a_member") {
                    self.chat_is_gone();
                }
            }
            _ => {}
        }
    }

    /// What the account that listens gets to see.
    fn on_delivery(&mut self, gateway: SocketAddr, event: CanaryEvent, at: Instant) {
        let sender_id = self.credentials.borrow().sender_id;
        let verdicts = match event {
            CanaryEvent::Message { id, sender, .. } if sender == sender_id => {
                self.ledger.on_message(&id, gateway, at)
            }
            CanaryEvent::Typing { chat, user } if chat == self.chat && user == sender_id => {
                self.ledger.on_signal(gateway)
            }
            CanaryEvent::Missed => self.ledger.excuse(gateway),
            _ => return,
        };
        self.conclude(verdicts);
    }

    fn on_tick(&mut self, now: Instant) {
        let verdicts = self.ledger.pass_time(now);
        self.conclude(verdicts);
        self.send_again(now);
        self.begin_round(now);
    }

    /// The next gateway sends, and all others are to have it.
    fn begin_round(&mut self, now: Instant) {
        let chat = self.chat;
        let part = |seat: &Seat| seat.takes_part(chat, self.chat_since, now, &self.config);
        let Some(from) = self.pairs.next_sender(self.turn, part) else { return };
        let listeners = self.pairs.listeners(from, part);
        // A round that nobody can receive proves nothing.
        if listeners.is_empty() {
            return;
        }
        self.turn = Some(from);
        let id = uuid::Uuid::new_v4().to_string();
        let verdicts = self.ledger.begin(id.clone(), chat, from, listeners, now);
        self.conclude(verdicts);
        if let Some(sender) = self.pairs.sender(from) {
            // In this order: an acknowledged message proves that the signal was read, too.
            sender.send(ClientFrame::Typing { chat_id: chat });
            sender.send(message(id, chat));
        }
        self.begun.store(true, Ordering::Relaxed);
    }

    /// What a connection that ended sent and nobody acknowledged is sent by another one.
    fn sender_ended(&mut self, gateway: SocketAddr) {
        let ids = self.ledger.on_sender_away(gateway);
        self.again.extend(ids.into_iter().map(|id| Again { id, interrupted: true }));
    }

    fn send_again(&mut self, now: Instant) {
        for Again { id, interrupted } in std::mem::take(&mut self.again) {
            let Some((chat, from)) = self.ledger.open_send(&id) else { continue };
            let part = |seat: &Seat| seat.takes_part(chat, self.chat_since, now, &self.config);
            let same = self.pairs.sender(from).filter(|seat| part(seat)).map(|_| from);
            let sender = same.or_else(|| self.pairs.next_sender(self.turn, part));
            let sent = sender.filter(|at| {
                let seat = self.pairs.sender(*at);
                seat.is_some_and(|seat| seat.send(message(id.clone(), chat)))
            });
            match sent {
                Some(at) if interrupted => self.ledger.on_sent_again(&id, at, now),
                Some(_) => {}
                // Nobody can send it now; the next tick or the next connection tries again.
                None => self.again.push(Again { id, interrupted }),
            }
        }
    }

    fn chat_is_gone(&self) {
        // One of many that say the same: when the queue is full it is being said.
        let _ = self.complaints.try_send(Complaint::Chat(self.chat));
        tracing::debug!(chat.id = %self.chat, "the chat is gone");
    }

    fn conclude(&mut self, verdicts: Vec<RoundVerdict>) {
        if !verdicts.is_empty() {
            self.report.verdicts(verdicts, &self.pairs.connected());
        }
    }

    fn count_connections(&self) {
        metrics::gauge!("canary_connections").set(self.pairs.connected().len() as f64);
    }
}

fn message(id: String, chat_id: ChatId) -> ClientFrame {
    ClientFrame::Send { id: Some(id), chat_id, text: TEXT.to_owned(), reply_to: None }
}
