//! The buckets that chats' ids carry: those of today's programs and of programs from before, beside each other.

use crate::{
    harness::{T, both},
    upgrade::older,
};
use api::{
    chats::bulk::{self, NewBulkChat},
    db::Db,
};
use protocol::{
    bucket::ChatBucket,
    chat::ChatType,
    id::{ChatId, UserId},
};
use std::collections::BTreeSet;

both!(ids_carry_buckets, ids_never_come_again);

/// What docs/sharding.md looks for private chats with that lie elsewhere than their pair's bucket says.
fn strays() -> &'static str {
    let (_, after) = include_str!("../../../docs/sharding.md").split_once("```sql").unwrap();
    after.split_once(";\n```").unwrap().0
}

#[tokio::test]
async fn sql_knows_the_bucket_of_a_pair() {
    let t = T::postgres().await;
    let [ann, bob, cid, dan] = t.users(["ann", "bob", "cid", "dan"]).await;
    // Larger ids, whose sums do not fit into 24 bits.
    t.sql(format!("UPDATE users SET id = id + 3000000000 WHERE id = {dan}")).await;
    let dan = UserId(dan.0 + 3_000_000_000);
    for (one, other) in [(ann, bob), (cid, bob), (dan, ann), (cid, dan)] {
        t.try_create(one, ChatType::Private, &[other]).await.unwrap();
    }
    let count = format!("SELECT count(*) FROM ({}) strays", strays());
    assert_eq!(t.number(count.clone()).await, 0);
    let stray = (ChatBucket::of_pair(ann, cid).number() + 1) % ChatBucket::COUNT;
    t.sql(format!(
        "INSERT INTO chats (id, chat_type, name, pair_key, created_at, changed_at)
         VALUES ({stray} + 999 * 4096, 'private', '', '{ann}:{cid}', 0, 0)"
    ))
    .await;
    assert_eq!(t.number(count).await, 1);
}

/// What JavaScript and others keep of a number.
const MAX_SAFE: i64 = (1 << 53) - 1;

async fn ids_carry_buckets(t: T) {
    let [ann, bob, eve] = t.users(["ann", "bob", "eve"]).await;
    let private = t.try_create(bob, ChatType::Private, &[ann]).await.unwrap();
    assert_eq!(ChatBucket::of(private), ChatBucket::of_pair(ann, bob));
    let mut buckets = BTreeSet::new();
    let mut newest = private;
    for _ in 0..8 {
        for chat in [t.group(ann, &[bob]).await, t.room(ann).await] {
            assert!(
                chat > newest && chat.0 < MAX_SAFE,
                "a later chat has the larger id: {chat} after {newest}"
            );
            newest = chat;
            buckets.insert(ChatBucket::of(chat));
        }
    }
    assert!(buckets.len() > 8, "{buckets:?}");
    // All at once, with one that is there.
    let new = |chat_type, members: &[UserId]| NewBulkChat {
        chat_type,
        name: Some("a chat".to_owned()),
        member_ids: members.to_vec(),
    };
    let chats = [
        new(ChatType::Group, &[ann]),
        new(ChatType::Private, &[eve, ann]),
        new(ChatType::Private, &[ann, bob]),
        new(ChatType::Group, &[bob]),
    ];
    let made = bulk::create(&t.api, ann, &chats).await.unwrap();
    assert_eq!(made[2], private);
    assert_eq!(ChatBucket::of(made[1]), ChatBucket::of_pair(ann, eve));
    assert!(newest < made[0] && made[0] < made[3], "{made:?}");
    // Each in its own place, whoever is in it.
    for (chat, member) in [(made[0], ann), (made[3], bob)] {
        let found = format!("SELECT user_id FROM members WHERE chat_id = {chat}");
        assert_eq!(t.number(found).await, member.0);
    }
}

/// Not even those of chats that are gone.
async fn ids_never_come_again(t: T) {
    let ann = t.user("ann").await;
    let gone = t.room(ann).await;
    t.sql(format!(
        "DELETE FROM members WHERE chat_id = {gone}; DELETE FROM chats WHERE id = {gone}"
    ))
    .await;
    assert!(t.room(ann).await.0 / ChatBucket::COUNT > gone.0 / ChatBucket::COUNT);
}

/// As in a rolling upgrade: programs of before leave the id to the database, at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_of_before_make_chats_beside_those_of_today() {
    const INSERT: &str =
        "/* of a test */ INSERT INTO chats (chat_type, name, created_at, changed_at)
        SELECT 'group', 'old', now, now FROM clock RETURNING id";
    let (old, place) = older(false, 4).await;
    let Db::Postgres(pool, ..) = &old else { panic!("not PostgreSQL") };
    let insert = async || {
        let (id,): (i64,) = sqlx::query_as(INSERT).fetch_one(pool).await.unwrap();
        ChatId(id)
    };
    let before = [insert().await, insert().await];
    assert_eq!(before.map(ChatBucket::of).map(ChatBucket::number), [2, 3], "as they are");
    let t = T::on(place).await;
    let ann = t.user("ann").await;
    let mut made: BTreeSet<ChatId> = before.into();
    let mut buckets = BTreeSet::new();
    for _ in 0..20 {
        // Prepared before the migration, on the same connections.
        let (by_old, by_new) = tokio::join!(insert(), t.group(ann, &[]));
        assert!(made.insert(by_old) && made.insert(by_new), "{by_old} {by_new}");
        buckets.insert(ChatBucket::of(by_old));
    }
    assert!(buckets.len() > 10, "{buckets:?}");
    old.close().await;
}
