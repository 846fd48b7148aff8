//! One WebSocket of one account to one gateway, for as long as that gateway is watched: opened, kept,
//! and opened again with resume. It tells what it hears and sends what it is told; what that means
//! is decided in [`crate::watch`].

use crate::{
    account::{AccessPass, CanaryAccount},
    keeper::{Complaint, Credentials},
    resume::{CanaryEvent, ResumeState, retry},
};
use futures_util::{SinkExt, StreamExt};
use platform::backoff::Backoff;
use protocol::{
    close::Retry,
    frames::{ClientFrame, ServerFrame},
};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

/// From the first packet to `ready`. A gateway gives its api less.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// What is written must be on its way within this time; the canary's frames are tiny.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that held for so long has not failed: the next pause is the shortest again.
const HELD: Duration = Duration::from_secs(10);
/// "At once", and not all in the same moment.
const AT_ONCE: Duration = Duration::from_millis(100);
/// The largest frame taken: `ready` with 200 chats has about 60 KiB.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Names one [`CanaryConnection`], so that what an old one told is not taken for a new one's.
pub type ConnectionNumber = u64;

/// A report of a connection, and when it happened.
#[derive(Debug)]
pub struct ConnectionReport {
    /// The number of the connection that reports.
    pub number: ConnectionNumber,
    /// When it happened, by the monotonic clock.
    pub at: Instant,
    /// What happened.
    pub what: ConnectionEvent,
}

/// A change of a connection, or a frame that it received.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// The gateway sent a frame that concerns the canary.
    Received(CanaryEvent),
    /// It was ready and is not any more.
    Ended(String),
    /// It could not be opened.
    Failed(String),
}

/// What a connection is and whom it talks to.
pub struct CanaryConnection {
    /// Its own number, which every report carries.
    pub number: ConnectionNumber,
    /// The address of the gateway.
    pub address: SocketAddr,
    /// Host and port as the `Host` header has them.
    pub authority: String,
    /// The account that it signs in as.
    pub account: CanaryAccount,
    /// Frames to be sent; it ends when this does.
    pub orders: mpsc::Receiver<ClientFrame>,
    /// Receives every report; a full channel delays the connection.
    pub reports: mpsc::Sender<ConnectionReport>,
    /// The current tokens; the connection reads them whenever it opens.
    pub credentials: watch::Receiver<Credentials>,
    /// Tells the keeper of a session or chat that is gone.
    pub complaints: mpsc::Sender<Complaint>,
    /// What the connection has seen, so that it can resume.
    pub resume: ResumeState,
}

type ClientSocket = WebSocketStream<TcpStream>;

/// Why a connection ended, and when to open the next one.
enum ConnectionEnd {
    /// Nobody wants it any more.
    Unwanted,
    Lost {
        why: String,
        retry: Retry,
    },
    /// The server said when.
    Told {
        at: Instant,
    },
}

impl CanaryConnection {
    /// Keeps the connection until its orders end.
    pub async fn run(mut self) {
        let mut backoff = Backoff::of_client();
        loop {
            let opened = timeout(OPEN_TIMEOUT, self.open()).await;
            let (socket, pass, heartbeat) = match opened.unwrap_or_else(|_| Err(silent("answer"))) {
                Ok(opened) => opened,
                Err(ConnectionEnd::Lost { why, retry }) => {
                    count("failed");
                    self.tell(ConnectionEvent::Failed(why)).await;
                    self.complain(retry);
                    if !self.pause(Instant::now() + backoff.pause(rand::random())).await {
                        return;
                    }
                    continue;
                }
                Err(_) => return,
            };
            count("ok");
            let since = Instant::now();
            let end = self.exchange_frames(socket, pass, heartbeat).await;
            if since.elapsed() > HELD {
                // A gateway that accepts sockets and drops them at once must keep the growing pauses.
                backoff = Backoff::of_client();
            }
            let again_at = match end {
                ConnectionEnd::Unwanted => return,
                ConnectionEnd::Told { at } => {
                    self.tell(ConnectionEvent::Ended("the gateway restarts".to_owned())).await;
                    at
                }
                ConnectionEnd::Lost { why, retry } => {
                    self.tell(ConnectionEvent::Ended(why)).await;
                    self.complain(retry);
                    let at_once = retry == Retry::Now && since.elapsed() > HELD;
                    let pause = if at_once {
                        AT_ONCE.mul_f64(rand::random())
                    } else {
                        backoff.pause(rand::random())
                    };
                    Instant::now() + pause
                }
            };
            if !self.pause(again_at).await {
                return;
            }
        }
    }

    /// A socket that is ready, and told of.
    async fn open(&mut self) -> Result<(ClientSocket, AccessPass, Duration), ConnectionEnd> {
        let tcp = TcpStream::connect(self.address).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        let request = format!("ws://{}/gateway", self.authority).into_client_request();
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let upgraded = client_async_with_config(request.map_err(lost)?, tcp, Some(limits)).await;
        let (mut socket, _) = upgraded.map_err(lost)?;
        let pass = self.credentials.borrow_and_update().pass(self.account).clone();
        say(&mut socket, &self.resume.hello(pass.token.reveal())).await?;
        loop {
            let frame = next(&mut socket).await?;
            let at = Instant::now();
            if let Some(event) = frame.and_then(|frame| self.resume.on_frame(frame)) {
                let ready = match &event {
                    CanaryEvent::Ready { heartbeat, .. } => Some(*heartbeat),
                    _ => None,
                };
                // What was meant for the connection before is not sent on this one.
                while ready.is_some() && self.orders.try_recv().is_ok() {}
                self.tell_at(ConnectionEvent::Received(event), at).await;
                if let Some(heartbeat) = ready {
                    return Ok((socket, pass, heartbeat));
                }
            }
        }
    }

    /// Frames both ways until the connection ends.
    async fn exchange_frames(
        &mut self,
        mut socket: ClientSocket,
        mut pass: AccessPass,
        heartbeat: Duration,
    ) -> ConnectionEnd {
        // The gateway pings a quiet client once in each heartbeat. Two heartbeats without a frame mean
        // a dead connection.
        let (mut leave_at, mut silence) = (None, Instant::now() + 2 * heartbeat);
        loop {
            let result = tokio::select! {
                frame = timeout_at(silence, next(&mut socket)) => {
                    let at = Instant::now();
                    match frame.unwrap_or_else(|_| Err(silent("sign of life"))) {
                        Ok(frame) => {
                            silence = at + 2 * heartbeat;
                            let event = frame.and_then(|frame| self.resume.on_frame(frame));
                            match event {
                                Some(CanaryEvent::Reconnect(after)) => leave_at = Some(at + after),
                                Some(event) => self.tell_at(ConnectionEvent::Received(event), at).await,
                                None => {}
                            }
                            Ok(())
                        }
                        Err(end) => Err(end),
                    }
                }
                order = self.orders.recv() => match order {
                    Some(frame) => say(&mut socket, &frame).await,
                    None => {
                        let _ = timeout(WRITE_TIMEOUT, socket.close(None)).await;
                        return ConnectionEnd::Unwanted;
                    }
                },
                Ok(()) = self.credentials.changed() => self.renew(&mut socket, &mut pass).await,
                () = sleep_until(leave_at.unwrap_or(silence)), if leave_at.is_some() => {
                    let _ = timeout(WRITE_TIMEOUT, socket.close(None)).await;
                    Err(ConnectionEnd::Told { at: Instant::now() })
                }
            };
            match (result, leave_at) {
                (Ok(()), _) => {}
                // Closed, as announced: back when it was said.
                (Err(_), Some(at)) => return ConnectionEnd::Told { at },
                (Err(end), None) => return end,
            }
        }
    }

    /// Shows a fresh token, or starts again where it belongs to another session.
    async fn renew(
        &mut self,
        socket: &mut ClientSocket,
        pass: &mut AccessPass,
    ) -> Result<(), ConnectionEnd> {
        let fresh = self.credentials.borrow_and_update().pass(self.account).clone();
        // A connection accepts only tokens of its own session.
        if fresh.session != pass.session {
            let why = "another session".to_owned();
            return Err(ConnectionEnd::Lost { why, retry: Retry::Now });
        }
        if fresh == *pass {
            return Ok(());
        }
        *pass = fresh;
        let token = pass.token.reveal().to_owned();
        say(socket, &ClientFrame::Token { id: None, token }).await
    }

    /// Waits; whether the connection is still wanted then.
    async fn pause(&mut self, until: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(until) => return true,
                // A frame for the ended connection is dropped: the watch sends what was not
                // acknowledged again.
                order = self.orders.recv() => if order.is_none() {
                    return false;
                },
            }
        }
    }

    /// A token that is not accepted is the keeper's to replace.
    fn complain(&self, retry: Retry) {
        if retry == Retry::Never {
            let session = self.credentials.borrow().pass(self.account).session;
            // One of many that say the same: when the queue is full it is being said.
            let _ = self.complaints.try_send(Complaint::Session(self.account, session));
        }
    }

    async fn tell(&self, what: ConnectionEvent) {
        self.tell_at(what, Instant::now()).await;
    }

    async fn tell_at(&self, what: ConnectionEvent, at: Instant) {
        // Only fails when nobody listens any more, and then the orders end too.
        let _ = self.reports.send(ConnectionReport { number: self.number, at, what }).await;
    }
}

fn count(result: &'static str) {
    metrics::counter!("canary_connects_total", "result" => result).increment(1);
}

fn lost(why: impl ToString) -> ConnectionEnd {
    ConnectionEnd::Lost { why: why.to_string(), retry: Retry::Backoff }
}

fn silent(what: &str) -> ConnectionEnd {
    lost(format!("no {what} in time"))
}

async fn say(socket: &mut ClientSocket, frame: &ClientFrame) -> Result<(), ConnectionEnd> {
    let text = serde_json::to_string(frame).map_err(lost)?;
    let sent = timeout(WRITE_TIMEOUT, socket.send(Message::text(text))).await;
    sent.map_err(|_| silent("progress in sending"))?.map_err(lost)
}

/// The next sign of life, with its frame if it is one that we know. Cancel-safe.
async fn next(socket: &mut ClientSocket) -> Result<Option<ServerFrame>, ConnectionEnd> {
    match socket.next().await {
        Some(Ok(Message::Text(text))) => Ok(serde_json::from_str(&text).ok()),
        Some(Ok(Message::Close(Some(frame)))) => {
            let (code, reason) = (u16::from(frame.code), frame.reason.as_str());
            Err(ConnectionEnd::Lost {
                why: format!("closed with {code} {reason}"),
                retry: retry(code, reason),
            })
        }
        Some(Ok(Message::Close(None))) | None => Err(lost("closed without a word")),
        Some(Ok(_)) => Ok(None),
        Some(Err(error)) => Err(lost(error)),
    }
}
