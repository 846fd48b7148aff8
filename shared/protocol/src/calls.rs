//! The calls of a gateway to the api: each is a `POST /internal/{name}` with these bodies as JSON, or a direct call
//! in one process; `post` goes over streams, too ([`crate::stream`]). Every call is a batch and safe to repeat. Its
//! list has at most [`MAX_BATCH`](crate::limits::MAX_BATCH) items, and the answers come in the order of the items.
//! The bodies are bounded in bytes ([`crate::limits`]).
//!
//! While nodes of two versions run side by side, each reads the other's bodies: newer fields have defaults, and an
//! enum reads an unknown value as its last variant.

use crate::{
    account::Account,
    chat::{ChatView, Event, UserRef},
    command::{Command, Receipt},
    encoded_run::EncodedRun,
    id::{ChatId, Seq, SessionId, UserId},
    orders::Announced,
    refusal::Refusal,
    relay::EndedSessions,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// `open`: asks whether sessions are open, and for the chats with which their sockets start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub sessions: Vec<OpenSession>,
    /// How many of its most recently active chats each connection holds live, at most
    /// [`MAX_LIVE_CHATS`](crate::limits::MAX_LIVE_CHATS). The api remembers the user's other chats as dormant. The
    /// next message in one wakes it through `user:{id}`.
    pub live_chats: u32,
}

/// One session of an [`Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// The user of the session.
    pub user_id: UserId,
    /// The session that the token names.
    pub session_id: SessionId,
    /// The chats that the connection will show. An older api ignores this and returns all chats.
    #[serde(default)]
    pub shows: Shows,
}

/// Which of a user's chats a connection shows.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Shows {
    /// Its live chats.
    #[default]
    All,
    /// The most recently active of its private chats.
    Private,
    /// One chat alone, if it is the user's to watch; else none.
    One(ChatId),
    /// No chat: the caller asks only whether the session is open.
    Nothing,
}

/// The answer to [`Open`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// The name of the database.
    pub epoch: String,
    /// One for each session.
    pub sessions: Vec<Result<SessionView, SessionRefusal>>,
}

/// The state with which a new connection starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    /// The account.
    pub user: Account,
    /// The most recently active first.
    pub chats: Vec<ChatView>,
}

/// Why a socket may not open although its token verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionRefusal {
    /// The account is blocked.
    Blocked,
    /// The session was signed out, expired or revoked. Also the reading of a reason that only a newer api knows.
    #[serde(other)]
    Ended,
}

/// `post`: carries out commands in one transaction. The commands of each sender are in the sender's order.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Post {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub commands: Vec<Command>,
    /// Whether to answer commands with [`Code::Busy`](crate::code::Code::Busy) when another transaction holds their
    /// chat for longer than a moment. The commands for other chats are carried out.
    #[serde(default)]
    pub impatient: bool,
}

impl Post {
    /// A call that waits for every chat, for as long as the api waits for anything.
    pub fn patient(commands: Vec<Command>) -> Self {
        Self { commands, impatient: false }
    }
}

/// The answer to [`Post`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Posted {
    /// One for each command.
    pub results: Vec<Result<Receipt, Refusal>>,
    /// The events that these commands made. A repeated command brings the event of its message's present state. The
    /// caller delivers them itself and need not wait for the bus. Each run is in order, and receivers skip events
    /// that they have.
    pub events: Vec<EncodedRun>,
}

/// `read`: moves read marks. A mark never moves back, and stops at the chat's end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MarkRead {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub marks: Vec<ReadMark>,
}

/// How far one user has read in one chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The reader.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
    /// The newest message that was read.
    pub message_id: Seq,
}

/// `events`: asks for the events of ranges.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Events {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub ranges: Vec<Range>,
}

/// A chat's events after a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    /// The chat.
    pub chat_id: ChatId,
    /// The newest event that the caller has.
    pub after: Seq,
}

/// The answer to [`Events`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EventsFound {
    /// One for each range; `None` when the chat is gone.
    pub ranges: Vec<Option<RangeFound>>,
}

/// The answer to one range: every message created or changed, and every member change, in
/// `(after, upto]`, each message once, in its latest state, at the place of its creation when that
/// lies in the range and else at the place of its last change. A message changed once more after
/// `upto` is missing at its old place of change: its newer event comes later. So `seq` may skip
/// numbers, and the range is complete all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeFound {
    /// The events in the order of `seq`, which may skip numbers.
    pub events: Vec<Event>,
    /// The end of the range. `events` is complete from `after` up to here.
    pub upto: Seq,
    /// The chat's newest event at the time of the answer. If `upto < head`, ask again from `upto`.
    pub head: Seq,
}

/// `view`: asks for chats as users may watch them. A user may watch its own chats and any room without a ban for it.
/// Used for `subscribe`, and for chats that woke or that the user joined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub chats: Vec<UserChat>,
}

/// A user and a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserChat {
    /// The user.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
}

/// The answer to [`View`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Viewed {
    /// One for each chat.
    pub chats: Vec<Result<ChatView, Refusal>>,
}

/// `dormant`: marks chats that a connection stops watching although its user is a member, because it watches too
/// many. The next message in such a chat wakes it, once, through `user:{id}`. `changed` repeats this for a gateway
/// that missed it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dormant {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub chats: Vec<UserChat>,
}

/// The answer to [`Dormant`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DormantMarked {
    /// Whether the user is a member, for each item. Nobody else is woken.
    pub members: Vec<bool>,
}

/// `changed`: asks for recent changes, to repair the loss of bus messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changed {
    /// The `now` of the caller's previous answer. `None` in the first call, which returns the last 30 seconds.
    pub since: Option<Timestamp>,
    /// The `marks` of the caller's previous answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Option<Timestamp>>,
}

/// The answer to [`Changed`]: the changes from [`CHANGED_OVERLAP_MS`] before `since` on. Successive answers therefore
/// repeat changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangedFound {
    /// The next `since`: the time by the database's clock, or the start of the oldest open transaction, whose
    /// changes appear later with that time.
    pub now: Timestamp,
    /// Chats with new events, each with its newest `seq`. Beyond [`MAX_CHANGED`](crate::limits::MAX_CHANGED) the
    /// least recently changed ones are left out, and `truncated` is set.
    pub chats: Vec<(ChatId, Seq)>,
    /// Chats that were deleted.
    pub deleted: Vec<ChatId>,
    /// Members who joined.
    pub joined: Vec<UserChat>,
    /// Members who left or were removed.
    pub parted: Vec<UserChat>,
    /// Users who were banned from a room, members or not.
    #[serde(default)]
    pub banned: Vec<UserChat>,
    /// Members whom a message woke, and members for whom a dormant chat changed.
    pub woken: Vec<Woken>,
    /// Sessions that ended before their time.
    pub ended: Vec<EndedSessions>,
    /// What administrators tell everybody. `None`: an older api, which does not know.
    #[serde(default)]
    pub announced: Option<Announced>,
    /// Where chats are on several database servers: the next `since` of each, by its own clock. That of one that did not
    /// answer stays what it was; `None`: it never answered this caller. Empty with one server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marks: Vec<Option<Timestamp>>,
    /// Whether a list was cut. The caller must then check what it holds of that kind.
    pub truncated: bool,
    /// The lists that were cut.
    #[serde(default)]
    pub cut: Cut,
}

impl ChangedFound {
    /// Keeps what is about these chats, and what is about none.
    pub fn keep(&mut self, is_kept: impl Fn(ChatId) -> bool) {
        self.chats.retain(|(chat, _)| is_kept(*chat));
        self.deleted.retain(|chat| is_kept(*chat));
        for list in [&mut self.joined, &mut self.parted, &mut self.banned] {
            list.retain(|pair| is_kept(pair.chat_id));
        }
        self.woken.retain(|woken| is_kept(woken.chat_id));
    }

    /// Adds what another server has found. Lists are as long as all servers' together.
    pub fn add(&mut self, other: Self) {
        self.chats.extend(other.chats);
        self.deleted.extend(other.deleted);
        self.joined.extend(other.joined);
        self.parted.extend(other.parted);
        self.banned.extend(other.banned);
        self.woken.extend(other.woken);
        self.ended.extend(other.ended);
        self.announced = self.announced.take().or(other.announced);
        let Cut { chats, joined, parted, woken, ended } = other.cut;
        self.cut.chats |= chats;
        self.cut.joined |= joined;
        self.cut.parted |= parted;
        self.cut.woken |= woken;
        self.cut.ended |= ended;
    }

    /// The lists that were cut. All of them for an older api, which does not say which.
    pub fn cut(&self) -> Cut {
        if self.truncated && self.cut == Cut::default() { Cut::ALL } else { self.cut }
    }
}

/// The lists of a [`ChangedFound`] that were cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cut {
    /// `chats` and `deleted`, which are one list cut in two.
    pub chats: bool,
    /// `joined`.
    pub joined: bool,
    /// `parted` or `banned`.
    pub parted: bool,
    /// `woken`.
    pub woken: bool,
    /// `ended`.
    pub ended: bool,
}

impl Cut {
    /// Every list.
    pub const ALL: Self =
        Self { chats: true, joined: true, parted: true, woken: true, ended: true };
}

/// A member, and a changed chat that was or is dormant for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Woken {
    /// The member.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
    /// All messages that woke it come after this place. An older api does not send it; then it is beyond the chat's
    /// end.
    #[serde(default = "beyond_the_end")]
    pub after: Seq,
}

fn beyond_the_end() -> Seq {
    Seq(i64::MAX)
}

/// How far `changed` looks back before `since`, in milliseconds: further than a clock is corrected at once.
pub const CHANGED_OVERLAP_MS: i64 = 10_000;

/// `peers`: asks for the private chats of pairs of users, for dialects that name a person and not a chat. The api makes
/// a missing chat and tells both users (`Added`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peers {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub pairs: Vec<Pair>,
}

/// A user and the person it wants to write to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The user.
    pub user_id: UserId,
    /// The person.
    pub peer: Peer,
}

/// The other user of a pair, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// By id.
    Id(UserId),
    /// By username, in any case.
    Username(String),
}

/// The answer to [`Peers`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeersFound {
    /// One for each pair.
    pub chats: Vec<Result<ChatId, Refusal>>,
}

/// `guests`: asks for the guests of names that people without an account chose. A name keeps its id, so a guest who
/// comes back with it is the same sender. Nobody has to prove that a name is theirs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guests {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub names: Vec<String>,
}

/// The answer to [`Guests`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestsFound {
    /// One for each name, with [`UserRef::guest`] set. Refusals: [`Code::GuestsOff`](crate::code::Code::GuestsOff),
    /// `InvalidUsername`, `UsernameTaken`.
    pub guests: Vec<Result<UserRef, Refusal>>,
}
