//! The calls a gateway makes to the api: one `POST /internal/{name}` each with these bodies as
//! JSON, or a direct call in one process. Every call is a batch; every list here is bounded by
//! [`MAX_BATCH`], every body in bytes; answers stand in the order of the questions. All are safe to
//! repeat. While nodes of two versions run side by side, each reads the other's bodies: fields that
//! came later have defaults, and what an enum does not know is its last variant.

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

/// The most bytes of questions in one call, by the measure of the gateway's lanes: all texts and
/// names, and 256 for the rest of each. JSON makes at most six of a byte (`\u0007`), so a body has at
/// most 6 MiB, which is less than [`MAX_CALL_BYTES`]. A test of the gateway does the sums.
pub const MAX_BATCH_BYTES: usize = 1 << 20;

/// The largest body that the api takes from a gateway.
pub const MAX_CALL_BYTES: usize = 8 << 20;

/// The largest answer that a gateway takes from an api. The longest are those of `open`, 24 MiB when
/// a full batch of users has as many chats with as long names as there may be, and of `events`.
pub const MAX_ANSWER_BYTES: usize = 32 << 20;

/// The most bytes of events, as JSON, in the answer to one range: what a connection takes at once. One
/// event is always there, whatever it has. When many ranges missed much, each is cut earlier.
pub const MAX_RANGE_BYTES: usize = 64 << 10;

/// The same for all ranges of one call together.
pub const MAX_EVENTS_BYTES: usize = 8 << 20;

/// The most chats that a connection holds live, and that `open` tells of each user.
pub const MAX_LIVE_CHATS: u32 = 200;

/// `open`: sessions whose sockets are being opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open {
    pub sessions: Vec<OpenSession>,
    /// How many of its most recently active chats each connection holds live, at most
    /// [`MAX_LIVE_CHATS`]. The api remembers the user's others as dormant and wakes them through
    /// `user:{id}`.
    pub live_chats: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    pub user_id: UserId,
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
    Blocked,
    /// Signed out, expired or revoked; or what a newer api knows beside it.
    #[serde(other)]
    Ended,
}

/// `post`: commands in the order in which each sender gave them. One transaction for all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Post {
    pub commands: Vec<Command>,
    /// When somebody else holds some of the chats for longer than a moment, carry out what is for the
    /// others and answer the rest with [`RefusalCode::Busy`].
    #[serde(default)]
    pub impatient: bool,
}

impl Post {
    /// Waits for every chat, for as long as the api waits for anything.
    pub fn patient(commands: Vec<Command>) -> Self {
        Self { commands, impatient: false }
    }
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
    /// Somebody else holds the chat: ask again. Only to a caller that says it is impatient, and never
    /// shown to a client.
    Busy,
    /// A reason that a newer api knows. Its `message` tells people what it is.
    #[serde(other)]
    Unknown,
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
            Self::Busy => "busy",
            Self::Unknown => "refused",
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

/// The most events in the answer to one range; the rest is asked for from `upto`. See also
/// [`MAX_RANGE_BYTES`].
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
    pub woken: Vec<Woken>,
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
    pub joined: bool,
    pub parted: bool,
    pub woken: bool,
    pub ended: bool,
}

impl Cut {
    pub const ALL: Self =
        Self { chats: true, joined: true, parted: true, woken: true, ended: true };
}

/// A member for whom a dormant chat changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Woken {
    pub user_id: UserId,
    pub chat_id: ChatId,
    /// All messages that woke it come after this place. An older api does not say: then it is beyond
    /// the chat's end.
    #[serde(default = "beyond_the_end")]
    pub after: Seq,
}

fn beyond_the_end() -> Seq {
    Seq(i64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::Change;

    #[test]
    fn what_a_newer_api_says_beside_the_rest_is_no_harm_to_the_rest() {
        let posted: Posted = serde_json::from_str(
            r#"{"results":[{"Err":{"code":"moon_is_full","message":"Not tonight."}},
                    {"Ok":{"message_id":2,"seq":2,"timestamp":"2023-11-14T22:13:20.007Z"}}],
                "events":[{"chat_id":1,"published_ms":5,"events":[
                    {"seq":1,"type":"reaction","id":1,"emoji":"x","by":{"id":3}},
                    {"seq":2,"type":"deleted","id":2,"by":3,"timestamp":"2023-11-14T22:13:20.007Z"}]}]}"#,
        )
        .unwrap();
        let refusal = posted.results[0].as_ref().unwrap_err();
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (RefusalCode::Unknown, "Not tonight.")
        );
        assert!(posted.results[1].is_ok());
        let [unknown, deleted] = &posted.events[0].events[..] else { panic!("{posted:?}") };
        assert_eq!((unknown.seq, &unknown.change), (Seq(1), &Change::Unknown));
        assert!(matches!(deleted.change, Change::Deleted { id: Seq(2), .. }));
        assert_eq!(serde_json::to_string(unknown).unwrap(), r#"{"seq":1,"type":"unknown"}"#);
        let refused: SessionRefusal = serde_json::from_str(r#""asleep""#).unwrap();
        assert_eq!(refused, SessionRefusal::Ended);
    }

    #[test]
    fn nodes_of_two_versions_read_each_other() {
        let old: ChangedFound = serde_json::from_str(
            r#"{"now":"2023-11-14T22:13:20.007Z","chats":[],"deleted":[],"joined":[],"parted":[],
                "woken":[{"user_id":3,"chat_id":4}],"ended":[],"truncated":true}"#,
        )
        .unwrap();
        assert_eq!(old.woken[0].after.min(Seq(7)), Seq(7), "from the chat's end");
        assert_eq!(old.cut(), Cut::ALL);
        let new = Woken { user_id: UserId(3), chat_id: ChatId(4), after: Seq(5) };
        let new = serde_json::to_string(&new).unwrap();
        assert!(serde_json::from_str::<UserChat>(&new).is_ok(), "as an older gateway reads it");
        let session = r#"{"user_id":1,"session_id":"019adf3c-5f0a-7c1e-9a51-2f6f0c9f4f11"}"#;
        let session: OpenSession = serde_json::from_str(session).unwrap();
        assert_eq!(session.shows, Shows::All);
        let post: Post = serde_json::from_str(r#"{"commands":[]}"#).unwrap();
        assert!(!post.impatient, "an older gateway does not know `busy`");
    }
}
