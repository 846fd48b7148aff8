//! A pooler between the apis and PostgreSQL: its clients share connections, and it may go away at any time.

use crate::{
    failover::post_patiently,
    harness::{T, delete, edit, send},
};
use api::{chats::messages, db::DbConfig, internal};
use cluster::{PgBouncer, Postgres};
use futures_util::future::join_all;
use protocol::{calls::Post, id::Seq};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apis_share_the_connections_of_a_pooler() {
    let server = Postgres::start().await.unwrap();
    let database = server.create_database().await;
    let name = database.name();
    // The pooler keeps the sessions' settings to itself.
    for (setting, value) in DbConfig::default().session_settings() {
        server.sql(&format!("ALTER DATABASE {name} SET {setting} = '{value}'")).await.unwrap();
    }
    let pooler = PgBouncer::start(&server).await.unwrap();
    // The first one migrates.
    let apis = [T::at(&pooler.url(name)).await, T::at(&pooler.url(name)).await];
    let [t, other] = &apis;
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let chats = [t.group(ann, &[bob]).await, t.group(bob, &[ann]).await];

    // More at a time than there are connections, each kind of statement among them.
    let talk = async |t: &T, n: usize| {
        for (chat, user) in [(chats[0], ann), (chats[1], bob)] {
            let id =
                t.one(send(user, chat, &format!("key {n}"), "hello")).await.unwrap().message_id;
            let commands =
                vec![edit(user, chat, id, "hello!"), send(ann, chat, &format!("more {n}"), "and")];
            let post = Post { commands, impatient: true };
            internal::post(&t.api, post).await.unwrap();
            t.one(delete(user, chat, id)).await.unwrap();
            t.events_after(chat, Seq(0), 200).await;
            messages::list(&t.api, ann, chat, Default::default()).await.unwrap();
        }
    };
    join_all((0..40).map(|n| talk(&apis[n % 2], n))).await;
    for chat in chats {
        let events = t.events_after(chat, Seq(0), 200).await;
        assert_eq!(events, other.events_after(chat, Seq(0), 200).await);
        assert_eq!(t.head(chat).await, Seq(40 * 4));
    }
    let sessions = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND backend_type = 'client backend'";
    if pooler.is_by_transaction() {
        let most = i64::from(pooler.server_connections());
        assert!(t.number(sessions.to_owned()).await <= most);
    }

    pooler.reload();
    let head = t.head(chats[0]).await;
    assert_eq!(post_patiently(t, ann, chats[0], "after a reload").await, (head.next(), 0));
    pooler.restart().await.unwrap();
    for (n, t) in apis.iter().enumerate() {
        let (_, refused) = post_patiently(t, ann, chats[0], &format!("after a restart, {n}")).await;
        assert!(refused <= 2, "{refused}");
    }
}
