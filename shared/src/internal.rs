//! The calls a gateway makes to the api: one `POST /internal/{name}` each with these bodies as
//! JSON, or a direct call in one process. Every call is a batch; every list here is bounded by
//! [`MAX_BATCH`]; answers stand in the order of the questions. All are safe to repeat.

use crate::{
    chat::{ChatView, Event, UserRef},
    id::{ChatId, Seq, SessionId, UserId},
    relay::{ChatEvents, EndedSessions},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// The most items in one call. About 100 rows a transaction is where PostgreSQL's cost per row
/// flattens (shared measurements: 8.7 µs a row at 100, 7.5 at 500); beyond it only latency grows.
pub const MAX_BATCH: usize = 200;

/// Longest text of a message, in characters.
pub const MAX_TEXT_CHARS: usize = 4_000;

/// Longest client message id, in bytes: a uuid with room for a prefix.
pub const MAX_CLIENT_ID_BYTES: usize = 64;

/// `open`: sessions whose sockets are being opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    pub sessions: Vec<OpenSession>,
    /// How many of its most recently active chats each connection holds live. The api remembers the
    /// user's others as dormant and wakes them through `user:{id}`.
    pub live_chats: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    pub user_id: UserId,
    pub session_id: SessionId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opened {
    pub epoch: String,
    pub sessions: Vec<Result<SessionView, SessionRefusal>>,
}

/// What a new connection starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionView {
    pub user: Account,
    /// The most recently active first.
    pub chats: Vec<ChatView>,
}

/// A user as shown to itself on a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: UserId,
    pub username: String,
    /// Display name.
    pub name: String,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    User,
    Admin,
}

/// Why a socket may not open although its token verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionRefusal {
    /// Signed out, expired or revoked.
    Ended,
    Blocked,
}

/// `post`: commands in the order in which each sender gave them. One transaction for all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Post {
    pub commands: Vec<Command>,
}

/// One thing a user wants done to a chat's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    pub user_id: UserId,
    pub chat_id: ChatId,
    #[serde(flatten)]
    pub action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Post a message. The same `client_message_id` of the same sender in the same chat posts once;
    /// with another text it is refused (`client_message_id_reused`).
    Send {
        client_message_id: String,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reply_to: Option<Seq>,
    },
    /// Replace an own message's text. The text it has already: done, no event.
    Edit { message_id: Seq, text: String },
    /// Remove an own message (admins and chat owners: any). Removed already: done, no event.
    Delete { message_id: Seq },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Posted {
    /// One for each command.
    pub results: Vec<Result<Receipt, Refusal>>,
    /// The events these commands made, a run a chat: the caller delivers them itself and need not
    /// wait for the bus.
    pub events: Vec<ChatEvents>,
}

/// A command was committed, now or by an earlier try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub message_id: Seq,
    /// The event it made: `message_id` for a message.
    pub seq: Seq,
    pub timestamp: Timestamp,
    /// It had been committed before: this try made no event.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// A command was not carried out and will not be. The code is stable, the text is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub code: RefusalCode,
    pub message: String,
}

/// Stable reasons for a refusal. Their snake_case spelling is the `code` clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No such chat.
    ChatNotFound,
    /// The chat exists and the user may not use it.
    NotAMember,
    Blocked,
    MessageNotFound,
    /// Somebody else's message.
    NotYours,
    /// Empty, too long, or with characters a text may not have.
    InvalidText,
    /// Empty, too long, or with control characters.
    InvalidClientMessageId,
    /// The same client message id came before with another text.
    ClientMessageIdReused,
    /// `reply_to` names no message of this chat.
    InvalidReplyTo,
    /// No active account has this id or username.
    RecipientNotFound,
    /// The recipient is blocked and could not read it.
    RecipientBlocked,
    /// A private chat has two members.
    RecipientIsYourself,
    /// There are as many chats, or new ones so fast, as there may be.
    TooManyChats,
    /// Guests have no access here.
    GuestsOff,
    /// Not a name a guest may have.
    InvalidUsername,
    /// A registered user's name.
    UsernameTaken,
}

impl RefusalCode {
    /// The spelling clients see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ChatNotFound => "chat_not_found",
            Self::NotAMember => "not_a_member",
            Self::Blocked => "blocked",
            Self::MessageNotFound => "message_not_found",
            Self::NotYours => "not_yours",
            Self::InvalidText => "invalid_text",
            Self::InvalidClientMessageId => "invalid_client_message_id",
            Self::ClientMessageIdReused => "client_message_id_reused",
            Self::InvalidReplyTo => "invalid_reply_to",
            Self::RecipientNotFound => "recipient_not_found",
            Self::RecipientBlocked => "recipient_blocked",
            Self::RecipientIsYourself => "recipient_is_yourself",
            Self::TooManyChats => "too_many_chats",
            Self::GuestsOff => "guests_off",
            Self::InvalidUsername => "invalid_username",
            Self::UsernameTaken => "username_taken",
        }
    }
}

/// `read`: read marks. A mark never moves back; one beyond the chat's end stands at its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MarkRead {
    pub marks: Vec<ReadMark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    pub user_id: UserId,
    pub chat_id: ChatId,
    pub message_id: Seq,
}

/// `events`: what was missed in each of these ranges.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Events {
    pub ranges: Vec<Range>,
}

/// A chat's events after a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Range {
    pub chat_id: ChatId,
    pub after: Seq,
}

/// The most events in the answer to one range; the rest is asked for from `upto`.
pub const MAX_RANGE_EVENTS: usize = 200;

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
    pub events: Vec<Event>,
    /// Everything up to here is in `events`, or was before `after`.
    pub upto: Seq,
    /// The chat's newest event when this was read. `upto < head`: ask again from `upto`.
    pub head: Seq,
}

/// `view`: chats as a user may watch them: one's own chats and any room. For `subscribe` and for
/// chats that woke or were joined.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct View {
    pub chats: Vec<UserChat>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UserChat {
    pub user_id: UserId,
    pub chat_id: ChatId,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Viewed {
    pub chats: Vec<Result<ChatView, Refusal>>,
}

/// `dormant`: chats that a connection lets go of although its user is in them, because it watches as
/// many as it may. From the answer on a message in one wakes it through `user:{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dormant {
    pub chats: Vec<UserChat>,
}

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
/// asked, because a transaction's time is older than its commit. Repeats are therefore normal.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ChangedFound {
    /// The database's clock, for the next `since`.
    pub now: Timestamp,
    /// Chats with new events and their newest `seq`; the least recently changed are left out beyond
    /// [`MAX_CHANGED`], and `truncated` says so.
    pub chats: Vec<(ChatId, Seq)>,
    /// Chats that were deleted.
    pub deleted: Vec<ChatId>,
    /// Members who joined.
    pub joined: Vec<UserChat>,
    /// Members who left or were removed.
    pub parted: Vec<UserChat>,
    /// Members for whom a dormant chat changed.
    pub woken: Vec<UserChat>,
    pub ended: Vec<EndedSessions>,
    /// Some list was cut: the caller must suspect all it holds.
    pub truncated: bool,
}

/// Longest list in a [`ChangedFound`].
pub const MAX_CHANGED: usize = 10_000;

/// How much further back than asked `changed` looks: longer than any write transaction may take
/// (the statement timeout is below it).
pub const CHANGED_OVERLAP_MS: i64 = 10_000;

/// `peers`: the private chats of pairs of users, for dialects that name a person and not a chat. A
/// chat that is missing is made, and both are told (`Added`).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peers {
    pub pairs: Vec<Pair>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub user_id: UserId,
    pub peer: Peer,
}

/// The other one, as the client names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    Id(UserId),
    /// In whatever case.
    Username(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeersFound {
    pub chats: Vec<Result<ChatId, Refusal>>,
}

/// `guests`: names that people without an account chose. A name keeps its id, so that a guest who
/// comes back under it is the same sender; whoever takes it is not asked to prove anything.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Guests {
    pub names: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuestsFound {
    /// With [`UserRef::guest`]. Refused: [`RefusalCode::GuestsOff`], `InvalidUsername`, `UsernameTaken`.
    pub guests: Vec<Result<UserRef, Refusal>>,
}
