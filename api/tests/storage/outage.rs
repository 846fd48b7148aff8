//! PostgreSQL goes away and comes back: callers are told to come back, nothing is lost or doubled,
//! and no process needs a restart.

use crate::harness::{T, send};
use api::internal;
use cluster::Postgres;
use platform::problem::Problem;
use protocol::{calls::Post, id::Seq};

#[tokio::test]
async fn an_outage_is_503_and_passes() {
    let server = Postgres::start().await.unwrap();
    let database = server.create_database().await;
    let t = T::at(database.url()).await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    let commands = vec![send(ann, chat, "k", "hello")];
    let first = t.post(commands.clone()).await;
    server.kill().await.unwrap();
    let away = internal::post(&t.api, Post::patient(commands.clone())).await.unwrap_err();
    let away = Problem::from(away);
    assert_eq!((away.status.as_u16(), away.retry_after), (503, Some(1)));
    assert!(t.api.db.home().ping().await.is_err());
    server.restart().await.unwrap();
    // Each connection that died may fail one call before it is replaced.
    let again = loop {
        match internal::post(&t.api, Post::patient(commands.clone())).await {
            Ok(posted) => break posted,
            Err(error) => assert_eq!(Problem::from(error).status.as_u16(), 503),
        }
    };
    let [first, again] = [first.results, again.results].map(|results| results[0].clone().unwrap());
    assert_eq!(again.message_id, first.message_id, "what was acknowledged is still there, once");
    assert_eq!(t.head(chat).await, Seq(1));
}
