//! Pages of one chat for readers who resume from further back than the replay reaches: which pages are kept,
//! which are being fetched, and which reader each serves. `fetching.rs` fetches them.

use crate::{backend::Unavailable, hub::shared_event::SharedEvent, wire::frame::Frame};
use futures_util::future::{BoxFuture, Shared, WeakShared};
use protocol::{
    calls::RangeFound,
    frames::ChatEvent,
    id::{ChatId, Seq},
    limits::MAX_RANGE_EVENTS,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a page is kept for other readers. Clients that resume together do so within seconds.
const KEPT: Duration = Duration::from_secs(3);

/// The maximum number of kept pages of a chat, so that readers who are ahead and readers who are behind both
/// find theirs. A page has at most 64 KiB of text, as the answer to a range.
const MAX_KEPT: usize = 8;

/// A range of a chat's events, complete for a reader at `after`.
#[derive(Debug)]
pub(crate) struct Page {
    pub after: Seq,
    pub upto: Seq,
    events: Vec<Arc<SharedEvent>>,
    /// All events as one native frame, made once for thousands of clients.
    whole: Frame,
    pub bytes: usize,
}

/// A page, or `None` if the chat was deleted.
pub(crate) type PageAnswer = Result<Option<Arc<Page>>, Unavailable>;

/// A page on its way, for all readers who wait for it.
pub(crate) type PendingPage = Shared<BoxFuture<'static, PageAnswer>>;

/// The pages of one chat.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    kept: VecDeque<(Instant, Arc<Page>)>,
    asked: Vec<(Seq, WeakShared<BoxFuture<'static, PageAnswer>>)>,
}

/// Where a page comes from.
#[derive(Debug)]
pub(crate) enum PageSource {
    Page(Arc<Page>),
    /// Another reader waits for a page that may serve this one too.
    Wait(PendingPage),
    /// There is no page, and nobody waits for a fitting one.
    Nowhere,
}

impl Page {
    pub(crate) fn new(chat_id: ChatId, after: Seq, found: RangeFound) -> Self {
        let share = |event| Arc::new(SharedEvent::new(&ChatEvent { chat_id, event }));
        let events: Vec<_> = found.events.into_iter().map(share).collect();
        let whole = Frame::concat(events.iter().map(|event| event.native()));
        let bytes = whole.size() + events.iter().map(|event| event.bytes()).sum::<usize>();
        Self { after, upto: found.upto, events, whole, bytes }
    }

    /// All events in one frame, for a native client at the beginning of the page.
    pub(crate) fn whole(&self, cursor: Seq) -> Option<&Frame> {
        (cursor == self.after && !self.events.is_empty()).then_some(&self.whole)
    }

    /// Whether this page has the events that a reader at `cursor` needs next. A range omits superseded changes,
    /// which is right for a reader at its start. A reader inside is served only if no event is omitted after
    /// its cursor.
    pub(crate) fn serves(&self, cursor: Seq) -> bool {
        cursor == self.after
            || (self.after < cursor
                && cursor < self.upto
                && self.since(cursor).len() as i64 == self.upto.0 - cursor.0)
    }

    /// The events after a cursor. The page must serve that cursor.
    pub(crate) fn since(&self, cursor: Seq) -> &[Arc<SharedEvent>] {
        let start = self.events.partition_point(|event| event.seq <= cursor);
        &self.events[start..]
    }
}

impl Pages {
    /// Finds a page for a reader at `cursor`. A reader who has waited in vain once asks `alone`, and then waits
    /// only for a page of exactly this cursor.
    pub(crate) fn find(&mut self, cursor: Seq, alone: bool) -> PageSource {
        if let Some((_, page)) = self.kept.iter().find(|(_, page)| page.serves(cursor)) {
            return PageSource::Page(Arc::clone(page));
        }
        // A request is dropped with the last reader that waits for it. Nobody would answer it then.
        self.asked.retain(|(_, asked)| asked.upgrade().is_some());
        let reach = MAX_RANGE_EVENTS as i64;
        let may_do = |after: Seq| {
            after == cursor || (!alone && after < cursor && cursor.0 < after.0 + reach)
        };
        let waiting = self.asked.iter().filter(|(after, _)| may_do(*after));
        match waiting.max_by_key(|(after, _)| *after).and_then(|(_, asked)| asked.upgrade()) {
            Some(asked) => PageSource::Wait(asked),
            None => PageSource::Nowhere,
        }
    }

    /// Remembers a request for as long as a reader waits for its answer.
    pub(crate) fn add_request(&mut self, after: Seq, asked: &PendingPage) {
        if let Some(asked) = asked.downgrade() {
            self.asked.push((after, asked));
        }
    }

    /// Keeps a page for other readers. Returns the bytes of the page that had to make space.
    pub(crate) fn keep(&mut self, page: Arc<Page>, now: Instant) -> usize {
        self.asked.retain(|(after, _)| *after != page.after);
        let gone = if self.kept.len() >= MAX_KEPT { self.kept.pop_front() } else { None };
        self.kept.push_back((now, page));
        gone.map_or(0, |(_, page)| page.bytes)
    }

    /// Drops old pages and returns their bytes.
    pub(crate) fn forget(&mut self, now: Instant) -> usize {
        let mut bytes = 0;
        while let Some((at, page)) = self.kept.front()
            && now - *at >= KEPT
        {
            bytes += page.bytes;
            self.kept.pop_front();
        }
        bytes
    }

    /// Whether no page is kept and no reader waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.asked.iter().all(|(_, asked)| asked.upgrade().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::samples::message_event;
    use protocol::chat::Event;

    /// Events with these numbers, all that there are in `(after, upto]` but for superseded ones.
    fn page(after: i64, seqs: impl IntoIterator<Item = i64>, upto: i64) -> Arc<Page> {
        let event = |seq| Event { seq: Seq(seq), ..message_event().event };
        let events = seqs.into_iter().map(event).collect();
        let (upto, head) = (Seq(upto), Seq(upto));
        Arc::new(Page::new(ChatId(1), Seq(after), RangeFound { events, upto, head }))
    }

    #[test]
    fn a_page_serves_its_start_and_inside_only_where_nothing_was_left_out() {
        let (whole, folded) = (page(10, 11..=20, 20), page(10, [11, 15, 18, 19, 20], 20));
        for (cursor, by_whole, by_folded) in [
            (9, false, false),
            (10, true, true),
            (11, true, false),
            (16, true, false),
            (17, true, true),
            (19, true, true),
            (20, false, false),
            (21, false, false),
        ] {
            assert_eq!(whole.serves(Seq(cursor)), by_whole, "{cursor}");
            assert_eq!(folded.serves(Seq(cursor)), by_folded, "{cursor}");
        }
        let rest: Vec<i64> = folded.since(Seq(18)).iter().map(|event| event.seq.0).collect();
        assert_eq!(rest, [19, 20]);
        assert!(whole.whole(Seq(10)).is_some() && whole.whole(Seq(11)).is_none());
        assert!(page(10, [], 20).whole(Seq(10)).is_none(), "nothing to send");
    }

    #[test]
    fn the_bytes_of_what_goes_are_given_back() {
        let (mut pages, now) = (Pages::default(), Instant::now());
        assert!(pages.is_empty());
        let kept: Vec<Arc<Page>> =
            (0..=MAX_KEPT as i64).map(|at| page(at, [at + 1], at + 1)).collect();
        let (last, first) = kept.split_last().unwrap();
        for page in first {
            assert_eq!(pages.keep(Arc::clone(page), now), 0);
        }
        assert_eq!(pages.keep(Arc::clone(last), now + KEPT), first[0].bytes, "the oldest");
        assert_eq!(pages.forget(now + KEPT / 2), 0);
        let rest: usize = first[1..].iter().map(|page| page.bytes).sum();
        assert_eq!(pages.forget(now + KEPT), rest, "all but the last");
        assert!(matches!(pages.find(last.after, false), PageSource::Page(_)));
        assert!(matches!(pages.find(first[1].after, false), PageSource::Nowhere));
        assert!(!pages.is_empty());
        assert_eq!(pages.forget(now + 2 * KEPT), last.bytes);
        assert!(pages.is_empty());
    }
}
