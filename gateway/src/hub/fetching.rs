//! Fetches a chat's pages, each once for all readers who resume together. The requests use the same lane as
//! those of the feeds.

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

/// The most bytes of pages that all chats together keep; beyond, each asks for itself.
const MAX_KEPT_BYTES: usize = 32 << 20;

impl Hub {
    /// The page that a reader at `after` missed, fetched once for all readers who wait for it;
    /// `None` if the chat was deleted.
    pub(crate) async fn page(self: &Arc<Self>, chat_id: ChatId, after: Seq) -> PageAnswer {
        // A page that somebody else asked for may leave out what this reader needs.
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

    /// Lets a chat's old pages go.
    pub(crate) fn forget_pages(&self, chat: &mut LocalChat, now: Instant) {
        if let Some(busy) = chat.if_busy() {
            self.page_bytes.fetch_sub(busy.pages.forget(now), Ordering::Relaxed);
        }
    }
}
