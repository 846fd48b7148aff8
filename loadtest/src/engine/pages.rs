//! Reads pages of history during the load, as people do who open a chat. It ignores their contents: the
//! database is checked at the end.

use crate::{
    client::TestAccount,
    measure::{Count, Op},
    recorder::Shard,
    rest::{Rest, RestError},
};
use platform::lifecycle::Lifecycle;
use protocol::id::ChatId;
use serde::de::IgnoredAny;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::Instant};

/// A token that expires within this time is renewed before it is shown.
const MARGIN: Duration = Duration::from_secs(30);

/// How long requests may still take when the run has ended.
const GRACE: Duration = Duration::from_secs(5);

/// The readers of pages.
pub(super) struct HistoryPages {
    rest: Rest,
    shard: Shard,
    room: Arc<Semaphore>,
    tasks: Lifecycle,
}

impl HistoryPages {
    /// At most so many requests at once.
    pub(super) fn new(rest: Rest, shard: Shard, at_once: usize) -> Self {
        Self { rest, shard, room: Arc::new(Semaphore::new(at_once)), tasks: Lifecycle::new() }
    }

    /// Reads the chat's newest 50 messages. Skipped when too many requests are on their way.
    pub(super) fn read(&self, account: Arc<TestAccount>, chat: ChatId, due: Instant) {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return self.shard.lock().count(Count::Skipped, 1);
        };
        let (rest, shard) = (self.rest.clone(), self.shard.clone());
        self.tasks.spawn(async move {
            let answer = page(&rest, &account, chat).await;
            drop(permit);
            let mut tally = shard.lock();
            match answer {
                Ok(()) => {
                    tally.count(Count::Pages, 1);
                    let micros = due.elapsed().as_micros();
                    tally.time(Op::History, u64::try_from(micros).unwrap_or(u64::MAX));
                }
                Err(kind) => tally.error(&kind),
            }
        });
    }

    /// Waits for what is on its way.
    pub(super) async fn finish(self) {
        self.tasks.stop();
        self.tasks.finish(GRACE).await;
    }
}

async fn page(rest: &Rest, account: &TestAccount, chat: ChatId) -> Result<(), String> {
    let mut pass = account.pass().await;
    if pass.expires < Instant::now() + MARGIN {
        pass = account.renewed(pass.number, rest).await.map_err(|error| error.kind())?;
    }
    let path = format!("/chats/{chat}/messages?limit=50");
    let answer = rest.get::<IgnoredAny>(&path, Some(pass.token.reveal())).await;
    answer.map(drop).map_err(|error| match error {
        RestError::Refused { code, .. } => format!("history: {code}"),
        RestError::Later { status, .. } => format!("history: {}", status.as_u16()),
        RestError::Url(_) | RestError::Trust { .. } | RestError::Failed { .. } => {
            "history: no answer".to_owned()
        }
    })
}
