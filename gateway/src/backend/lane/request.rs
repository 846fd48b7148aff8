//! The requests that lanes carry, and what each weighs. The sums of all bounds between a gateway and an api are
//! in this file's tests.

use protocol::{
    calls::{OpenSession, Pair, Peer, Range, ReadMark, UserChat},
    command::{Action, Command},
    id::ChatId,
};

/// The approximate size of a request without its texts: 200 bytes of JSON in a call, or the item and its
/// callback in memory.
pub(crate) const ITEM_BYTES: usize = 256;

/// A request to the api that a lane can carry.
pub(crate) trait Request: Clone + Send + Sync + 'static {
    /// Its size: [`ITEM_BYTES`] and the bytes of all texts and names that clients wrote.
    fn bytes(&self) -> usize;

    /// The chat whose row the api locks for it. A lane keeps the order of requests within a chat.
    fn chat(&self) -> Option<ChatId> {
        None
    }
}

impl Request for Command {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match &self.action {
                Action::Send { client_message_id, text, .. } => {
                    client_message_id.len() + text.len()
                }
                Action::Edit { text, client_edit_id, .. } => {
                    client_edit_id.as_ref().map_or(0, String::len) + text.len()
                }
                Action::Delete { .. } => 0,
            }
    }

    fn chat(&self) -> Option<ChatId> {
        Some(self.chat_id)
    }
}

impl Request for Pair {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match &self.peer {
                Peer::Username(name) => name.len(),
                Peer::Id(_) => 0,
            }
    }
}

/// A guest's name.
impl Request for String {
    fn bytes(&self) -> usize {
        ITEM_BYTES + self.len()
    }
}

impl Request for OpenSession {
    fn bytes(&self) -> usize {
        ITEM_BYTES
    }
}

impl Request for ReadMark {
    fn bytes(&self) -> usize {
        ITEM_BYTES
    }
}

impl Request for Range {
    fn bytes(&self) -> usize {
        ITEM_BYTES
    }
}

impl Request for UserChat {
    fn bytes(&self) -> usize {
        ITEM_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, LanesConfig};
    use platform::text::MAX_USERNAME;
    use protocol::{
        account::{Account, Role},
        calls::{Guests, Peers, Post, Posted, SessionView, Shows},
        chat::{
            AVATARS, Change, ChatPeer, ChatSettings, ChatType, ChatView, Event, LastMessage,
            MAX_PREVIEW_CHARS, Message, PresenceStatus, UserRef,
        },
        command::Receipt,
        encoded_run::EncodedRun,
        id::{Seq, SessionId, UserId},
        limits::{
            MAX_ANSWER_BYTES, MAX_BATCH, MAX_BATCH_BYTES, MAX_CALL_BYTES, MAX_CHANGED,
            MAX_CLIENT_ID_BYTES, MAX_EVENTS_BYTES, MAX_LIVE_CHATS, MAX_RANGE_BYTES, MAX_TEXT_CHARS,
        },
        relay::ChatEvents,
        stream::{FrameKind, frame, post::PostedBody},
        time::Timestamp,
        traceparent::Traceparent,
    };
    use serde::Serialize;
    use uuid::Uuid;

    /// The most bytes that JSON makes of one: `\u0007`.
    const GROWTH: usize = 6;
    const LAST: i64 = i64::MIN;

    fn json(value: &impl Serialize) -> usize {
        serde_json::to_string(value).unwrap().len()
    }

    fn command(text: &str) -> Command {
        let client_message_id = "\u{7}".repeat(MAX_CLIENT_ID_BYTES);
        let (text, reply_to) = (text.to_owned(), Some(Seq(LAST)));
        let action = Action::Send { client_message_id, text, reply_to };
        Command { user_id: UserId(LAST), chat_id: ChatId(LAST), action }
    }

    /// The longest answer to [`command`].
    fn posted(text: &str) -> Posted {
        let (seq, timestamp) = (Seq(i64::MAX), Timestamp(0));
        let receipt = Receipt { message_id: seq, seq, timestamp, repeated: false };
        let Action::Send { client_message_id, text, reply_to } = command(text).action else {
            panic!("it sends");
        };
        let message = Message {
            id: seq,
            sender: UserRef::registered(UserId(LAST), "😀".repeat(MAX_USERNAME))
                .named("😀".repeat(64))
                .pictured(format!("{AVATARS}{LAST}-{}", "x".repeat(12))),
            text,
            timestamp,
            client_message_id: Some(client_message_id),
            reply_to,
            edited_at: Some(timestamp),
        };
        let run = ChatEvents {
            chat_id: ChatId(LAST),
            events: vec![Event { seq, change: Change::Message(message) }],
            published_ms: LAST,
            traceparent: Traceparent::new(1, 1, true),
        };
        Posted { results: vec![Ok(receipt)], events: vec![EncodedRun::of(&run).unwrap()] }
    }

    /// Whatever is in them, requests within a batch's bound make no larger body than the api takes.
    #[test]
    fn a_full_batch_is_less_than_the_api_takes() {
        let (one, session) =
            (UserChat { user_id: UserId(LAST), chat_id: ChatId(LAST) }, Uuid::max());
        let shows = Shows::One(ChatId(LAST));
        let session = OpenSession { user_id: UserId(LAST), session_id: SessionId(session), shows };
        let mark = ReadMark { user_id: UserId(LAST), chat_id: ChatId(LAST), message_id: Seq(LAST) };
        let range = Range { chat_id: ChatId(LAST), after: Seq(LAST) };
        let name = "\u{7}".repeat(400);
        let pair = Pair { user_id: UserId(LAST), peer: Peer::Username(name.clone()) };
        for (bytes, spelled) in [
            (command("").bytes(), json(&command(""))),
            (command("\u{7}").bytes(), json(&command("\u{7}"))),
            (pair.bytes(), json(&pair)),
            (name.bytes(), json(&name)),
            (session.bytes(), json(&session)),
            (mark.bytes(), json(&mark)),
            (range.bytes(), json(&range)),
            (one.bytes(), json(&one)),
        ] {
            assert!(spelled < GROWTH * bytes, "{spelled} of {bytes}");
        }
        const { assert!(GROWTH * MAX_BATCH_BYTES + 1_000 < MAX_CALL_BYTES) };
        let config = Config::default();
        for lane in [config.lanes.post, config.lanes.query] {
            assert_eq!((lane.max_batch, lane.max_batch_bytes), (MAX_BATCH, MAX_BATCH_BYTES));
        }
        // And as it comes out: as many of the worst texts as fit.
        let longest = command(&"\u{7}".repeat(4 * MAX_TEXT_CHARS));
        let fit = MAX_BATCH_BYTES / longest.bytes();
        assert!(fit > 1 && json(&Post::patient(vec![longest; fit])) < MAX_CALL_BYTES);
        let names = vec![name; MAX_BATCH];
        assert!(names.iter().map(Request::bytes).sum::<usize>() < MAX_BATCH_BYTES);
        assert!(json(&Guests { names }) < MAX_CALL_BYTES);
        assert!(json(&Peers { pairs: vec![pair; MAX_BATCH] }) < MAX_CALL_BYTES);
    }

    #[test]
    fn the_longest_answers_are_less_than_a_gateway_takes() {
        // A chat's name has 100 characters, a person's 64; quotes take two bytes each, emoji four.
        let name = "😀".repeat(100);
        let (id, username, persons_name) =
            (UserId(LAST), "😀".repeat(MAX_USERNAME), "😀".repeat(64));
        let avatar = format!("{AVATARS}{LAST}-{}", "x".repeat(12));
        let anybody =
            UserRef::registered(id, username.clone()).named(persons_name.clone()).pictured(&avatar);
        let set = true;
        let chat = ChatView {
            id: ChatId(LAST),
            name: name.clone(),
            chat_type: ChatType::Private,
            seq: Seq(LAST),
            last_read: Seq(LAST),
            unread: LAST,
            invited_by: Some(anybody.clone()),
            last_message: Some(Box::new(LastMessage {
                id: Seq(LAST),
                sender: UserRef { guest: true, ..anybody },
                text: "😀".repeat(MAX_PREVIEW_CHARS),
                timestamp: Timestamp(0),
                deleted: true,
            })),
            peer: Some(Box::new(ChatPeer {
                id,
                username: username.clone(),
                name: persons_name,
                avatar: Some(avatar.clone()),
                status: Some(PresenceStatus::Offline),
            })),
            member_count: LAST,
            settings: ChatSettings { muted: set, pinned: set, archived: set, marked_unread: set },
        };
        let user = Account { id, username, name, avatar: Some(avatar), role: Role::Admin };
        let chats = vec![chat; MAX_LIVE_CHATS as usize];
        let batch = Config::default().lanes.open.max_batch;
        let opened = json(&SessionView { user, chats }) * batch;
        assert!(opened < MAX_ANSWER_BYTES, "open: {opened}");
        assert!(Config::default().live_chats <= MAX_LIVE_CHATS);

        // Each range may have one event that is too long for its share.
        let event = 2 * 4 * MAX_TEXT_CHARS + 2_000;
        assert!(event < MAX_RANGE_BYTES);
        assert!(MAX_EVENTS_BYTES + MAX_BATCH * event < MAX_ANSWER_BYTES);

        // The texts once more, and at most 1,000 bytes for each receipt and the run around its text.
        const { assert!(GROWTH * MAX_BATCH_BYTES + MAX_BATCH * 1_000 < MAX_ANSWER_BYTES) };
        for text in ["", "\u{7}"] {
            let posted = posted(text);
            let bytes = frame(FrameKind::Posted, 1, &PostedBody::new(&posted)).unwrap().len();
            for bytes in [bytes, json(&posted)] {
                assert!(bytes < GROWTH * command(text).bytes() + 1_000, "{bytes}");
            }
        }

        // Six lists of ids, numbers and sessions.
        const { assert!(6 * MAX_CHANGED * 120 < MAX_ANSWER_BYTES) };
    }

    /// Memory: what the lanes of a node hold when all of them are full.
    #[test]
    fn full_lanes_are_bounded() {
        let LanesConfig { post, query, post_lanes, .. } = LanesConfig::default();
        let lanes = post_lanes * post.max_bytes + 6 * query.max_bytes;
        assert!(lanes <= 80 << 20, "{} MiB", lanes >> 20);
        // Every ordinary message fits: the bound in bytes is for long ones.
        assert!(post.max_items * (ITEM_BYTES + 1_000) < post.max_bytes);
        assert!(query.max_items * (ITEM_BYTES + 4 * MAX_USERNAME) < query.max_bytes);
    }
}
