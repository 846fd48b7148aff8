//! How PostgreSQL carries the statements out, planned while the tables are small, as they are when a new
//! deployment opens: by indexes, and planned once.

use crate::harness::{T, actor, edit, reply, send};
use api::{
    chats::membership,
    config::RetentionConfig,
    db::Db,
    internal::{changed, open, peers},
    retention::{Step, step},
};
use shared::{
    id::Seq,
    internal::{Changed, Open, OpenSession, Pair, Peer, Peers, Shows},
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
    changed(&t.api, Changed { since: None }).await.unwrap();
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
    while step(&t.api.db, &retention).await.unwrap() != Step::Nothing {}

    let Db::Postgres(pool) = &t.api.db else { panic!("not PostgreSQL") };
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
            // A repeat is found by its key, not by looking through the chat.
            assert!(!plan.contains("Filter: ((sender_id"), "{statement}\n{plan}");
        }
        held.push(conn);
    }
    assert!(checked > 10, "{checked} statements");
}
