//! The hub's requests to the api, each kind in its own lane: ranges of events, chats as users may watch them, chats
//! to mark as dormant.

use crate::{
    backend::{
        Backend, Unavailable,
        lane::{Lane, LaneFull, OnAnswer, ask},
        request_result::{RequestResult, on_result},
    },
    config::LaneConfig,
};
use futures_util::TryFutureExt;
use platform::lifecycle::Lifecycle;
use protocol::{
    calls::{Dormant, Events, Range, RangeFound, UserChat, View},
    chat::ChatView,
    refusal::Refusal,
};
use std::sync::Arc;

/// The lanes of the hub.
pub(crate) struct HubLanes {
    events: Lane<Range, Option<RangeFound>>,
    views: Lane<UserChat, Result<ChatView, Refusal>>,
    dormant: Lane<UserChat, bool>,
}

impl HubLanes {
    pub(crate) fn start(
        backend: &Arc<dyn Backend>,
        config: LaneConfig,
        lifecycle: &Lifecycle,
    ) -> Self {
        let events =
            ask(backend, |api, ranges| api.events(Events { ranges }).map_ok(|found| found.ranges));
        let views =
            ask(backend, |api, chats| api.view(View { chats }).map_ok(|viewed| viewed.chats));
        let dormant = ask(backend, |api, chats| {
            api.dormant(Dormant { chats }).map_ok(|marked| marked.members)
        });
        Self {
            dormant: Lane::start("dormant", config, dormant, lifecycle),
            events: Lane::start("events", config, events, lifecycle),
            views: Lane::start("view", config, views, lifecycle),
        }
    }

    /// Requests the events of a range. `done` gets them, or `None` if the chat was deleted.
    pub(crate) fn request_range(
        &self,
        range: Range,
        done: OnAnswer<Option<RangeFound>>,
    ) -> Result<(), LaneFull> {
        self.events.submit(range, done)
    }

    /// The events of a range; `None` if the chat was deleted.
    pub(crate) async fn range(&self, range: Range) -> Result<Option<RangeFound>, Unavailable> {
        self.events.request(range).await
    }

    /// Requests a chat as this user may watch it. `done` gets the result.
    pub(crate) fn request_view(
        &self,
        chat: UserChat,
        done: impl FnOnce(RequestResult<ChatView>) + Send + 'static,
    ) -> Result<(), LaneFull> {
        self.views.submit(chat, on_result(done))
    }

    /// A chat as this user may watch it.
    pub(crate) async fn view(&self, chat: UserChat) -> RequestResult<ChatView> {
        Ok(self.views.request(chat).await??)
    }

    /// Has the api wake the user when the chat gets a message. `false` if the user is not a member of it.
    pub(crate) async fn mark_dormant(&self, chat: UserChat) -> Result<bool, Unavailable> {
        self.dormant.request(chat).await
    }
}
