//! Batches of plain messages are stored by one call of PostgreSQL's, all others the long way: whoever posts
//! cannot tell them apart.

use crate::harness::{T, actor, delete, edit, reply, send};
use api::{
    chats::{manage, membership, ordinals},
    db::Db,
    internal,
};
use futures_util::future::join_all;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};
use protocol::{
    calls::{Changed, Post, Posted},
    chat::ChatType,
    command::Command,
    id::{ChatId, Seq, UserId},
    refusal::Refusal,
    relay::Channel,
};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// Ann and bob are in all groups, cid in no chat, dan is blocked, eve a guest.
const USERS: usize = 5;

/// Two groups, a private chat, a room, a deleted group, the lobby, one that is not there.
const CHATS: usize = 7;

#[derive(Clone, Debug)]
enum Step {
    Batch(Vec<Asked>),
    /// What makes the next messages odd, or plain again: one of [`ODDITIES`].
    Odd(usize),
    /// Bob leaves the second group, or comes back.
    Leave,
    Return,
}

/// Somebody's command.
#[derive(Clone, Debug)]
struct Asked {
    user: usize,
    chat: usize,
    key: usize,
    text: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Send,
    Reply,
    Edit,
    Delete,
}

/// `{group}`, `{other}`, `{private}`, `{room}` are chats, `{bob}` and so on users.
const ODDITIES: [&str; 10] = [
    "UPDATE members SET dormant = TRUE WHERE chat_id = {group} AND user_id = {bob}",
    "UPDATE members SET silenced = NOT silenced WHERE chat_id = {private} AND user_id = {bob}",
    "UPDATE members SET invited_by = {ann} WHERE chat_id = {other} AND user_id = {bob}",
    "UPDATE users SET blocked_at = CASE WHEN blocked_at IS NULL THEN 1 END WHERE id = {bob}",
    "UPDATE users SET deactivated_at = CASE WHEN deactivated_at IS NULL THEN 1 END WHERE id = {bob}",
    "INSERT INTO bans (chat_id, user_id, banned_at, banned_by) VALUES ({room}, {cid}, 1, {ann})
     ON CONFLICT (chat_id, user_id) DO UPDATE SET ends_at = 2",
    "DELETE FROM bans",
    // As an older program says something.
    "WITH sent AS (
         UPDATE chats SET last_seq = last_seq + 1, message_count = message_count + 1,
             changed_at = (SELECT now FROM clock)
         WHERE id = {other} RETURNING id, last_seq)
     INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
     SELECT id, last_seq, last_seq, {ann}, 'old ' || last_seq, 'unnumbered', now FROM sent CROSS JOIN clock",
    "INSERT INTO statistics (chat_id, sender_count, text_chars, day, day_count)
     VALUES ({other}, 0, 0, 0, 0) ON CONFLICT DO NOTHING",
    "DELETE FROM statistics WHERE chat_id = {other}",
];

fn asked(users: impl Strategy<Value = usize>) -> impl Strategy<Value = Asked> {
    let what = prop_oneof![
        30 => Just(What::Send),
        4 => Just(What::Reply),
        1 => Just(What::Edit),
        1 => Just(What::Delete),
    ];
    let chat = prop_oneof![30 => 0..4_usize, 1 => 4..CHATS];
    (users, chat, 0..40_usize, 0..2_usize, what).prop_map(|(user, chat, key, text, what)| Asked {
        user,
        chat,
        key,
        text,
        what,
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let user = prop_oneof![30 => 0..2_usize, 1 => 2..USERS];
    let step = prop_oneof![
        12 => prop::collection::vec(asked(user), 1..6).prop_map(Step::Batch),
        3 => (0..ODDITIES.len()).prop_map(Step::Odd),
        1 => Just(Step::Leave),
        1 => Just(Step::Return),
    ];
    prop::collection::vec(step, 1..20)
}

/// A database with its users.
struct World {
    t: T,
    users: [UserId; USERS],
}

impl World {
    async fn new() -> Self {
        let mut t = T::unwatched().await;
        // With as many chats as all the rounds make.
        t.api.config = Arc::default();
        let users = t.users(["ann", "bob", "cid", "dan", "eve"]).await;
        t.sql(format!("UPDATE users SET blocked_at = 1 WHERE id = {}", users[3])).await;
        t.sql(format!("UPDATE users SET guest = TRUE WHERE id = {}", users[4])).await;
        // The same chats in both, so not in random buckets.
        t.sql(
            "CREATE OR REPLACE FUNCTION next_chat_id(bucket BIGINT) RETURNS BIGINT LANGUAGE sql AS
                'SELECT nextval(''chat_numbers'') + 1'"
                .to_owned(),
        )
        .await;
        Self { t, users }
    }

    /// One that stores everything the long way: its function always declines.
    async fn long() -> Self {
        let world = Self::new().await;
        let decline =
            "UPDATE pg_proc SET prosrc = 'BEGIN RAISE EXCEPTION USING ERRCODE = ''SB001''; END'
            WHERE proname IN ('post_one', 'post_plain')";
        world.t.sql(decline.to_owned()).await;
        world
    }

    async fn chats(&self) -> [ChatId; CHATS] {
        let [ann, bob, ..] = self.users;
        self.t
            .sql(format!(
                "UPDATE users SET blocked_at = NULL, deactivated_at = NULL WHERE id = {bob}"
            ))
            .await;
        let (group, other) = (self.t.group(ann, &[bob]).await, self.t.group(ann, &[bob]).await);
        // There is one private chat of two people.
        self.t.sql("UPDATE chats SET pair_key = NULL".to_owned()).await;
        let private = self.t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
        let room = self.t.room(ann).await;
        membership::join(&self.t.api, actor(bob), room).await.unwrap();
        let gone = self.t.group(ann, &[bob]).await;
        manage::delete(&self.t.api, actor(ann), gone).await.unwrap();
        [group, other, private, room, gone, ChatId::LOBBY, ChatId(999_999)]
    }

    fn command(&self, chats: &[ChatId], asked: &Asked, keys: &str) -> Command {
        let (user, chat) = (self.users[asked.user], chats[asked.chat]);
        let (key, text) = (format!("{keys}{}", asked.key), ["one", "two"][asked.text]);
        let id = Seq(asked.key as i64 % 5 + 1);
        match asked.what {
            What::Send => send(user, chat, &key, text),
            What::Reply => reply(user, chat, &key, text, Some(id)),
            What::Edit => edit(user, chat, id, &key),
            What::Delete => delete(user, chat, id),
        }
    }

    async fn post(&self, commands: Vec<Command>) -> Posted {
        internal::post(&self.t.api, Post { commands, impatient: true }).await.unwrap()
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        let Db::Postgres(pool, ..) = self.t.api.db.home() else { panic!("not PostgreSQL") };
        let sql = format!("SELECT r::TEXT FROM ({sql}) r ORDER BY 1");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap()
    }

    /// All that posting writes, without times.
    async fn state(&self) -> Vec<Vec<String>> {
        let mut state = Vec::new();
        for sql in [
            "SELECT id, last_seq, message_count, sent_count, sent_seq, newest FROM chats",
            "SELECT chat_id, id, seq, sender_id, client_message_id, text, reply_to, ordinal,
                 edited_at IS NULL, deleted_by FROM messages",
            "SELECT chat_id, user_id, seen, last_read, marked_unread, invited_by, dormant FROM members",
            "SELECT chat_id, sender_count, text_chars, day_count FROM statistics",
            "SELECT * FROM senders",
            "SELECT * FROM stretches",
            "SELECT chat_id, user_id, after FROM wakes",
            "SELECT * FROM unnumbered_chats",
            "SELECT r.id, MAX(r.seq) FROM changes CROSS JOIN LATERAL UNNEST(chats, seqs) AS r (id, seq)
             GROUP BY r.id",
        ] {
            state.push(self.rows(sql).await);
        }
        state
    }

    /// Whatever the way: numbers without holes, times that grow with them, ordinals as one would count.
    async fn holds(&self) {
        for wrong in [
            "SELECT * FROM (SELECT chat_id, count(*) AS made, MAX(id) AS last FROM (
                 SELECT chat_id, id FROM messages UNION ALL SELECT chat_id, seq FROM messages WHERE seq <> id
                 UNION ALL SELECT chat_id, seq FROM member_events) e GROUP BY chat_id) n
             JOIN chats c ON c.id = n.chat_id WHERE c.last_seq < n.last",
            "SELECT * FROM messages a JOIN messages b
             ON b.chat_id = a.chat_id AND b.id > a.id AND b.created_at < a.created_at",
            "SELECT * FROM messages m WHERE m.ordinal <> (
                 SELECT count(*) FROM messages x WHERE x.chat_id = m.chat_id AND x.id <= m.id)",
            "SELECT * FROM chats WHERE sent_seq > last_seq",
        ] {
            assert_eq!(self.rows(wrong).await, [""; 0], "{wrong}");
        }
    }
}

/// Without the times and traces.
fn timeless(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let at = ["timestamp", "edited_at", "published_ms", "traceparent"];
                *field =
                    if at.contains(&name.as_str()) { Value::Null } else { timeless(field.take()) };
            }
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = timeless(item.take()));
        }
        _ => {}
    }
    value
}

/// What whoever posts is answered, what gateways hear, what they find, and what is stored.
type Seen = (Vec<Value>, Vec<(Channel, Value)>, BTreeSet<(ChatId, Seq)>, Vec<Vec<String>>);

async fn carried_out(world: &World, round: usize, steps: &[Step]) -> Seen {
    let t = &world.t;
    let chats = world.chats().await;
    let [ann, bob, cid, ..] = world.users;
    let [group, other, private, room, ..] = chats;
    let mut channels = chats.map(Channel::Chat).to_vec();
    channels.push(Channel::User(bob));
    let mut heard = t.listen(&channels).await;
    let mut answers = Vec::new();
    for step in steps {
        match step {
            Step::Batch(batch) => {
                let keys = format!("{round}-");
                let commands =
                    batch.iter().map(|asked| world.command(&chats, asked, &keys)).collect();
                let posted = world.post(commands).await;
                answers.push(timeless(serde_json::to_value(posted).unwrap()));
            }
            Step::Odd(which) => {
                let mut sql = ODDITIES[*which].to_owned();
                let chats = [
                    ("{group}", group),
                    ("{other}", other),
                    ("{private}", private),
                    ("{room}", room),
                ];
                for (name, chat) in chats {
                    sql = sql.replace(name, &chat.to_string());
                }
                for (name, user) in [("{ann}", ann), ("{bob}", bob), ("{cid}", cid)] {
                    sql = sql.replace(name, &user.to_string());
                }
                t.sql(sql).await;
            }
            Step::Leave => drop(membership::leave(&t.api, actor(bob), other).await),
            Step::Return => drop(membership::add(&t.api, actor(ann), other, &[bob]).await),
        }
    }
    t.api.bus.publish(Channel::Chat(group), "\"end\"".into());
    let mut told = Vec::new();
    loop {
        match heard.next().await {
            (_, Value::String(_)) => break,
            (channel, payload) => told.push((channel, timeless(payload))),
        }
    }
    let mut found = internal::changed(&t.api, Changed { since: None, ..Changed::default() })
        .await
        .unwrap()
        .chats;
    // The chats of earlier rounds may be longer ago than it looks back.
    found.retain(|(chat, _)| chats[..5].contains(chat));
    // In the background it is done at any time.
    while ordinals::number_one(t.api.db.home()).await.unwrap() {}
    world.holds().await;
    (answers, told, found.into_iter().collect(), world.state().await)
}

/// A database that takes the short way where it can, and one that always takes the long one.
fn both_ways() -> (tokio::runtime::Runtime, World, World) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (short, long) = runtime.block_on(async { (World::new().await, World::long().await) });
    runtime.block_on(async { tokio::join!(short.t.count_calls(), long.t.count_calls()) });
    (runtime, short, long)
}

async fn close(short: World, long: World) {
    tokio::join!(short.t.api.close(), long.t.api.close());
}

fn cases(cases: u32) -> TestRunner {
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
}

#[test]
fn both_ways_do_the_same() {
    let (runtime, short, long) = both_ways();
    let round = std::cell::Cell::new(0);
    cases(48)
        .run(&steps(), |steps| {
            round.set(round.get() + 1);
            let one = runtime.block_on(carried_out(&short, round.get(), &steps));
            let other = runtime.block_on(carried_out(&long, round.get(), &steps));
            assert_eq!(one, other);
            Ok(())
        })
        .unwrap();
    assert!(runtime.block_on(short.t.calls("post_one")) > 20);
    assert!(runtime.block_on(short.t.calls("post_plain")) > 20);
    assert_eq!(runtime.block_on(long.t.calls("post_one")), 0);
    assert_eq!(runtime.block_on(long.t.calls("post_plain")), 0);
    runtime.block_on(close(short, long));
}

/// Callers at once, each with keys of its own: what each is answered does not depend on the others, but for
/// the numbers.
async fn at_once(world: &World, round: usize, callers: &[Vec<Vec<Asked>>]) -> Vec<Value> {
    let chats = world.chats().await;
    let mut heard =
        world.t.listen(&chats[..4].iter().copied().map(Channel::Chat).collect::<Vec<_>>()).await;
    let calling = callers.iter().enumerate().map(async |(caller, batches)| {
        let keys = format!("{round}-{caller}-");
        let mut answers = Vec::new();
        for batch in batches {
            let commands: Vec<Command> =
                batch.iter().map(|asked| world.command(&chats, asked, &keys)).collect();
            // On a busy machine a chat may be held for longer than the impatient wait.
            let post = Post::patient(commands.clone());
            let posted = internal::post(&world.t.api, post).await.unwrap();
            answers.extend(commands.into_iter().zip(posted.results));
        }
        answers
    });
    let answers: Vec<(Command, Result<_, Refusal>)> =
        join_all(calling).await.into_iter().flatten().collect();
    // Each message that is new has a number of its own, and is what was asked for.
    let mut numbers: BTreeMap<ChatId, BTreeSet<Seq>> = BTreeMap::new();
    for (command, answer) in &answers {
        let Ok(receipt) = answer else { continue };
        if !receipt.repeated {
            assert!(
                numbers.entry(command.chat_id).or_default().insert(receipt.seq),
                "{receipt:?} twice"
            );
        }
    }
    world.t.api.bus.publish(Channel::Chat(chats[0]), "\"end\"".into());
    let mut told: HashMap<Channel, Vec<i64>> = HashMap::new();
    loop {
        match heard.next().await {
            (_, Value::String(_)) => break,
            (channel, payload) => {
                let seqs = payload["events"].as_array().unwrap().iter();
                told.entry(channel)
                    .or_default()
                    .extend(seqs.map(|event| event["seq"].as_i64().unwrap()));
            }
        }
    }
    for (chat, seqs) in numbers {
        let head = world.t.head(chat).await;
        let first = head.0 - seqs.len() as i64 + 1;
        let dense: BTreeSet<Seq> = (first..=head.0).map(Seq).collect();
        assert_eq!(seqs, dense, "{chat}");
        // What is sent again is told again.
        let told: BTreeSet<i64> = told[&Channel::Chat(chat)].iter().copied().collect();
        assert_eq!(told, (first..=head.0).collect(), "{chat}");
    }
    world.holds().await;
    let answers = answers.into_iter().map(|(_, answer)| {
        let mut answer = timeless(serde_json::to_value(answer).unwrap());
        for (_, receipt) in answer.as_object_mut().into_iter().flatten() {
            for number in ["seq", "message_id"] {
                receipt.as_object_mut().and_then(|receipt| receipt.remove(number));
            }
        }
        answer
    });
    answers.collect()
}

#[test]
fn callers_at_once_are_answered_the_same_both_ways() {
    let (runtime, short, long) = both_ways();
    let round = std::cell::Cell::new(0);
    let sends = asked(0..3_usize).prop_map(|asked| Asked {
        what: What::Send,
        chat: asked.chat % 4,
        ..asked
    });
    let batches = prop::collection::vec(prop::collection::vec(sends, 1..8), 1..12);
    cases(16)
        .run(&prop::collection::vec(batches, 6), |callers| {
            round.set(round.get() + 1);
            let one = runtime.block_on(at_once(&short, round.get(), &callers));
            let other = runtime.block_on(at_once(&long, round.get(), &callers));
            assert_eq!(one, other);
            Ok(())
        })
        .unwrap();
    runtime.block_on(close(short, long));
}
