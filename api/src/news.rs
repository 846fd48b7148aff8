//! A commit and the news of it, as one step: whoever asked may go away in between, the gateways are
//! told all the same. Nothing else publishes what the database holds. What the bus loses, gateways
//! find by `changed`.

use crate::{
    auth::ended::reason_text,
    conflict,
    db::Tx,
    error::{Error, Result},
    state::Api,
};
use platform::telemetry::trace::{self, Kind, Span};
use protocol::{
    chat::Event,
    encoded_run::EncodedRun,
    id::{ChatId, SessionId, UserId},
    orders::OrderPayload,
    relay::{
        Channel, ChatEvents, ChatPayload, ControlPayload, EndReason, EndedSessions, UserPayload,
    },
    time::Timestamp,
};
use serde::Serialize;
use tokio::sync::oneshot;

/// What gateways are told once a transaction is committed, in this order.
#[derive(Debug, Default)]
pub(crate) struct News(Vec<NewsItem>);

#[derive(Debug)]
enum NewsItem {
    Run(ChatId, Vec<Event>),
    Chat(ChatId, ChatPayload),
    User(UserId, UserPayload),
    Ended(EndedSessions),
    Order(OrderPayload),
}

impl News {
    /// For every gateway with somebody in the chat.
    pub(crate) fn for_chat(&mut self, chat: ChatId, payload: ChatPayload) {
        self.0.push(NewsItem::Chat(chat, payload));
    }

    /// For every gateway with a connection of the user.
    pub(crate) fn for_user(&mut self, user: UserId, payload: UserPayload) {
        self.0.push(NewsItem::User(user, payload));
    }

    /// A run of events, if there are any.
    pub(crate) fn events(&mut self, chat_id: ChatId, events: Vec<Event>) {
        if !events.is_empty() {
            self.0.push(NewsItem::Run(chat_id, events));
        }
    }

    /// Sessions that end, if there are any: their sockets close and their tokens are refused, on
    /// every node.
    pub(crate) fn ended(&mut self, sessions: Vec<SessionId>, reason: EndReason) {
        if !sessions.is_empty() {
            self.0.push(NewsItem::Ended(EndedSessions { sessions, reason }));
        }
    }

    /// For every gateway: what an administrator wants of it.
    pub(crate) fn order(&mut self, order: OrderPayload) {
        self.0.push(NewsItem::Order(order));
    }

    /// Tells it. Returns the runs of events, as they were published.
    fn tell(self, api: &Api) -> Vec<EncodedRun> {
        let mut runs = Vec::new();
        for item in self.0 {
            match item {
                NewsItem::Run(chat_id, events) => {
                    let (published_ms, traceparent) = (Timestamp::now().0, trace::current());
                    let run = ChatEvents { chat_id, events, published_ms, traceparent };
                    let channel = Channel::Chat(chat_id);
                    if let Some(run) = encoded(channel, EncodedRun::of(&run)) {
                        api.bus.publish(channel, run.payload().clone());
                        runs.push(run);
                    }
                }
                NewsItem::Chat(chat, payload) => send(api, Channel::Chat(chat), &payload),
                NewsItem::User(user, payload) => send(api, Channel::User(user), &payload),
                NewsItem::Order(order) => send(api, Channel::Orders, &order),
                NewsItem::Ended(ended) => {
                    let EndedSessions { sessions, reason } = &ended;
                    api.ended.add(sessions, *reason);
                    metrics::counter!("sessions_ended_total", "reason" => reason_text(*reason))
                        .increment(sessions.len() as u64);
                    send(api, Channel::Control, &ControlPayload::Ended(ended));
                }
            }
        }
        runs
    }
}

/// Commits, then publishes, as [`commit_by`] does. Returns the runs of events that were published.
pub(crate) async fn commit(api: &Api, tx: Tx, news: News) -> Result<Vec<EncodedRun>> {
    let committed = commit_by(api, async move {
        tx.commit().await?;
        Ok(((), news))
    });
    Ok(committed.await?.1)
}

/// Carries out what commits, then publishes: on a task of its own, because a commit that hangs, on a disk or
/// a standby that does not answer, outlives whoever waits for it. Returns what came of it and the runs of events that
/// were published. An error leaves it open whether it is committed; if it is, gateways find it by `changed`.
pub(crate) async fn commit_by<T: Send + 'static>(
    api: &Api,
    work: impl Future<Output = Result<(T, News)>> + Send + 'static,
) -> Result<(T, Vec<EncodedRun>)> {
    let (done, over) = oneshot::channel();
    let (here, this) = (trace::current(), api.clone());
    api.lifecycle.spawn(async move {
        let committed = work.await;
        let published = committed
            .map(|(outcome, news)| (outcome, trace::within(here, || publish(&this, news))));
        // Whoever asked may have gone meanwhile.
        let _ = done.send(published);
    });
    // Nobody answers when the process is stopped hard.
    let committed = over.await.map_err(|_| Error::unavailable())?;
    if committed.is_ok() {
        conflict::note_commit();
    }
    committed
}

/// Publishes what is committed already. Returns the runs of events.
pub(crate) fn publish(api: &Api, news: News) -> Vec<EncodedRun> {
    if news.0.is_empty() {
        return Vec::new();
    }
    Span::child("publish", Kind::Producer).enter(|| news.tell(api))
}

fn send(api: &Api, channel: Channel, payload: &impl Serialize) {
    if let Some(bytes) = encoded(channel, serde_json::to_vec(payload)) {
        api.bus.publish(channel, bytes.into());
    }
}

fn encoded<T>(channel: Channel, payload: serde_json::Result<T>) -> Option<T> {
    payload
        .inspect_err(|error| tracing::error!(%error, %channel, "cannot encode what to publish"))
        .ok()
}
