//! What ordinary accounts can do over REST, as fast as they are answered. They wait for nothing: a refusal
//! is followed by the next request.

use crate::siege::Siege;
use anyhow::Result;
use loadtest::rest::{Rest, RestError};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::sleep};

/// Requests of one account at once.
const READS: usize = 40;
const POSTS: usize = 8;
const GROUPS: usize = 8;
/// Before the next request after one that had no answer.
const AGAIN: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// Deep pages and the longest lists that there are.
    Reads,
    /// Messages into a room.
    Posts,
    /// Groups with somebody in them who never asked for it.
    Groups,
    Everything,
}

impl Abuse {
    pub const ALL: [Self; 4] = [Self::Reads, Self::Posts, Self::Groups, Self::Everything];

    pub fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Posts => "posts",
            Self::Groups => "groups",
            Self::Everything => "everything",
        }
    }
}

/// The accounts, and what they have to attack with.
#[derive(Clone)]
pub struct Abusers {
    /// Of the apis, which they take in turn.
    pub urls: Vec<String>,
    pub tokens: Vec<String>,
    /// A room with so many messages.
    pub deep: i64,
    pub depth: i64,
    /// A room to write in.
    pub square: i64,
    /// Whom they put into groups.
    pub victim: i64,
    pub done: Arc<Answers>,
}

/// What all of them were answered.
#[derive(Debug, Default)]
pub struct Answers {
    done: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Answers {
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// 429 and other refusals.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// 503, or no answer.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl Abusers {
    /// All of them at work.
    pub fn lay_siege(self, abuse: Abuse) -> Result<Siege> {
        let rests: Result<Vec<Rest>, RestError> =
            self.urls.iter().map(|url| Rest::new(url)).collect();
        let rests = rests?;
        Ok(Siege::lay(move |tasks| {
            let all = Rc::new(self);
            for (account, rest) in (0..all.tokens.len()).zip(rests.iter().cycle()) {
                for (of, count) in
                    [(Abuse::Reads, READS), (Abuse::Posts, POSTS), (Abuse::Groups, GROUPS)]
                {
                    if abuse == of || abuse == Abuse::Everything {
                        all.begin(tasks, rest, account, of, count);
                    }
                }
            }
        }))
    }

    fn begin(
        self: &Rc<Self>,
        tasks: &mut JoinSet<()>,
        rest: &Rest,
        account: usize,
        abuse: Abuse,
        count: usize,
    ) {
        for number in 0..count {
            let (all, rest) = (Rc::clone(self), rest.clone());
            tasks.spawn_local(async move {
                for turn in number.. {
                    all.once(&rest, &all.tokens[account], abuse, turn).await;
                }
            });
        }
    }

    async fn once(&self, rest: &Rest, token: &str, abuse: Abuse, turn: usize) {
        let token = Some(token);
        let post =
            async |path: &str, body: Value| rest.post::<IgnoredAny>(path, token, &body).await;
        let answer = match abuse {
            Abuse::Posts => {
                let path = format!("/chats/{}/messages", self.square);
                post(&path, json!({ "text": "x".repeat(128) })).await
            }
            Abuse::Groups => {
                post("/chats", json!({ "chat_type": "group", "member_ids": [self.victim] })).await
            }
            Abuse::Reads | Abuse::Everything => {
                let (deep, end) = (self.deep, self.depth - 10);
                let page = format!("/history/{deep}?limit=1&offset={end}");
                let others = ["/getallmessages", "/chats", "/rooms?limit=500", "/users?limit=100"];
                // Every other one is a deep page.
                let path = if turn.is_multiple_of(2) { &page } else { others[turn / 2 % 4] };
                rest.get::<IgnoredAny>(path, token).await
            }
        };
        let counter = match &answer {
            Ok(_) => &self.done.done,
            Err(RestError::Refused { .. }) => &self.done.refused,
            Err(RestError::Later { status, .. }) if status.as_u16() == 429 => &self.done.refused,
            Err(_) => &self.done.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if matches!(answer, Err(RestError::Failed { .. })) {
            sleep(AGAIN).await;
        }
    }
}
