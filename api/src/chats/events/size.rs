//! How much of a range fits into an answer, in bytes.

use protocol::{
    calls::RangeFound,
    chat::{Change, Event, UserRef},
    id::Seq,
};

/// Ends a range before the event that makes it longer than its share.
pub(super) fn cut(range: &mut RangeFound, share: usize) {
    let sizes = range.events.iter().map(|event| (event.seq.0, json_bytes(event)));
    // What stays must be all that happened up to its end: a caller asks on from there.
    if let Some(end) = overflow(sizes, share) {
        range.events.retain(|event| event.seq.0 < end);
        range.upto = Seq(end - 1);
    }
}

/// The place of the first one that does not fit any more. The first of all always does.
pub(super) fn overflow(sizes: impl Iterator<Item = (i64, usize)>, share: usize) -> Option<i64> {
    let mut all = 0;
    sizes
        .enumerate()
        .find(|(number, (_, bytes))| {
            all += bytes;
            *number > 0 && all > share
        })
        .map(|(_, (at, _))| at)
}

/// The most that an event may have as JSON, without writing it.
fn json_bytes(event: &Event) -> usize {
    /// The names of all fields, numbers of twenty digits, times.
    const FIELDS: usize = 400;
    FIELDS
        + match &event.change {
            Change::Message(message) | Change::Edited(message) => {
                let key = message.client_message_id.as_deref().unwrap_or_default();
                spelled_bytes(&message.text) + user_bytes(&message.sender) + spelled_bytes(key)
            }
            Change::Member { user, .. } | Change::Owner { user, .. } => user_bytes(user),
            Change::Renamed { name, .. } => spelled_bytes(name),
            Change::Deleted { .. } | Change::Unknown => 0,
        }
}

fn user_bytes(user: &UserRef) -> usize {
    let optional = [user.name.as_deref(), user.avatar.as_deref()];
    spelled_bytes(&user.username) + optional.into_iter().flatten().map(spelled_bytes).sum::<usize>()
}

/// The length of a text as JSON spells it.
fn spelled_bytes(text: &str) -> usize {
    let byte = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(byte).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        calls::Range,
        chat::{MemberChange, Message},
        id::{ChatId, UserId},
        time::Timestamp,
    };

    fn event(text: &str) -> Event {
        let message = Message {
            id: Seq(i64::MIN),
            sender: UserRef {
                id: UserId(i64::MIN),
                username: "\"".repeat(32),
                name: Some("\n".repeat(64)),
                avatar: Some("/avatars/9-".repeat(4)),
                guest: true,
            },
            text: text.to_owned(),
            timestamp: Timestamp(1_700_000_000_007),
            client_message_id: Some("\\".repeat(64)),
            reply_to: Some(Seq(i64::MIN)),
            edited_at: Some(Timestamp(1_700_000_000_007)),
        };
        Event { seq: Seq(i64::MIN), change: Change::Edited(message) }
    }

    #[test]
    fn no_event_is_longer_than_it_is_weighed() {
        for text in ["", "hi", "a\"b\\c\nd\re\tf", "\u{1}\u{1f}\u{7f}", "привет 😀 \u{2028}"]
        {
            let event = event(text);
            let whole = serde_json::to_string(&event).unwrap().len();
            let weighed = json_bytes(&event);
            assert!(whole <= weighed && weighed < whole + 400, "{text:?}: {whole}, {weighed}");
            let alone = serde_json::to_string(text).unwrap().len();
            assert_eq!(spelled_bytes(text) + 2, alone, "{text:?}");
        }
        let (user, change) = (
            UserRef::registered(UserId(1), "😀".repeat(32)).named("\"".repeat(64)),
            MemberChange::Removed,
        );
        let (by, timestamp) = (UserId(i64::MIN), Timestamp(1_700_000_000_007));
        let change = Change::Member { user, change, by, timestamp };
        let event = Event { seq: Seq(i64::MIN), change };
        assert!(serde_json::to_string(&event).unwrap().len() <= json_bytes(&event));
    }

    #[test]
    fn a_range_ends_before_what_does_not_fit_and_has_one_event_at_least() {
        assert_eq!(overflow([(3, 90), (4, 10), (7, 1)].into_iter(), 100), Some(7));
        assert_eq!(overflow([(3, 900), (4, 1)].into_iter(), 100), Some(4));
        assert_eq!(overflow([(3, 900)].into_iter(), 100), None);
        assert_eq!(overflow([].into_iter(), 100), None);
        let range = Range { chat_id: ChatId(1), after: Seq(0) };
        let mut events = vec![event("one"), event("two")];
        (events[0].seq, events[1].seq) = (Seq(5), Seq(9));
        let mut found = RangeFound { events, upto: Seq(20), head: Seq(20) };
        cut(&mut found, 500);
        assert_eq!((found.events.len(), found.upto), (1, Seq(8)), "{range:?}");
    }
}
