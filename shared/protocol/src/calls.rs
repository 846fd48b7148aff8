//! The calls a gateway makes to the api: one `POST /internal/{name}` each with these bodies as
//! JSON, or a direct call in one process. Every call is a batch; every list here is bounded by
//! [`MAX_BATCH`](crate::limits::MAX_BATCH), every body in bytes; answers stand in the order of the questions. All are safe to
//! repeat. While nodes of two versions run side by side, each reads the other's bodies: fields that
//! came later have defaults, and what an enum does not know is its last variant.

use crate::{
    account::Account,
    chat::{ChatView, Event, UserRef},
    command::{Command, Receipt},
    id::{ChatId, Seq, SessionId, UserId},
    refusal::Refusal,
    relay::{ChatEvents, EndedSessions},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// `open`: sessions whose sockets are being opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub sessions: Vec<OpenSession>,
    /// How many of its most recently active chats each connection holds live, at most
    /// [`MAX_LIVE_CHATS`](crate::limits::MAX_LIVE_CHATS). The api remembers the user's others as dormant: the next message in one
    /// wakes it through `user:{id}`.
    pub live_chats: u32,
}

/// One session of an [`Open`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Whose session it is.
    pub user_id: UserId,
    /// The session that the token names.
    pub session_id: SessionId,
    /// What the connection is going to show. An older api tells of all chats, whatever this says.
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
    /// None: whether the session stands is all that is asked.
    Nothing,
}

/// The answer to [`Open`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    /// Names the database.
    pub epoch: String,
    /// One for each session.
    pub sessions: Vec<Result<SessionView, SessionRefusal>>,
}

/// What a new connection starts from.
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
    /// Signed out, expired or revoked; or what a newer api knows beside it.
    #[serde(other)]
    Ended,
}

/// `post`: commands in the order in which each sender gave them. One transaction for all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Post {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub commands: Vec<Command>,
    /// When somebody else holds some of the chats for longer than a moment, carry out what is for the
    /// others and answer the rest with [`Code::Busy`](crate::code::Code::Busy).
    #[serde(default)]
    pub impatient: bool,
}

impl Post {
    /// Waits for every chat, for as long as the api waits for anything.
    pub fn patient(commands: Vec<Command>) -> Self {
        Self { commands, impatient: false }
    }
}

/// The answer to [`Post`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Posted {
    /// One for each command.
    pub results: Vec<Result<Receipt, Refusal>>,
    /// The events these commands made, and those of commands that were repeated, by their messages'
    /// present state: the caller delivers them itself and need not wait for the bus. Runs are in order
    /// each; who has an event already passes over it.
    pub events: Vec<ChatEvents>,
}

/// `read`: read marks. A mark never moves back; one beyond the chat's end stands at its end.
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

/// `events`: what was missed in each of these ranges.
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
    /// In the order of `seq`, with holes.
    pub events: Vec<Event>,
    /// Everything up to here is in `events`, or was before `after`.
    pub upto: Seq,
    /// The chat's newest event when this was read. `upto < head`: ask again from `upto`.
    pub head: Seq,
}

/// `view`: chats as a user may watch them: one's own chats and any room one is not banned from. For `subscribe` and for
/// chats that woke or were joined.
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

/// `dormant`: chats that a connection lets go of although its user is in them, because it watches as
/// many as it may. The next message in one wakes it, once, through `user:{id}`; who misses that is told by
/// `changed`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dormant {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub chats: Vec<UserChat>,
}

/// The answer to [`Dormant`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DormantMarked {
    /// Whether the user is a member, for each: nobody else is woken.
    pub members: Vec<bool>,
}

/// `changed`: what happened lately, so that whatever the bus lost is repaired.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Changed {
    /// The `now` of the caller's previous answer; `None` the first time: the last 30 seconds.
    pub since: Option<Timestamp>,
}

/// Everything since a little before `since`: the api reaches back [`CHANGED_OVERLAP_MS`] more than
/// asked. Repeats are therefore normal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangedFound {
    /// For the next `since`: the database's clock, or the beginning of the oldest transaction that is
    /// still writing, because what it wrote appears later with its time.
    pub now: Timestamp,
    /// Chats with new events and their newest `seq`; the least recently changed are left out beyond
    /// [`MAX_CHANGED`](crate::limits::MAX_CHANGED), and `truncated` says so.
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
    /// Some list was cut: the caller must suspect what it holds of that kind.
    pub truncated: bool,
    /// Which were.
    #[serde(default)]
    pub cut: Cut,
}

impl ChangedFound {
    /// The lists that were cut. Of an older api, which does not say which, all.
    pub fn cut(&self) -> Cut {
        if self.truncated && self.cut == Cut::default() { Cut::ALL } else { self.cut }
    }
}

/// Lists of a [`ChangedFound`] that were cut.
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

/// A member for whom a chat was or is dormant that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Woken {
    /// The member.
    pub user_id: UserId,
    /// The chat.
    pub chat_id: ChatId,
    /// All messages that woke it come after this place. An older api does not say: then it is beyond
    /// the chat's end.
    #[serde(default = "beyond_the_end")]
    pub after: Seq,
}

fn beyond_the_end() -> Seq {
    Seq(i64::MAX)
}

/// How much further back than asked `changed` looks: more than clocks are corrected by at once.
pub const CHANGED_OVERLAP_MS: i64 = 10_000;

/// `peers`: the private chats of pairs of users, for dialects that name a person and not a chat. A
/// chat that is missing is made, and both are told (`Added`).
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
    /// The other one.
    pub peer: Peer,
}

/// The other one, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// By id.
    Id(UserId),
    /// In whatever case.
    Username(String),
}

/// The answer to [`Peers`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeersFound {
    /// One for each pair.
    pub chats: Vec<Result<ChatId, Refusal>>,
}

/// `guests`: names that people without an account chose. A name keeps its id, so that a guest who
/// comes back under it is the same sender; whoever takes it is not asked to prove anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guests {
    /// At most [`MAX_BATCH`](crate::limits::MAX_BATCH).
    pub names: Vec<String>,
}

/// The answer to [`Guests`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestsFound {
    /// With [`UserRef::guest`]. Refused: [`Code::GuestsOff`](crate::code::Code::GuestsOff), `InvalidUsername`, `UsernameTaken`.
    pub guests: Vec<Result<UserRef, Refusal>>,
}
