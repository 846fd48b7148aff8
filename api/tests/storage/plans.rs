//! How PostgreSQL carries the statements out, planned while the tables are small, as they are when a new
//! deployment opens: by indexes, and planned once.

use crate::harness::{T, actor, delete, edit, reply, send};
use api::{
    accounts::search,
    chats::{
        conversations::{self, Part},
        lists, marks, membership,
        messages::{self, MessagesPage},
        ordinals,
        settings::{self, SettingsChange},
    },
    config::RetentionConfig,
    db::Db,
    internal::{changed, mark_read, open, peers},
    lobby,
    retention::{Step, step},
};
use protocol::{
    calls::{Changed, MarkRead, Open, OpenSession, Pair, Peer, Peers, ReadMark, Shows},
    id::{ChatId, Seq, UserId},
};
use sqlx::{AssertSqlSafe, PgConnection, query_as, query_scalar};

/// The statements of the api that this connection has prepared, and their plans.
async fn plans(conn: &mut PgConnection) -> Vec<(String, String)> {
    // The tests' own have no parameters.
    let prepared = "SELECT name, statement, cardinality(parameter_types), custom_plans
        FROM pg_prepared_statements WHERE cardinality(parameter_types) > 0";
    let prepared: Vec<(String, String, i32, i64)> =
        query_as(prepared).fetch_all(&mut *conn).await.unwrap();
    let mut plans = Vec::new();
    for (name, statement, parameters, custom) in prepared {
        assert_eq!(custom, 0, "planned for what was asked: {statement}");
        let nulls = vec!["NULL"; parameters as usize].join(", ");
        let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE {name}({nulls})"));
        let plan: Vec<String> = query_scalar(explain).fetch_all(&mut *conn).await.unwrap();
        plans.push((statement, plan.join("\n")));
    }
    plans
}

#[tokio::test]
async fn what_a_statement_reads_does_not_grow_with_the_tables() {
    let t = T::postgres().await;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    let sessions =
        vec![OpenSession { user_id: bob, session_id: t.session(bob).await, shows: Shows::All }];
    open(&t.api, Open { sessions, live_chats: 5 }).await.unwrap();
    let (user_id, session_id) = (bob, t.session(bob).await);
    let windows = [Shows::Private, Shows::One(chat)];
    let window = |shows| OpenSession { user_id, session_id, shows };
    let sessions = windows.map(window).to_vec();
    open(&t.api, Open { sessions, live_chats: 5 }).await.unwrap();
    t.post(vec![send(ann, chat, "k1", "hello"), send(bob, chat, "k2", "hello")]).await;
    // Few, by which PostgreSQL believes that chats have one message and an index little to choose.
    for number in 0..15 {
        let user = t.user(&format!("u{number}")).await;
        let room = t.room(user).await;
        t.post(vec![send(user, room, "k", "the only one here")]).await;
    }
    t.sql("ANALYZE users, chats, members, messages".to_owned()).await;
    t.post(vec![edit(ann, chat, Seq(1), "hello!"), reply(bob, chat, "k3", "hi", Some(Seq(1)))])
        .await;
    t.events_after(chat, Seq(0), 200).await;
    changed(&t.api, Changed { since: None, ..Changed::default() }).await.unwrap();
    let peer = |peer| Pair { user_id: ann, peer };
    let pairs = vec![peer(Peer::Id(bob)), peer(Peer::Username("u1".to_owned()))];
    peers(&t.api, Peers { pairs }).await.unwrap();
    membership::leave(&t.api, actor(bob), chat).await.unwrap();
    // What is over, and goes.
    t.sql(format!(
        "UPDATE chats SET deleted_at = 0 WHERE id = {chat};
         INSERT INTO guest_visits (user_id, seen_at) VALUES ({bob}, 0)"
    ))
    .await;
    let retention = RetentionConfig { rest: 0, ..RetentionConfig::default() };
    while step(t.api.db.home(), &retention).await.unwrap() != Step::Nothing {}

    let checked = check(&t).await;
    assert!(checked > 10, "{checked} statements");
}

/// Holds that all statements prepared so far read as much of the tables as they need. How many there are.
async fn check(t: &T) -> usize {
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mut checked = 0;
    // Held until the end: each is another one.
    let mut held = Vec::new();
    while let Some(mut conn) = pool.try_acquire() {
        for (statement, plan) in plans(&mut conn).await {
            // Its rows are the kinds of what the retention removes.
            if statement.contains("FROM chores") {
                continue;
            }
            checked += 1;
            assert!(!plan.contains("Seq Scan"), "{statement}\n{plan}");
            // Of an index, too, only a part is read.
            let mut lines = plan.lines().peekable();
            while let Some(line) = lines.next() {
                let by_index = line.contains("Index") && line.contains("Scan");
                let part = lines.peek().is_some_and(|next| next.contains("Index Cond"));
                assert!(!by_index || part, "{statement}\n{plan}");
            }
            // Deleted messages are skipped, not walked over.
            let mut scans = plan.split("->").filter(|node| node.contains(" on messages"));
            let walks = scans.any(|scan| scan.contains("deleted_at IS NULL"));
            assert!(!walks, "{statement}\n{plan}");
            assert!(!plan.contains("Parallel"), "{statement}\n{plan}");
            // A repeat is found by its key, not by looking through the chat.
            assert!(!plan.contains("Filter: ((sender_id"), "{statement}\n{plan}");
        }
        held.push(conn);
    }
    checked
}

/// Most chats deleted, one huge, one person with thousands: where plans flipped.
const LOPSIDED: &str = "
    INSERT INTO users (id, username, username_key, name, password_hash, created_at)
    SELECT i, 'u' || i, 'u' || i, '', '', 0 FROM generate_series(100, 2100) i;
    INSERT INTO chats (id, chat_type, name, created_at, changed_at, member_count, deleted_at)
    SELECT i, 'group', 'c', 0, 0, 2, CASE WHEN i % 20 > 0 THEN 1 END FROM generate_series(100, 20100) i;
    INSERT INTO members (chat_id, user_id, joined_at)
    SELECT i, 100 + i % 2000, 0 FROM generate_series(100, 20100) i UNION ALL
    SELECT i, 2100, 0 FROM generate_series(100, 20100) i WHERE i % 4 = 0;
    INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
    SELECT 100, i, i, 100, i, '', 0 FROM generate_series(1, 30000) i;
    UPDATE chats SET last_seq = 30000, message_count = 1 WHERE id = 100;
    SELECT setval('chat_numbers', 100);";

const DELETED: &str = "UPDATE messages SET deleted_at = 1 WHERE chat_id = 100 AND id > 1";

/// Which statistics there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Analyzed {
    Never,
    BeforeDeleting,
    AtTheEnd,
}

async fn lopsided(analyzed: Analyzed) {
    let t = T::postgres().await;
    for table in ["users", "chats", "members", "messages"] {
        // Nobody else's, in the middle of it.
        t.sql(format!("ALTER TABLE {table} SET (autovacuum_enabled = FALSE)")).await;
    }
    let analyze = || t.sql("ANALYZE users, chats, members, messages".to_owned());
    t.sql(LOPSIDED.to_owned()).await;
    if analyzed == Analyzed::BeforeDeleting {
        analyze().await;
    }
    t.sql(DELETED.to_owned()).await;
    if analyzed == Analyzed::AtTheEnd {
        analyze().await;
    }
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chat = t.group(ann, &[bob]).await;
    t.post(vec![send(ann, chat, "k1", "hello"), send(bob, chat, "k2", "hello")]).await;
    for user in [UserId(2_100), bob] {
        for shows in [Shows::All, Shows::Private, Shows::One(chat)] {
            let session_id = t.session(user).await;
            let sessions = vec![OpenSession { user_id: user, session_id, shows }];
            open(&t.api, Open { sessions, live_chats: 200 }).await.unwrap();
        }
        let mut conn = t.api.db.home().read().await.unwrap();
        let page = lists::list(&mut conn.link(), user, None, 50).await.unwrap();
        let last = page.last().map(|chat| chat.view.id);
        lists::list(&mut conn.link(), user, last, 50).await.unwrap();
        lists::rooms(&mut conn.link(), user, "nothing", ChatId(0), 50).await.unwrap();
        search::search(&t.api, actor(user), "nobody", None, 50).await.unwrap();
        conversations::of_user(&t.api, user, Part::All, 10).await.unwrap();
        conversations::of_user(&t.api, user, Part::Unread, 10).await.unwrap();
    }
    let (huge, member) = (ChatId(100), UserId(2_100));
    for after in [None, Some(Seq(1))] {
        let page = MessagesPage { after, limit: 50, ..Default::default() };
        messages::list(&t.api, member, huge, page).await.unwrap();
    }
    messages::history(&t.api, member, huge, 0, 50).await.unwrap();
    t.sql("UPDATE chats SET message_count = 20000 WHERE id = 100".to_owned()).await;
    messages::history(&t.api, member, huge, 19_000, 50).await.unwrap();
    messages::history(&t.api, ann, ChatId::LOBBY, 0, 50).await.unwrap();
    lobby::page(&t.api, 0, 50).await.unwrap();
    lobby::recent(&t.api, 50).await.unwrap();
    marks::mark_all(&t.api, member).await.unwrap();
    let pin = SettingsChange { pinned: Some(true), ..SettingsChange::default() };
    settings::change(&t.api, bob, chat, pin).await.unwrap();
    let marks = vec![ReadMark { user_id: bob, chat_id: chat, message_id: Seq(1) }];
    mark_read(&t.api, MarkRead { marks }).await.unwrap();
    t.post(vec![reply(bob, chat, "k3", "hi", Some(Seq(1))), delete(ann, chat, Seq(1))]).await;
    t.events_after(chat, Seq(0), 200).await;
    while ordinals::number_one(t.api.db.home()).await.unwrap() {}
    // Its heir is looked for.
    membership::leave(&t.api, actor(ann), chat).await.unwrap();
    let checked = check(&t).await;
    assert!(checked > 25, "{checked} statements");
}

#[tokio::test]
async fn plans_stay_without_statistics() {
    lopsided(Analyzed::Never).await;
}

#[tokio::test]
async fn plans_stay_with_statistics_of_before_most_was_deleted() {
    lopsided(Analyzed::BeforeDeleting).await;
}

#[tokio::test]
async fn plans_stay_with_statistics_of_lopsided_tables() {
    lopsided(Analyzed::AtTheEnd).await;
}
