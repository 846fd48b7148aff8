//! A native client as good as one should be: it resumes from its cursors, sends again what was not
//! acknowledged under the same id, and moves on when told to reconnect. What it remembers is its
//! `Track`; for frames that no good client sends there is the bare `Socket`.

use super::{
    socket::{Dial, Got, Socket},
    track::Track,
    user::User,
    wait::{DEADLINE, until, within},
    want::{Want, answer, typing},
};
use protocol::{
    chat::{ChatView, UserRef},
    frames::{ClientFrame, ServerFrame},
    id::{ChatId, Seq},
};
use std::{collections::VecDeque, net::SocketAddr, time::Duration};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long one try to connect may take.
const TRY: Duration = Duration::from_secs(5);

/// How a device takes the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClosePolicy {
    /// The test expects none: it fails.
    Steady,
    /// It comes back, through the load balancer.
    Returning,
}

/// The server's promise that a command was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub message_id: Seq,
    pub seq: Seq,
}

/// A command that was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: String,
    pub retry_after_ms: Option<u64>,
}

/// One client.
pub struct Device {
    pub user: User,
    pub track: Track,
    /// As of the last `ready`.
    pub chats: Vec<ChatView>,
    /// How many connections it has had.
    pub connections: usize,
    line: ClosePolicy,
    at: SocketAddr,
    socket: Option<Socket>,
    leave_at: Option<Instant>,
    inbox: VecDeque<ServerFrame>,
}

impl Device {
    /// Connects and says hello.
    pub async fn connect(user: &User, at: SocketAddr) -> Self {
        let mut device = Self {
            user: user.clone(),
            track: Track::new(user.id),
            chats: Vec::new(),
            connections: 0,
            line: ClosePolicy::Steady,
            at,
            socket: None,
            leave_at: None,
            inbox: VecDeque::new(),
        };
        device.come_back().await;
        device
    }

    /// From now on it survives the end of its connection by itself.
    pub fn returning(mut self) -> Self {
        self.line = ClosePolicy::Returning;
        self
    }

    /// The line is cut without a word.
    pub fn go_offline(&mut self) {
        self.socket = None;
        self.track.on_disconnected();
        self.inbox.clear();
    }

    /// Connects again where it was, resuming from its cursors.
    pub async fn come_back(&mut self) {
        let patience = Instant::now() + DEADLINE;
        loop {
            let failed = match timeout(TRY, self.try_connect()).await {
                Ok(Ok(())) => return,
                Ok(Err(why)) => why,
                Err(_) => "no answer".to_owned(),
            };
            let name = &self.user.username;
            assert!(
                self.line == ClosePolicy::Returning && Instant::now() < patience,
                "{name} cannot connect to {}: {failed}",
                self.at
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Connects again at another node, resuming.
    pub async fn come_back_at(&mut self, node: usize) {
        self.at = self.user.system().node(node);
        self.come_back().await;
    }

    /// One try: opens a socket, says hello, and sends what is not acknowledged.
    async fn try_connect(&mut self) -> Result<(), String> {
        let mut socket = Dial::new(self.at).open().await.map_err(|error| error.to_string())?;
        let (token, resume) = (Some(self.user.token.clone()), self.track.resume());
        socket.say(&ClientFrame::hello(token, resume)).await;
        let ready = match socket.next().await {
            Got::Frame(ready) => ready,
            end => return Err(format!("{end:?}")),
        };
        let ServerFrame::Ready { chats, .. } = &*ready else {
            panic!("hello was answered with {ready:?}");
        };
        self.chats.clone_from(chats);
        self.track.on_frame(&ready);
        for frame in self.track.on_connected() {
            socket.say(&frame).await;
        }
        (self.socket, self.leave_at) = (Some(socket), None);
        self.connections += 1;
        Ok(())
    }

    /// Posts, waits for the `ack`.
    pub async fn send(&mut self, chat: ChatId, text: &str) -> Receipt {
        self.try_send(chat, text).await.expect("the message is accepted")
    }

    /// Posts, waits for the answer, pausing when the server asks for it.
    pub async fn try_send(&mut self, chat: ChatId, text: &str) -> Result<Receipt, Refused> {
        let id = self.submit(chat, text).await;
        loop {
            match self.answer(&id).await {
                Err(Refused { retry_after_ms: Some(_), .. }) => {}
                answer => return answer,
            }
        }
    }

    /// Posts and does not wait. The `ack` comes to the track.
    pub async fn submit(&mut self, chat: ChatId, text: &str) -> String {
        let (id, frame) = self.track.on_send(chat, text);
        if let Some(frame) = frame {
            self.say(&frame).await;
        }
        id
    }

    /// Posts all these at once, faster than any person; the `ack`s come to the track.
    pub async fn submit_all(&mut self, chat: ChatId, texts: impl IntoIterator<Item = String>) {
        let frames = texts.into_iter().filter_map(|text| self.track.on_send(chat, &text).1);
        let frames: Vec<String> =
            frames.map(|frame| serde_json::to_string(&frame).expect("frames encode")).collect();
        if let Some(socket) = &mut self.socket {
            socket.say_all(frames).await;
        }
    }

    pub async fn reply(&mut self, chat: ChatId, to: Seq, text: &str) -> Result<Receipt, Refused> {
        let (text, reply_to) = (text.to_owned(), Some(to));
        self.command(|id| ClientFrame::Send { id, chat_id: chat, text, reply_to }).await
    }

    pub async fn edit(&mut self, chat: ChatId, id: Seq, text: &str) -> Result<Receipt, Refused> {
        let text = text.to_owned();
        self.command(|key| ClientFrame::Edit { id: key, chat_id: chat, message_id: id, text }).await
    }

    pub async fn delete(&mut self, chat: ChatId, id: Seq) -> Result<Receipt, Refused> {
        self.command(|key| ClientFrame::Delete { id: key, chat_id: chat, message_id: id }).await
    }

    /// Sends a frame with a fresh id, waits for the answer to it.
    async fn command(
        &mut self,
        frame: impl FnOnce(Option<String>) -> ClientFrame,
    ) -> Result<Receipt, Refused> {
        let id = uuid::Uuid::new_v4().to_string();
        self.say(&frame(Some(id.clone()))).await;
        self.answer(&id).await
    }

    pub async fn read(&mut self, chat: ChatId, message: Seq) {
        self.say(&ClientFrame::Read { chat_id: chat, message_id: message }).await;
    }

    pub async fn typing(&mut self, chat: ChatId) {
        self.say(&ClientFrame::Typing { chat_id: chat }).await;
    }

    /// Types until this device of another user sees it: from then on nothing of the chat that is
    /// sent once only and never repaired can miss that device's node.
    pub async fn type_until_seen_by(&mut self, other: &mut Device, chat: ChatId) -> UserRef {
        until("typing to be seen", async || {
            self.typing(chat).await;
            timeout(Duration::from_secs(1), other.expect(typing(chat))).await.ok()
        })
        .await
    }

    /// Watches a room. Gives the chat, or the refusal.
    pub async fn subscribe(
        &mut self,
        chat: ChatId,
        after: Option<Seq>,
    ) -> Result<ChatView, Refused> {
        let id = uuid::Uuid::new_v4().to_string();
        self.say(&ClientFrame::Subscribe { id: Some(id.clone()), chat_id: chat, after }).await;
        match self.expect(answer(&id)).await {
            ServerFrame::Subscribed { chat, .. } => Ok(chat),
            other => Err(refusal(other)),
        }
    }

    pub async fn unsubscribe(&mut self, chat: ChatId) {
        let id = uuid::Uuid::new_v4().to_string();
        self.say(&ClientFrame::Unsubscribe { id: Some(id.clone()), chat_id: chat }).await;
        let got = self.expect(answer(&id)).await;
        assert!(matches!(got, ServerFrame::Unsubscribed { .. }), "{got:?}");
    }

    async fn answer(&mut self, id: &str) -> Result<Receipt, Refused> {
        match self.expect(answer(id)).await {
            ServerFrame::Ack { message_id, seq, .. } => Ok(Receipt { message_id, seq }),
            other => Err(refusal(other)),
        }
    }

    /// Sends a frame as it is.
    pub async fn say(&mut self, frame: &ClientFrame) {
        if let Some(socket) = &mut self.socket {
            socket.say(frame).await;
        }
    }

    /// Waits for this frame; those before it stay for a later `expect`.
    pub async fn expect<T>(&mut self, want: Want<T>) -> T {
        for at in 0..self.inbox.len() {
            if let Some(found) = want.of(&self.inbox[at]) {
                self.inbox.remove(at);
                return found;
            }
        }
        let what = format!("{want} at {}", self.user.username);
        let waiting = async {
            loop {
                let frame = self.pump().await;
                match want.of(&frame) {
                    Some(found) => return found,
                    None => self.inbox.push_back(frame),
                }
            }
        };
        within(DEADLINE, &what, waiting).await
    }

    /// What has come of this kind is old: only what comes from now on is expected.
    pub fn forget<T>(&mut self, want: Want<T>) {
        self.inbox.retain(|frame| want.of(frame).is_none());
    }

    /// Nothing of this kind has come, and nothing of it is on its way here.
    pub async fn expect_none<T>(&mut self, want: Want<T>) {
        let id = uuid::Uuid::new_v4().to_string();
        self.say(&ClientFrame::Ping { id: Some(id.clone()) }).await;
        self.expect(answer(&id)).await;
        let seen = self.inbox.iter().find(|frame| want.of(frame).is_some());
        assert!(seen.is_none(), "{} got {want}: {seen:?}", self.user.username);
    }

    /// Waits until it has everything of a chat up to here; what comes meanwhile is only recorded.
    pub async fn reach(&mut self, chat: ChatId, seq: Seq) {
        let what = format!("{} to reach {seq} of chat {chat}", self.user.username);
        let waiting = async {
            while self.track.cursors.get(&chat).is_none_or(|at| *at < seq) {
                self.pump().await;
            }
        };
        within(DEADLINE, &what, waiting).await;
    }

    /// The next frame, after doing what it asks of a client. Dropping the future early loses
    /// nothing.
    pub async fn pump(&mut self) -> ServerFrame {
        loop {
            let Some(socket) = &mut self.socket else {
                self.come_back().await;
                continue;
            };
            let far = Instant::now() + Duration::from_secs(3600);
            let again_at = self.track.again_at().unwrap_or(far);
            tokio::select! {
                got = socket.next() => match got {
                    Got::Frame(frame) => {
                        self.on_frame(&frame);
                        return *frame;
                    }
                    end => self.on_end(&end),
                },
                () = sleep_until(again_at) => {
                    for frame in self.track.due(Instant::now()) {
                        self.say(&frame).await;
                    }
                }
                () = sleep_until(self.leave_at.unwrap_or(far)) => self.move_on(),
            }
        }
    }

    fn on_frame(&mut self, frame: &ServerFrame) {
        self.track.on_frame(frame);
        if let ServerFrame::Reconnect { after_ms } = frame
            && self.line == ClosePolicy::Returning
        {
            self.leave_at = Some(Instant::now() + Duration::from_millis(*after_ms));
        }
    }

    fn on_end(&mut self, end: &Got) {
        let name = &self.user.username;
        assert!(self.line == ClosePolicy::Returning, "{name} lost its connection: {end:?}");
        assert!(!matches!(end, Got::Closed(1008 | 1009, _)), "{name} was thrown out: {end:?}");
        self.move_on();
    }

    fn move_on(&mut self) {
        self.socket = None;
        self.track.on_disconnected();
        self.leave_at = None;
        self.at = self.user.system().front();
    }
}

fn refusal(frame: ServerFrame) -> Refused {
    match frame {
        ServerFrame::Error { code, retry_after_ms, .. } => Refused { code, retry_after_ms },
        other => panic!("an answer of another kind: {other:?}"),
    }
}
