//! A commit and the news of it, as one step: whoever asked may go away in between, the gateways are
//! told all the same. Nothing else publishes what the database holds. What the bus loses, gateways
//! find by `changed`.

use crate::{
    auth::ended::reason_text,
    db::Tx,
    error::{Error, Result},
    state::Api,
};
use bytes::Bytes;
use platform::telemetry::trace::{self, Kind, Span};
use protocol::{
    chat::Event,
    id::{ChatId, SessionId, UserId},
    relay::{
        Channel, ChatEvents, ChatPayload, ControlPayload, EndReason, EndedSessions, UserPayload,
    },
    relay_head::RunHead,
    time::Timestamp,
};
use tokio::sync::oneshot;

/// What gateways are told once a transaction is committed, in this order.
#[derive(Debug, Default)]
pub(crate) struct News(Vec<NewsItem>);

#[derive(Debug)]
enum NewsItem {
    Chat(ChatId, ChatPayload),
    User(UserId, UserPayload),
    Ended(EndedSessions),
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
            let run = ChatEvents { chat_id, events, published_ms: 0, traceparent: None };
            self.for_chat(chat_id, ChatPayload::Events(run));
        }
    }

    /// Sessions that end, if there are any: their sockets close and their tokens are refused, on
    /// every node.
    pub(crate) fn ended(&mut self, sessions: Vec<SessionId>, reason: EndReason) {
        if !sessions.is_empty() {
            self.0.push(NewsItem::Ended(EndedSessions { sessions, reason }));
        }
    }

    /// The runs of events in it.
    pub(crate) fn into_runs(self) -> Vec<ChatEvents> {
        let run = |item| match item {
            NewsItem::Chat(_, ChatPayload::Events(run)) => Some(run),
            _ => None,
        };
        self.0.into_iter().filter_map(run).collect()
    }

    fn tell(&mut self, api: &Api) {
        for item in &mut self.0 {
            match item {
                NewsItem::Chat(chat, payload) => {
                    let channel = Channel::Chat(*chat);
                    if let ChatPayload::Events(run) = payload {
                        run.published_ms = Timestamp::now().0;
                        run.traceparent = trace::current();
                        send(api, channel, RunHead::encode(run));
                    } else {
                        send(api, channel, serde_json::to_vec(payload));
                    }
                }
                NewsItem::User(user, payload) => {
                    send(api, Channel::User(*user), serde_json::to_vec(payload))
                }
                NewsItem::Ended(EndedSessions { sessions, reason }) => {
                    api.ended.add(sessions, *reason);
                    metrics::counter!("sessions_ended_total", "reason" => reason_text(*reason))
                        .increment(sessions.len() as u64);
                    let ended = EndedSessions { sessions: sessions.clone(), reason: *reason };
                    let payload = serde_json::to_vec(&ControlPayload::Ended(ended));
                    send(api, Channel::Control, payload);
                }
            }
        }
    }
}

/// Commits, then publishes, as [`commit_by`] does. Returns what was published.
pub(crate) async fn commit(api: &Api, tx: Tx, news: News) -> Result<News> {
    let committed = commit_by(api, async move {
        tx.commit().await?;
        Ok(((), news))
    });
    Ok(committed.await?.1)
}

/// Carries out what commits, then publishes: on a task of its own, because a commit that hangs, on a disk or
/// a standby that does not answer, outlives whoever waits for it. Returns what came of it and what was
/// published. An error leaves it open whether it is committed; if it is, gateways find it by `changed`.
pub(crate) async fn commit_by<T: Send + 'static>(
    api: &Api,
    work: impl Future<Output = Result<(T, News)>> + Send + 'static,
) -> Result<(T, News)> {
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
    over.await.map_err(|_| Error::unavailable())?
}

/// Publishes what is committed already. Returns what was published.
pub(crate) fn publish(api: &Api, mut news: News) -> News {
    if !news.0.is_empty() {
        Span::child("publish", Kind::Producer).enter(|| news.tell(api));
    }
    news
}

fn send(api: &Api, channel: Channel, payload: serde_json::Result<Vec<u8>>) {
    match payload {
        Ok(bytes) => api.bus.publish(channel, Bytes::from(bytes)),
        Err(error) => tracing::error!(%error, %channel, "cannot encode what to publish"),
    }
}
