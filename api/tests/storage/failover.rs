//! The PostgreSQL server that takes writes is another one now: requests find it, whatever is left of the old one, and
//! nothing that was acknowledged is lost.

use crate::harness::{T, send};
use api::{db::Db, internal};
use cluster::{Postgres, TestDatabase};
use platform::problem::Problem;
use protocol::{
    calls::Post,
    id::{ChatId, Seq, UserId},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// From the promotion to the first message that is acknowledged.
const SOON: Duration = Duration::from_secs(2);

/// The same where the old server is silent: whoever asked it has to lose patience first.
const SOON_AFTER_SILENCE: Duration = Duration::from_secs(8);

/// Prints how long a failover took.
#[expect(clippy::print_stdout, reason = "for whoever measures")]
fn within(promoted: Instant, most: Duration, what: &str) {
    let took = promoted.elapsed();
    println!("{what}: the first message was acknowledged {took:?} after the promotion");
    assert!(took < most, "{what}: {took:?}");
}

/// A server, a standby that has all that is committed, and the URL that names both.
struct Pair {
    primary: Postgres,
    standby: Postgres,
    database: TestDatabase,
}

impl Pair {
    async fn start() -> Self {
        let primary = Postgres::start().await.unwrap();
        let database = primary.create_database().await;
        let standby = primary.standby().await.unwrap();
        Self { primary, standby, database }
    }

    fn url(&self) -> String {
        self.standby.url_with(&self.primary, self.database.name())
    }
}

/// Posts until it is acknowledged, as gateways do: with the same key. How many tries were refused.
pub async fn post_patiently(t: &T, ann: UserId, chat: ChatId, key: &str) -> (Seq, usize) {
    let commands = vec![send(ann, chat, key, "hello")];
    let mut refused = 0;
    let acknowledged = async {
        loop {
            match internal::post(&t.api, Post::patient(commands.clone())).await {
                Ok(posted) => break posted.results[0].clone().unwrap().message_id,
                Err(error) => {
                    assert_eq!(Problem::from(error).status.as_u16(), 503);
                    refused += 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    let seq = timeout(Duration::from_secs(20), acknowledged).await.unwrap();
    (seq, refused)
}

#[tokio::test]
async fn a_demoted_server_that_stays_up_is_left_for_the_new_one() {
    let pair = Pair::start().await;
    let t = T::at(&pair.url()).await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    for n in 1..=20 {
        assert_eq!(post_patiently(&t, ann, chat, &n.to_string()).await, (Seq(n), 0));
    }
    // Demoted without a word to those who are connected: it answers, and takes no writes.
    pair.primary.demote().await.unwrap();
    pair.standby.promote().await.unwrap();
    let promoted = Instant::now();
    for n in 21..=40 {
        assert_eq!(post_patiently(&t, ann, chat, &n.to_string()).await.0, Seq(n));
        if n == 21 {
            within(promoted, SOON, "demoted");
        }
    }
    // Also the connections that only read are the new server's.
    assert_eq!(t.head(chat).await, Seq(40));
    assert!(t.api.db.home().ping().await.is_ok());
}

#[tokio::test]
async fn a_server_that_died_or_hangs_is_left_for_the_new_one() {
    for hangs in [false, true] {
        let pair = Pair::start().await;
        let t = T::at(&pair.url()).await;
        let ann = t.user("ann").await;
        let chat = t.group(ann, &[]).await;
        assert_eq!(post_patiently(&t, ann, chat, "1").await, (Seq(1), 0));
        if hangs {
            pair.primary.process().pause();
        } else {
            pair.primary.kill().await.unwrap();
        }
        pair.standby.promote().await.unwrap();
        let since = Instant::now();
        // Whoever asks a server that hangs goes away at some time, as a gateway does.
        let (seq, _) = loop {
            let post = post_patiently(&t, ann, chat, "2");
            if let Ok(posted) = timeout(Duration::from_secs(2), post).await {
                break posted;
            }
            assert!(since.elapsed() < Duration::from_secs(20));
        };
        within(
            since,
            if hangs { SOON_AFTER_SILENCE } else { SOON },
            if hangs { "hangs" } else { "killed" },
        );
        assert_eq!((seq, t.head(chat).await), (Seq(2), Seq(2)), "hangs: {hangs}");
        if hangs {
            pair.primary.process().resume();
        }
    }
}

#[tokio::test]
async fn sessions_that_an_operator_ends_cost_one_call() {
    let server = Postgres::start().await.unwrap();
    let database = server.create_database().await;
    let t = T::at(database.url()).await;
    let ann = t.user("ann").await;
    let chat = t.group(ann, &[]).await;
    for n in 1..=3 {
        post_patiently(&t, ann, chat, &n.to_string()).await;
        server
            .sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> 'postgres'")
            .await
            .unwrap();
        let (_, refused) = post_patiently(&t, ann, chat, &format!("after {n}")).await;
        assert!(refused <= 1, "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_only_reads_is_not_taken_for_the_database() {
    let primary = Postgres::start().await.unwrap();
    let database = primary.create_database().await;
    let standby = primary.standby().await.unwrap();
    let url = standby.url(database.name());
    let db = Db::connect(&url, &Default::default()).await.unwrap();
    assert!(db.ping().await.is_err());
    // Nobody told the process.
    standby.promote().await.unwrap();
    assert!(db.ping().await.is_ok());
}
