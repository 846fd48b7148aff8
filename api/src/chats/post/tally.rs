//! What a batch changes in the statistics of one chat. Pure; only chats with a row in `statistics`
//! have a tally.

use crate::chats::stretches::STRETCH;
use protocol::{chat::Message, id::UserId, time::Timestamp};
use std::collections::BTreeMap;

/// Days begin at midnight UTC, so the number of a day is a division.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// More (or fewer, when negative) of everything that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tally {
    /// The day of the batch, in days since 1970, UTC.
    pub day: i64,
    /// Messages made on that day.
    pub of_day: i64,
    /// Characters of all messages together.
    pub chars: i64,
    /// Messages of each sender.
    pub senders: BTreeMap<UserId, i64>,
    /// Messages of each [`STRETCH`] of ids.
    pub stretches: BTreeMap<i64, i64>,
}

impl Tally {
    /// Of a batch at this time: nothing yet.
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            day: day(now),
            of_day: 0,
            chars: 0,
            senders: BTreeMap::new(),
            stretches: BTreeMap::new(),
        }
    }

    pub(super) fn add_message(&mut self, message: &Message) {
        self.count(message, 1);
    }

    pub(super) fn change_text(&mut self, before: &str, after: &str) {
        self.chars += chars(after) - chars(before);
    }

    /// `message` still has its text.
    pub(super) fn remove_message(&mut self, message: &Message) {
        self.count(message, -1);
    }

    fn count(&mut self, message: &Message, by: i64) {
        self.chars += by * chars(&message.text);
        *self.senders.entry(message.sender.id).or_default() += by;
        *self.stretches.entry(message.id.0 / STRETCH).or_default() += by;
        if day(message.timestamp) == self.day {
            self.of_day += by;
        }
    }

    /// How many senders more have at least one message, by each one's count after the batch.
    pub(super) fn senders_more(&self, after: impl IntoIterator<Item = (UserId, i64)>) -> i64 {
        let more = |(user, after): (UserId, i64)| {
            let before = after - self.senders.get(&user).copied().unwrap_or_default();
            i64::from(after > 0) - i64::from(before > 0)
        };
        after.into_iter().map(more).sum()
    }
}

fn day(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS)
}

/// As both databases' `length` counts them.
fn chars(text: &str) -> i64 {
    text.chars().count() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{chat::UserRef, id::Seq};

    const NOW: Timestamp = Timestamp(20_000 * DAY_MS + 5);

    fn message(sender: i64, text: &str, timestamp: Timestamp) -> Message {
        Message {
            id: Seq(1),
            sender: UserRef::registered(UserId(sender), "ann"),
            text: text.to_owned(),
            timestamp,
            client_message_id: None,
            reply_to: None,
            edited_at: None,
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let mut tally = Tally::new(NOW);
        tally.add_message(&message(1, "привет", NOW));
        tally.change_text("привет", "😀");
        assert_eq!((tally.chars, tally.of_day), (1, 1));
    }

    #[test]
    fn a_message_counts_for_its_own_day() {
        let mut tally = Tally::new(NOW);
        tally.remove_message(&message(1, "late", Timestamp(20_000 * DAY_MS - 1)));
        assert_eq!((tally.chars, tally.of_day), (-4, 0));
        tally.remove_message(&message(1, "early", Timestamp(20_000 * DAY_MS)));
        assert_eq!((tally.chars, tally.of_day), (-9, -1));
    }

    #[test]
    fn senders_come_with_their_first_message_and_go_with_their_last() {
        let mut tally = Tally::new(NOW);
        let changes = [(1, 2), (2, 1), (3, -1), (4, -2), (5, 0)];
        tally.senders = changes.map(|(user, by)| (UserId(user), by)).into();
        let after = [(1, 2), (2, 7), (3, 0), (4, 1), (5, 0)];
        let after = after.map(|(user, count)| (UserId(user), count));
        assert_eq!(tally.senders_more(after), 0, "one came, one went");
        assert_eq!(tally.senders_more([after[0], after[4]]), 1);
        assert_eq!(tally.senders_more([after[2]]), -1);
    }
}
