//! Read replicas: whatever state they are in, answers are the primary's; and one that is fresh gives them.

use crate::harness::{T, actor, delete, edit};
use api::{
    chats::{
        membership,
        messages::{self, MessagesPage},
    },
    db::DbConfig,
    internal,
};
use cluster::Postgres;
use platform::settings::Secret;
use protocol::{
    calls::{Events, Range, RangeFound},
    chat::Message,
    id::{ChatId, Seq, UserId},
};
use std::time::{Duration, Instant};

/// A primary and a replica.
struct Pair {
    primary: Postgres,
    replica: Postgres,
    /// Without the replica.
    plain: T,
    t: T,
    /// Whose user may not read messages on the primary: what it reads of them is the replica's.
    blind: T,
    ann: UserId,
    bob: UserId,
    /// With thirty messages, of which some were changed.
    chat: ChatId,
    quiet: ChatId,
}

type Answers = (Vec<Option<RangeFound>>, Vec<Vec<Message>>);

impl Pair {
    async fn start() -> Self {
        let primary = Postgres::start().await.unwrap();
        let database = primary.create_database().await;
        let replica = primary.standby().await.unwrap();
        let (url, replicas) = (database.url(), replica.url(database.name()));
        let config = DbConfig { replicas: Some(Secret::new(replicas)), ..DbConfig::default() };
        let plain = T::at(url).await;
        let rights = "CREATE ROLE blind LOGIN;
            GRANT CREATE ON SCHEMA public TO blind;
            GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA public TO blind;
            REVOKE ALL ON messages FROM blind";
        plain.sql(rights.to_owned()).await;
        let t = T::with(url, &config).await;
        let blind = T::with(&url.replace("postgres@", "blind@"), &config).await;
        let [ann, bob] = plain.users(["ann", "bob"]).await;
        let chat = plain.group(ann, &[bob]).await;
        let quiet = plain.group(ann, &[bob]).await;
        plain.say(ann, quiet, "hello").await;
        for n in 0..30 {
            plain.say(ann, chat, &format!("hello {n}")).await;
        }
        plain.one(edit(ann, chat, Seq(5), "edited")).await.unwrap();
        plain.one(delete(ann, chat, Seq(7))).await.unwrap();
        Self { primary, replica, plain, t, blind, ann, bob, chat, quiet }
    }

    /// Until the replica answers for the chat.
    async fn replica_answers(&self, chat: ChatId) {
        let begun = Instant::now();
        while !self.is_answered_by_replica(chat).await {
            assert!(begun.elapsed() < Duration::from_secs(30), "the replica does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_answered_by_replica(&self, chat: ChatId) -> bool {
        let page = MessagesPage { limit: 5, ..Default::default() };
        messages::list(&self.blind.api, self.ann, chat, page).await.is_ok()
    }

    /// What the api with the replica answers is what the one without it does.
    async fn answers_are_the_primarys(&self) {
        let chats = [self.chat, self.quiet];
        assert_eq!(
            answers(&self.t, self.ann, chats).await,
            answers(&self.plain, self.ann, chats).await
        );
    }
}

async fn answers(t: &T, user: UserId, chats: [ChatId; 2]) -> Answers {
    let range = |chat_id| [0, 4, 20, 999].map(|after| Range { chat_id, after: Seq(after) });
    let ranges = chats.into_iter().flat_map(range).collect();
    let ranges = internal::events(&t.api, Events { ranges }).await.unwrap().ranges;
    let mut pages = Vec::new();
    for chat in chats {
        let page = |after, before, around| MessagesPage { after, before, around, limit: 10 };
        for page in [
            page(None, None, None),
            page(Some(Seq(3)), None, None),
            page(None, Some(Seq(9)), None),
            page(None, None, Some(Seq(6))),
        ] {
            pages.push(messages::list(&t.api, user, chat, page).await.unwrap());
        }
    }
    (ranges, pages)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_replica_answers_and_an_old_one_does_not() {
    let pair = Pair::start().await;
    pair.replica_answers(pair.chat).await;
    pair.answers_are_the_primarys().await;
    assert_eq!(answers(&pair.blind, pair.ann, [pair.chat, pair.quiet]).await.1.len(), 8);

    // Commits do not wait for what the replica shows.
    pair.replica.sql("SELECT pg_wal_replay_pause()").await.unwrap();
    pair.plain.say(pair.bob, pair.chat, "news").await;
    assert!(!pair.is_answered_by_replica(pair.chat).await, "its chat is old");
    assert!(pair.is_answered_by_replica(pair.quiet).await, "and the other one is not");
    pair.answers_are_the_primarys().await;
    // A name is in no chat's numbers.
    pair.plain.sql("UPDATE users SET name = 'Annie' WHERE username = 'ann'".to_owned()).await;
    assert!(!pair.is_answered_by_replica(pair.quiet).await);
    pair.answers_are_the_primarys().await;
    // Who was removed reads nothing more, wherever that is not known yet.
    membership::remove(&pair.plain.api, actor(pair.ann), pair.quiet, pair.bob).await.unwrap();
    let refused = messages::list(&pair.t.api, pair.bob, pair.quiet, Default::default()).await;
    assert!(refused.is_err());

    pair.replica.sql("SELECT pg_wal_replay_resume()").await.unwrap();
    for chat in [pair.chat, pair.quiet] {
        pair.replica_answers(chat).await;
    }
    pair.answers_are_the_primarys().await;

    // Numbers of another epoch prove nothing.
    pair.replica.sql("SELECT pg_wal_replay_pause()").await.unwrap();
    pair.plain.sql("UPDATE meta SET value = 'another' WHERE key = 'epoch'".to_owned()).await;
    assert!(!pair.is_answered_by_replica(pair.quiet).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_ten_seconds_behind_makes_no_answer_old() {
    let pair = Pair::start().await;
    pair.replica_answers(pair.chat).await;
    pair.replica.sql("ALTER SYSTEM SET recovery_min_apply_delay = '10s'").await.unwrap();
    // From its start on, so that nothing is shown early.
    pair.replica.restart().await.unwrap();
    for n in 0..3 {
        pair.plain.say(pair.ann, pair.chat, &format!("more {n}")).await;
        pair.plain.one(edit(pair.ann, pair.chat, Seq(9), &format!("edited {n}"))).await.unwrap();
        pair.answers_are_the_primarys().await;
        assert!(!pair.is_answered_by_replica(pair.chat).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_hangs_or_is_gone_costs_one_try() {
    let pair = Pair::start().await;
    pair.replica_answers(pair.chat).await;
    // Nothing is written from here on, so no commit waits for the replica.
    pair.replica.process().pause();
    let begun = Instant::now();
    pair.answers_are_the_primarys().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    // Others do not notice that it is away.
    let page = || {
        messages::list(
            &pair.t.api,
            pair.ann,
            pair.chat,
            MessagesPage { limit: 5, ..Default::default() },
        )
    };
    let begun = Instant::now();
    for _ in 0..20 {
        page().await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    pair.replica.process().resume();
    pair.replica_answers(pair.chat).await;

    pair.replica.kill().await.unwrap();
    pair.answers_are_the_primarys().await;
    assert!(!pair.is_answered_by_replica(pair.chat).await);
    pair.primary.sql("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    pair.primary.sql("SELECT pg_reload_conf()").await.unwrap();
    // It is not the primary that failed.
    pair.t.say(pair.ann, pair.chat, "still here").await;
    pair.answers_are_the_primarys().await;
    pair.replica.restart().await.unwrap();
    pair.replica_answers(pair.chat).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_was_promoted_does_not_follow_any_more() {
    let pair = Pair::start().await;
    pair.replica_answers(pair.chat).await;
    pair.replica.promote().await.unwrap();
    pair.primary.sql("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    pair.primary.sql("SELECT pg_reload_conf()").await.unwrap();
    pair.plain.say(pair.ann, pair.chat, "only here").await;
    pair.answers_are_the_primarys().await;
    assert!(!pair.is_answered_by_replica(pair.chat).await);
}
