//! A simulated client of the native protocol, as `docs/protocol.md` asks it to be: cursors, commands that are sent again
//! with the same ids until they are answered, history from REST where the server says so. It notes what must not be.

use super::{
    store::{Shown, StoredChat},
    tokens::token,
    world::{World, user},
};
use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use platform::backoff::Backoff;
use protocol::{
    chat::{Change, Event, MemberChange},
    close::Retry,
    code::Code,
    frames::{ChatEvent, ClientFrame, Resume, ServerFrame},
    id::{ChatId, Seq},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::DuplexStream,
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message as Text, protocol::Role},
};

/// A client gives up a connection on which nothing can be written for so long, and one on which nothing comes.
const SILENCE: Duration = Duration::from_secs(50);

/// Far away.
const NEVER: Duration = Duration::from_secs(100_000);

/// A device, from outside.
pub(super) struct Device {
    pub number: usize,
    pub user: usize,
    pub state: Mutex<DeviceState>,
    wake: Notify,
    cut: Notify,
}

/// What a device knows.
#[derive(Debug, Default)]
pub(super) struct DeviceState {
    epoch: Option<String>,
    pub cursors: BTreeMap<ChatId, Seq>,
    pub shown: BTreeMap<ChatId, Shown>,
    /// Without an answer, in the order in which they were first sent.
    pub unanswered: Vec<Pending>,
    /// What was acknowledged: chat, key and message.
    pub acknowledged: Vec<(ChatId, String, Seq)>,
    /// What was refused for good and was sent once only: chat and key. An earlier copy may still be under way, and be
    /// stored when the reason for the refusal is over.
    pub refused: Vec<(ChatId, String)>,
    /// Own messages, the newest last.
    own: Vec<(ChatId, Seq)>,
    commands: usize,
    slow: Option<(Instant, Duration)>,
    /// Its connection has said `ready`.
    pub is_live: bool,
    /// What must not be.
    pub complaints: Vec<String>,
    /// Whether some command was to be sent again later: then its order is not kept.
    pub had_errors: bool,
}

/// A command without an answer.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    id: String,
    chat: ChatId,
    frame: String,
    is_message: bool,
    /// When it is to be sent. `None`: it was sent on this connection.
    due: Option<Instant>,
    sent: usize,
}

/// Why a connection ended.
enum Ending {
    /// By itself; the next one may follow at once.
    AtOnce,
    Failed,
}

impl Device {
    pub(super) fn new(number: usize, user: usize) -> Arc<Self> {
        let (state, wake, cut) = (Mutex::default(), Notify::new(), Notify::new());
        Arc::new(Self { number, user, state, wake, cut })
    }

    pub(super) fn say(&self, chat: ChatId) {
        let mut state = self.state.lock();
        let id = state.next_id(self.number);
        let (text, id_too) = (format!("text of {id}"), Some(id.clone()));
        let frame = ClientFrame::Send { id: id_too, chat_id: chat, text, reply_to: None };
        state.add(id, chat, &frame, true);
        self.wake.notify_one();
    }

    pub(super) fn edit(&self, chat: ChatId) {
        let mut state = self.state.lock();
        let Some(message_id) = state.newest_own(chat) else { return };
        let id = state.next_id(self.number);
        let (text, id_too) = (format!("other text, {id}"), Some(id.clone()));
        let frame = ClientFrame::Edit { id: id_too, chat_id: chat, message_id, text };
        state.add(id, chat, &frame, false);
        self.wake.notify_one();
    }

    pub(super) fn delete(&self, chat: ChatId) {
        let mut state = self.state.lock();
        let Some(message_id) = state.newest_own(chat) else { return };
        let id = state.next_id(self.number);
        let frame = ClientFrame::Delete { id: Some(id.clone()), chat_id: chat, message_id };
        state.add(id, chat, &frame, false);
        self.wake.notify_one();
    }

    /// Its connection breaks.
    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    /// For a while it takes so long for each frame.
    pub(super) fn slow_down(&self, each: Duration, lasts: Duration) {
        self.state.lock().slow = Some((Instant::now() + lasts, each));
    }

    /// Is a client for ever.
    pub(super) async fn run(self: Arc<Self>, world: Arc<World>) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        loop {
            let (buffer, chance) = {
                let mut weather = world.weather.lock();
                (if weather.below(2) == 0 { 1_024 } else { 64 * 1024 }, weather.below(60))
            };
            if let Some(stream) = world.connect(buffer, chance) {
                let ending = self.connection(stream, &world).await;
                self.state.lock().is_live = false;
                if matches!(ending, Ending::AtOnce) {
                    backoff.reset();
                }
            }
            sleep(backoff.pause(chance as f64 / 60.0)).await;
        }
    }

    async fn connection(&self, stream: DuplexStream, world: &Arc<World>) -> Ending {
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let hello = self.state.lock().begin(self.user);
        if self.write(&mut socket, hello).await.is_err() {
            return Ending::Failed;
        }
        let mut leave = Instant::now() + NEVER;
        loop {
            let due = self.state.lock().next_due();
            tokio::select! {
                biased;
                () = self.cut.notified() => return Ending::AtOnce,
                () = sleep_until(leave) => return Ending::AtOnce,
                read = timeout(SILENCE, socket.next()) => {
                    let Ok(Some(Ok(message))) = read else { return Ending::Failed };
                    match message {
                        Text::Text(text) => {
                            if let Some(after) = self.read(&text, world) {
                                leave = Instant::now() + after;
                            }
                        }
                        Text::Close(_) => return Ending::Failed,
                        _ => {}
                    }
                    let slow = self.state.lock().slow;
                    if let Some((_, each)) = slow.filter(|(end, _)| *end > Instant::now()) {
                        sleep(each).await;
                    }
                }
                () = self.wake.notified() => {}
                () = sleep_until(due) => {}
            }
            let frames = self.state.lock().take_due();
            for frame in frames {
                if self.write(&mut socket, frame).await.is_err() {
                    return Ending::Failed;
                }
            }
        }
    }

    async fn write(
        &self,
        socket: &mut WebSocketStream<DuplexStream>,
        frame: String,
    ) -> Result<(), ()> {
        let written = timeout(SILENCE, socket.send(Text::text(frame))).await;
        if matches!(written, Ok(Ok(()))) { Ok(()) } else { Err(()) }
    }

    /// Takes a frame. The delay after which the server wants another connection, if it says so.
    fn read(&self, text: &str, world: &World) -> Option<Duration> {
        world.note(format!("device {}", self.number), text);
        let mut state = self.state.lock();
        let frame = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(error) => {
                state.complaints.push(format!("not a frame: {error}: {text}"));
                return None;
            }
        };
        let load = |chat| world.store.lock().chats.get(&chat).map(StoredChat::shown);
        match frame {
            ServerFrame::Ready { epoch, chats, .. } => {
                if state.epoch.as_ref() != Some(&epoch) {
                    state.cursors.clear();
                    state.shown.clear();
                }
                state.epoch = Some(epoch);
                state.is_live = true;
                for chat in chats {
                    if !state.cursors.contains_key(&chat.id) {
                        state.show(chat.id, chat.seq, load(chat.id));
                    }
                }
                state.send_all_again();
            }
            ServerFrame::CaughtUp { chat_id, seq } => state.caught_up(chat_id, seq),
            ServerFrame::Resync { chat_id, seq } => state.show(chat_id, seq, load(chat_id)),
            ServerFrame::Chat { chat } => state.show(chat.id, chat.seq, load(chat.id)),
            ServerFrame::ChatRemoved { chat_id } => {
                state.cursors.remove(&chat_id);
                state.shown.remove(&chat_id);
            }
            ServerFrame::Ack { id, chat_id, message_id, .. } => {
                state.on_ack(id.as_deref(), chat_id, message_id);
            }
            ServerFrame::Error { id, code, retry_after_ms, .. } => {
                state.on_error(id.as_deref(), &code, retry_after_ms);
            }
            ServerFrame::Event(ChatEvent { chat_id, event }) => state.on_event(chat_id, event),
            ServerFrame::Reconnect { after_ms } => return Some(Duration::from_millis(after_ms)),
            _ => {}
        }
        None
    }
}

impl DeviceState {
    fn next_id(&mut self, device: usize) -> String {
        self.commands += 1;
        format!("d{device}-{}", self.commands)
    }

    fn newest_own(&self, chat: ChatId) -> Option<Seq> {
        self.own.iter().rev().find(|(of, _)| *of == chat).map(|(_, id)| *id)
    }

    fn add(&mut self, id: String, chat: ChatId, frame: &ClientFrame, is_message: bool) {
        let Ok(frame) = serde_json::to_string(frame) else { return };
        let due = Some(Instant::now());
        self.unanswered.push(Pending { id, chat, frame, is_message, due, sent: 0 });
    }

    /// The first frame of a connection.
    fn begin(&mut self, number: usize) -> String {
        let resume = self.epoch.clone().map(|epoch| Resume {
            epoch,
            cursors: self
                .cursors
                .iter()
                .map(|(chat, seq)| (*chat, *seq))
                .collect::<HashMap<_, _>>(),
        });
        let hello = ClientFrame::hello(Some(token(user(number))), resume);
        serde_json::to_string(&hello).unwrap_or_default()
    }

    fn send_all_again(&mut self) {
        let now = Instant::now();
        self.unanswered.iter_mut().for_each(|pending| pending.due = Some(now));
    }

    fn next_due(&self) -> Instant {
        let due = self.unanswered.iter().filter_map(|pending| pending.due).min();
        due.filter(|_| self.is_live).unwrap_or_else(|| Instant::now() + NEVER)
    }

    fn take_due(&mut self) -> Vec<String> {
        let (now, is_live) = (Instant::now(), self.is_live);
        let due = |pending: &mut Pending| {
            let is_due = is_live && pending.due.is_some_and(|due| due <= now);
            is_due.then(|| {
                pending.due = None;
                pending.sent += 1;
                pending.frame.clone()
            })
        };
        self.unanswered.iter_mut().filter_map(due).collect()
    }

    /// A chat goes on after this place; what was before comes from REST.
    fn show(&mut self, chat: ChatId, seq: Seq, shown: Option<Shown>) {
        self.cursors.insert(chat, seq);
        self.shown.insert(chat, shown.unwrap_or_default());
    }

    fn caught_up(&mut self, chat: ChatId, seq: Seq) {
        match self.cursors.insert(chat, seq) {
            Some(cursor) if cursor > seq => {
                self.complaints
                    .push(format!("chat {chat} is caught up at {seq:?} after {cursor:?}"));
            }
            Some(_) => {}
            None => self.complaints.push(format!("chat {chat} is caught up and not known")),
        }
    }

    fn on_event(&mut self, chat: ChatId, Event { seq, change }: Event) {
        let Some(cursor) = self.cursors.get_mut(&chat) else {
            self.complaints.push(format!("an event of chat {chat}, which it does not know"));
            return;
        };
        if seq <= *cursor {
            let cursor = *cursor;
            self.complaints.push(format!("chat {chat}: {seq:?} came after {cursor:?}"));
            return;
        }
        *cursor = seq;
        let shown = self.shown.entry(chat).or_default();
        match change {
            Change::Message(message) | Change::Edited(message) => {
                shown.messages.insert(message.id, Some(message.text));
            }
            Change::Deleted { id, .. } => drop(shown.messages.insert(id, None)),
            Change::Member { user, change: MemberChange::Joined, .. } => {
                shown.members.insert(user.id);
            }
            Change::Member { user, .. } => drop(shown.members.remove(&user.id)),
            _ => {}
        }
    }

    fn take(&mut self, id: Option<&str>) -> Option<Pending> {
        let place = self.unanswered.iter().position(|pending| Some(&*pending.id) == id)?;
        Some(self.unanswered.remove(place))
    }

    fn on_ack(&mut self, id: Option<&str>, chat: ChatId, message: Seq) {
        let Some(pending) = self.take(id) else {
            self.complaints.push(format!("an ack of {id:?}, which waits for none"));
            return;
        };
        if pending.is_message {
            self.own.push((chat, message));
            self.acknowledged.push((chat, pending.id, message));
        }
    }

    fn on_error(&mut self, id: Option<&str>, code: &str, retry_after_ms: Option<u64>) {
        self.had_errors = true;
        let code = serde_json::from_value::<Code>(code.into()).unwrap_or(Code::Unknown);
        if matches!(code.retry(), Retry::Never) {
            match self.take(id) {
                Some(pending) => {
                    if code == Code::ClientMessageIdReused {
                        self.complaints.push(format!("{id:?} is said to be used"));
                    }
                    if pending.is_message && pending.sent == 1 {
                        self.refused.push((pending.chat, pending.id));
                    }
                }
                None => self.complaints.push(format!("error {code:?} for {id:?}")),
            }
            return;
        }
        let wait = Duration::from_millis(retry_after_ms.unwrap_or(500));
        if let Some(pending) = self.unanswered.iter_mut().find(|one| Some(&*one.id) == id) {
            pending.due = Some(Instant::now() + wait);
        }
    }
}
