//! Chats on two PostgreSQL servers that both take writes: each chat is where its bucket says, and nothing that it needs is
//! elsewhere. People's home is the first one; the second one has a copy of `users`, which PostgreSQL keeps up to date
//! by itself. What looks for a chat's server here is the test: a lane for each, as gateways' lanes are.

use crate::harness::{Place, T, actor, reply, send};
use api::{
    chats::{
        lists, membership,
        messages::{self, MessagesPage},
    },
    internal,
};
use cluster::Postgres;
use platform::problem::Problem;
use protocol::{
    bucket::ChatBucket,
    calls::Post,
    chat::{Change, ChatType},
    code::Code,
    command::Command,
    id::{ChatId, Seq, UserId},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use tokio::time::{Instant, sleep};

const SERVERS: usize = 2;

/// A patient test's patience.
const LONG: Duration = Duration::from_secs(60);

struct TwoServers {
    servers: [Postgres; SERVERS],
    apis: [T; SERVERS],
}

impl TwoServers {
    async fn start() -> Self {
        let (home, other) = tokio::join!(async { Postgres::start().await.unwrap() }, async {
            Postgres::start().await.unwrap()
        });
        home.sql("ALTER SYSTEM SET wal_level = 'logical'").await.unwrap();
        home.stop().await.unwrap();
        home.restart().await.unwrap();
        let databases = [home.create_database().await, other.create_database().await];
        let database = databases[0].name().to_owned();
        let [here, there] = databases.map(Place::Postgres);
        let apis = [T::on(here).await, T::on(there).await];
        apis[0].sql("CREATE PUBLICATION people FOR TABLE users".to_owned()).await;
        let from = format!("host=127.0.0.1 port={} user=postgres dbname={database}", home.port());
        apis[1]
            .sql(format!("CREATE SUBSCRIPTION people CONNECTION '{from}' PUBLICATION people"))
            .await;
        // A server makes chats in the buckets that it has.
        for (server, api) in apis.iter().enumerate() {
            let own = format!(
                "CREATE OR REPLACE FUNCTION next_chat_id(bucket BIGINT) RETURNS BIGINT LANGUAGE sql AS
                    'SELECT nextval(''chat_numbers'') * 4096 + bucket / {SERVERS} * {SERVERS} + {server}'"
            );
            api.sql(own).await;
        }
        Self { servers: [home, other], apis }
    }

    fn of(&self, chat: ChatId) -> &T {
        &self.apis[ChatBucket::of(chat).group(SERVERS)]
    }

    /// Accounts, once they are everywhere.
    async fn users<const N: usize>(&self, names: [&str; N]) -> [UserId; N] {
        let users = self.apis[0].users(names).await;
        let count = "SELECT count(*) FROM users".to_owned();
        let there = self.apis[0].number(count.clone()).await;
        until(async || self.apis[1].number(count.clone()).await == there).await;
        users
    }

    /// The private chat of two, where it belongs.
    async fn private(&self, one: UserId, other: UserId) -> ChatId {
        let t = &self.apis[ChatBucket::of_pair(one, other).group(SERVERS)];
        t.try_create(one, ChatType::Private, &[other]).await.unwrap()
    }
}

async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < LONG, "what is waited for does not come");
        sleep(Duration::from_millis(10)).await;
    }
}

/// What a lane has been told is stored.
#[derive(Default)]
struct PostingLane {
    acknowledged: AtomicUsize,
    stop: AtomicBool,
}

impl PostingLane {
    /// Posts to these chats, all of one server, batch after batch, each until it is acknowledged: by chat and key, the
    /// message's number. How many calls failed.
    async fn run(
        &self,
        t: &T,
        sender: UserId,
        chats: &[ChatId],
    ) -> (BTreeMap<(ChatId, String), Seq>, usize) {
        let (mut stored, mut failed) = (BTreeMap::new(), 0);
        for round in 0.. {
            let command = |chat: &ChatId| {
                let first = stored.get(&(*chat, "k0".to_owned())).copied();
                let answered = first.filter(|_| round % 5 == 4);
                reply(sender, *chat, &format!("k{round}"), "under way", answered)
            };
            let commands: Vec<Command> = chats.iter().map(command).collect();
            let posted = loop {
                match internal::post(&t.api, Post::patient(commands.clone())).await {
                    Ok(posted) => break posted,
                    Err(error) => {
                        assert_eq!(Problem::from(error).status.as_u16(), 503);
                        failed += 1;
                        sleep(Duration::from_millis(20)).await;
                    }
                }
            };
            for (chat, result) in chats.iter().zip(posted.results) {
                stored.insert((*chat, format!("k{round}")), result.unwrap().message_id);
            }
            self.acknowledged.fetch_add(chats.len(), Ordering::Relaxed);
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        (stored, failed)
    }

    async fn until_more(&self, more: usize) {
        let wanted = self.acknowledged.load(Ordering::Relaxed) + more;
        until(async || self.acknowledged.load(Ordering::Relaxed) >= wanted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chats_live_on_two_servers_and_one_is_killed_under_load() {
    let all = TwoServers::start().await;
    let [ann, bob, cid, dan] = all.users(["ann", "bob", "cid", "dan"]).await;
    let mut chats: [Vec<ChatId>; SERVERS] = Default::default();
    for (server, t) in all.apis.iter().enumerate() {
        for _ in 0..3 {
            chats[server].push(t.group(ann, &[]).await);
        }
        membership::add(&t.api, actor(ann), chats[server][0], &[dan]).await.unwrap();
        chats[server].push(t.room(ann).await);
    }
    for other in [bob, cid, dan] {
        let chat = all.private(ann, other).await;
        chats[ChatBucket::of(chat).group(SERVERS)].push(chat);
    }
    let everywhere: BTreeSet<ChatId> = chats.iter().flatten().copied().collect();
    assert_eq!(everywhere.len(), 2 * 4 + 3, "no id is given twice");
    for (server, chats) in chats.iter().enumerate() {
        assert!(chats.iter().all(|chat| ChatBucket::of(*chat).group(SERVERS) == server));
    }

    let lanes = [PostingLane::default(), PostingLane::default()];
    let traffic = async {
        lanes[0].until_more(50).await;
        lanes[1].until_more(50).await;
        all.servers[1].kill().await.unwrap();
        // The other server's chats go on.
        lanes[0].until_more(100).await;
        all.servers[1].restart().await.unwrap();
        lanes[1].until_more(100).await;
        lanes.iter().for_each(|lane| lane.stop.store(true, Ordering::Relaxed));
    };
    let (first, second, ()) = tokio::join!(
        lanes[0].run(&all.apis[0], ann, &chats[0]),
        lanes[1].run(&all.apis[1], ann, &chats[1]),
        traffic
    );
    assert_eq!(first.1, 0, "nobody here noticed");
    assert!(second.1 > 0, "it was away");

    // All that was acknowledged is there, once, without holes; whoever comes back finds it.
    let mut acknowledged: BTreeMap<ChatId, HashMap<String, Seq>> = BTreeMap::new();
    for ((chat, key), seq) in first.0.into_iter().chain(second.0) {
        acknowledged.entry(chat).or_default().insert(key, seq);
    }
    for (chat, mut keys) in acknowledged {
        let t = all.of(chat);
        let events = t.events_after(chat, Seq(0), 200).await;
        let seqs: Vec<i64> = events.iter().map(|event| event.seq.0).collect();
        assert_eq!(seqs, (1..=t.head(chat).await.0).collect::<Vec<_>>(), "{chat}");
        for event in events {
            let Change::Message(message) = event.change else { continue };
            let key = message.client_message_id.unwrap();
            assert_eq!(keys.remove(&key), Some(message.id), "{chat} {key}");
        }
        assert!(keys.is_empty(), "{chat} has lost {keys:?}");
        let page = MessagesPage { limit: 20, ..Default::default() };
        let newest = messages::list(&t.api, ann, chat, page).await.unwrap();
        assert_eq!(newest.len(), 20);
        assert_eq!(newest[0].sender.username, "ann", "the copy of people names them");
    }

    // A person's list is that of each server.
    let mut listed = BTreeSet::new();
    for t in &all.apis {
        let mut conn = t.api.db.read().await.unwrap();
        listed.extend(
            lists::list(&mut conn.link(), ann, None, 50)
                .await
                .unwrap()
                .iter()
                .map(|chat| chat.view.id),
        );
    }
    assert_eq!(listed, everywhere);

    // What happens to a person is known everywhere, also on the server that was away meanwhile.
    let away = chats[1][0];
    all.apis[0].sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {dan}")).await;
    let mut tries = 0;
    until(async || {
        tries += 1;
        let said = all.of(away).one(send(dan, away, &format!("late {tries}"), "hello")).await;
        said.is_err_and(|refusal| refusal.code == Code::Blocked)
    })
    .await;
}
