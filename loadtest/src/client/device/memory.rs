//! The state that a device keeps across its connections: its cursor in each chat, and its unanswered
//! commands. Pure.

use crate::client::dialect::{ClientMessage, CommandKind};
use protocol::id::{ChatId, Seq};
use std::collections::VecDeque;
use tokio::time::Instant;

/// Commands without an answer. Fewer than the 200 frames that a connection may send at once, so
/// that all can be repeated after a reconnect without being refused for speed.
const MAX_OPEN: usize = 128;

/// Own messages remembered for edits and deletes.
const MAX_OWN: usize = 8;

/// The chats of a device, in the order of their ids: a device has few of them.
#[derive(Debug, Default)]
pub(super) struct DeviceChats {
    chats: Vec<DeviceChat>,
    /// Of those how many are still being caught up.
    catching: usize,
}

#[derive(Debug)]
struct DeviceChat {
    id: ChatId,
    cursor: Seq,
    /// The newest message that was heard.
    newest: Seq,
    catching: bool,
}

impl DeviceChats {
    /// A chat is live after this place, if it was not already.
    pub(super) fn live(&mut self, id: ChatId, seq: Seq) {
        if let Err(at) = self.find(id) {
            let chat = DeviceChat { id, cursor: seq, newest: Seq::ZERO, catching: false };
            self.chats.insert(at, chat);
        }
    }

    /// An event was heard; `message` is a new message's id.
    #[inline]
    pub(super) fn on_event(&mut self, id: ChatId, seq: Seq, message: Option<Seq>) {
        if let Ok(at) = self.find(id) {
            let chat = &mut self.chats[at];
            chat.cursor = chat.cursor.max(seq);
            chat.newest = chat.newest.max(message.unwrap_or(Seq::ZERO));
        }
    }

    /// A chat has been caught up, or starts anew, here. Whether it was the last one.
    pub(super) fn caught_up(&mut self, id: ChatId, seq: Seq) -> bool {
        let Ok(at) = self.find(id) else { return false };
        let chat = &mut self.chats[at];
        chat.cursor = chat.cursor.max(seq);
        let was_catching = std::mem::take(&mut chat.catching);
        self.catching -= usize::from(was_catching);
        was_catching && self.catching == 0
    }

    /// A chat is gone. Whether it was the last one to be caught up.
    pub(super) fn remove(&mut self, id: ChatId) -> bool {
        let last = self.caught_up(id, Seq::ZERO);
        if let Ok(at) = self.find(id) {
            self.chats.remove(at);
        }
        last
    }

    /// All chats are to be caught up from their cursors. Whether there are any.
    pub(super) fn resume(&mut self) -> bool {
        self.chats.iter_mut().for_each(|chat| chat.catching = true);
        self.catching = self.chats.len();
        self.catching > 0
    }

    /// Forgets all chats; these they were.
    pub(super) fn clear(&mut self) -> Vec<ChatId> {
        let ids = self.chats.drain(..).map(|chat| chat.id).collect();
        *self = Self::default();
        ids
    }

    pub(super) fn cursors(&self) -> Vec<(ChatId, Seq)> {
        self.chats.iter().map(|chat| (chat.id, chat.cursor)).collect()
    }

    /// The newest message heard in a chat.
    pub(super) fn newest(&self, id: ChatId) -> Option<Seq> {
        let newest = self.chats[self.find(id).ok()?].newest;
        (newest > Seq::ZERO).then_some(newest)
    }

    #[inline]
    fn find(&self, id: ChatId) -> Result<usize, usize> {
        self.chats.binary_search_by_key(&id, |chat| chat.id)
    }
}

/// Something that the server is to acknowledge.
#[derive(Debug)]
pub(super) struct PendingCommand {
    pub n: u32,
    pub due: Instant,
    pub chat: ChatId,
    pub kind: CommandKind,
    /// Empty for a delete.
    pub text: String,
    /// It is to be written again.
    pub to_write: bool,
}

impl PendingCommand {
    /// The message that carries it out, under this key.
    pub(super) fn message<'a>(&'a self, key: &'a str) -> ClientMessage<'a> {
        let Self { chat, kind, ref text, .. } = *self;
        ClientMessage::Command { kind, key, chat, text }
    }
}

/// What was sent and has no answer, in the order of its numbers, and what can be edited.
#[derive(Debug, Default)]
pub(super) struct Commands {
    last: u32,
    open: VecDeque<PendingCommand>,
    /// Some of them may have to be written again.
    repeats: bool,
    own: VecDeque<(ChatId, Seq)>,
}

impl Commands {
    /// The number of the next command.
    pub(super) fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    pub(super) fn is_full(&self) -> bool {
        self.open.len() >= MAX_OPEN
    }

    /// Whether some may have to be written again.
    pub(super) fn has_repeats(&self) -> bool {
        self.repeats
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Numbers grow, so it is the last one.
    pub(super) fn begin(&mut self, command: PendingCommand) {
        self.open.push_back(command);
    }

    /// This one has its answer; none when it had one before.
    pub(super) fn answered(&mut self, n: u32) -> Option<PendingCommand> {
        let at = self.open.binary_search_by_key(&n, |command| command.n).ok()?;
        let command = self.open.remove(at);
        if self.open.is_empty() {
            // A burst's room is not kept: there are thousands of these.
            self.open = VecDeque::new();
        }
        command
    }

    pub(super) fn oldest(&self) -> Option<u32> {
        self.open.front().map(|command| command.n)
    }

    pub(super) fn oldest_in(&self, chat: ChatId) -> Option<u32> {
        self.open.iter().find(|command| command.chat == chat).map(|command| command.n)
    }

    /// This one is to be written again.
    pub(super) fn repeat(&mut self, n: u32) {
        if let Ok(at) = self.open.binary_search_by_key(&n, |command| command.n) {
            self.open[at].to_write = true;
            self.repeats = true;
        }
    }

    /// All are to be written again: on another connection.
    pub(super) fn repeat_all(&mut self) {
        self.open.iter_mut().for_each(|command| command.to_write = true);
        self.repeats = true;
    }

    /// Those whose answers will never be known.
    pub(super) fn forget_all(&mut self) {
        self.open = VecDeque::new();
    }

    /// The first one that is to be written again, which counts as written now.
    pub(super) fn next_repeat(&mut self) -> Option<&PendingCommand> {
        if !self.repeats {
            return None;
        }
        let command = self.open.iter_mut().find(|command| command.to_write);
        self.repeats = command.is_some();
        command.map(|command| {
            command.to_write = false;
            &*command
        })
    }

    /// A message of its own is there and can be edited.
    pub(super) fn own(&mut self, chat: ChatId, message: Seq) {
        if self.own.len() >= MAX_OWN {
            self.own.pop_front();
        }
        self.own.push_back((chat, message));
    }

    /// The newest own message of a chat.
    pub(super) fn newest_own(&self, chat: ChatId) -> Option<Seq> {
        self.own.iter().rev().find(|(of, _)| *of == chat).map(|(_, message)| *message)
    }

    /// The same, which is not to be edited any more.
    pub(super) fn take_own(&mut self, chat: ChatId) -> Option<Seq> {
        let at = self.own.iter().rposition(|(of, _)| *of == chat)?;
        self.own.remove(at).map(|(_, message)| message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catching_up_ends_with_the_last_chat() {
        let mut chats = DeviceChats::default();
        for id in [12, 3, 7] {
            chats.live(ChatId(id), Seq(10));
        }
        chats.on_event(ChatId(7), Seq(12), Some(Seq(12)));
        chats.on_event(ChatId(7), Seq(11), Some(Seq(11)));
        chats.on_event(ChatId(99), Seq(1), None);
        let places = [(ChatId(3), Seq(10)), (ChatId(7), Seq(12)), (ChatId(12), Seq(10))];
        assert_eq!(chats.cursors(), places);
        assert_eq!((chats.newest(ChatId(7)), chats.newest(ChatId(3))), (Some(Seq(12)), None));
        assert!(chats.resume());
        assert!(!chats.caught_up(ChatId(3), Seq(11)));
        assert!(!chats.caught_up(ChatId(3), Seq(11)));
        assert!(!chats.remove(ChatId(12)));
        assert!(chats.caught_up(ChatId(7), Seq(12)));
        chats.live(ChatId(7), Seq(1));
        assert_eq!(chats.cursors(), [(ChatId(3), Seq(11)), (ChatId(7), Seq(12))]);
        assert_eq!(chats.clear().len(), 2);
        assert!(!chats.resume());
    }

    #[test]
    fn what_has_no_answer_is_repeated_in_order() {
        let mut commands = Commands::default();
        for _ in 0..4 {
            let (n, due, text) = (commands.next(), Instant::now(), String::new());
            let (chat, kind) = (ChatId(1), CommandKind::Send);
            commands.begin(PendingCommand { n, due, chat, kind, text, to_write: false });
        }
        assert!(commands.next_repeat().is_none());
        assert_eq!(commands.answered(2).map(|command| command.n), Some(2));
        assert!(commands.answered(2).is_none());
        commands.repeat(3);
        assert_eq!(commands.next_repeat().map(|command| command.n), Some(3));
        commands.repeat_all();
        let repeated = std::iter::from_fn(|| commands.next_repeat().map(|command| command.n));
        assert_eq!(repeated.collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!((commands.oldest(), commands.len()), (Some(1), 3));
        assert_eq!(commands.oldest_in(ChatId(1)), Some(1));
        assert_eq!(commands.oldest_in(ChatId(2)), None);
        for message in 0..20 {
            commands.own(ChatId(message % 2), Seq(message));
        }
        assert_eq!(commands.newest_own(ChatId(0)), Some(Seq(18)));
        assert_eq!(commands.take_own(ChatId(0)), Some(Seq(18)));
        assert_eq!(commands.newest_own(ChatId(0)), Some(Seq(16)));
        assert_eq!(commands.newest_own(ChatId(5)), None);
    }
}
