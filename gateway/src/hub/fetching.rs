//! Fetches a chat's pages, each once for all readers who resume together. The requests share a lane with the
//! requests of the feeds.

use crate::hub::{
    Hub,
    local_chat::{
        LocalChat,
        pages::{Page, PageAnswer, PageSource},
    },
};
use futures_util::FutureExt;
use protocol::{
    calls::Range,
    id::{ChatId, Seq},
};
use std::sync::{Arc, atomic::Ordering};
use tokio::time::Instant;

/// The maximum number of bytes of pages that all chats together keep: about 200 full pages. Beyond it each reader
/// fetches pages of its own.
const MAX_KEPT_BYTES: usize = 32 << 20;

impl Hub {
    /// The next page for a reader at `after`, fetched once for all readers who wait for it. `None` if the
    /// chat was deleted.
    pub(crate) async fn page(self: &Arc<Self>, chat_id: ChatId, after: Seq) -> PageAnswer {
        // A page for another reader may leave out events that this one needs: then ask a second time, alone.
        for alone in [false, true] {
            let asked = match self.find_page(chat_id, after, alone) {
                PageSource::Page(page) => return Ok(Some(page)),
                PageSource::Wait(asked) => asked,
                PageSource::Nowhere => return self.fetch_page(chat_id, after).await,
            };
            match asked.await {
                Ok(Some(page)) if !page.serves(after) => {}
                answer => return answer,
            }
        }
        self.fetch_page(chat_id, after).await
    }

    fn find_page(self: &Arc<Self>, chat_id: ChatId, after: Seq, alone: bool) -> PageSource {
        let find = |chat: &mut LocalChat| {
            let pages = &mut chat.busy().pages;
            let found = pages.find(after, alone);
            if !matches!(found, PageSource::Nowhere) {
                return found;
            }
            // Shared, so that the fetch ends with its last reader and not with its first.
            let asked = self.fetch_page(chat_id, after).boxed().shared();
            pages.add_request(after, &asked);
            PageSource::Wait(asked)
        };
        self.with_chat(chat_id, find).unwrap_or(PageSource::Nowhere)
    }

    fn fetch_page(
        self: &Arc<Self>,
        chat_id: ChatId,
        after: Seq,
    ) -> impl Future<Output = PageAnswer> + Send + use<> {
        let hub = Arc::clone(self);
        async move {
            let range = Range { chat_id, after };
            let Some(found) = hub.lanes.range(range).await? else { return Ok(None) };
            let page = Arc::new(Page::new(chat_id, after, found));
            hub.with_chat(chat_id, |chat| hub.keep_page(chat, Arc::clone(&page)));
            Ok(Some(page))
        }
    }

    fn keep_page(&self, chat: &mut LocalChat, page: Arc<Page>) {
        let bytes = page.bytes;
        if self.page_bytes.load(Ordering::Relaxed) + bytes > MAX_KEPT_BYTES {
            return;
        }
        let gone = chat.busy().pages.keep(page, Instant::now());
        self.page_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.page_bytes.fetch_sub(gone, Ordering::Relaxed);
    }

    /// Drops a chat's old pages.
    pub(crate) fn forget_pages(&self, chat: &mut LocalChat, now: Instant) {
        if let Some(busy) = chat.if_busy() {
            self.page_bytes.fetch_sub(busy.pages.forget(now), Ordering::Relaxed);
        }
    }
}
