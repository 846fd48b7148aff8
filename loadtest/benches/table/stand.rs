//! A fresh cluster with people in it. They are written into its database and their tokens are signed
//! here: binaries of any age can be measured, and 10,000 people take a second.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cluster::{Cluster, ClusterOptions, Cpus, Durability, Node};
use ed25519_dalek::{Signer, SigningKey, pkcs8::DecodePrivateKey};
use platform::token::{Claims, Issuer, Jwk};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
    time::Timestamp,
};
use serde_json::json;
use sqlx::{Connection, PgConnection};
use std::{net::SocketAddr, path::PathBuf};
use uuid::Uuid;

use crate::usage;

/// A token is good for longer than any row takes.
const TOKEN_SECONDS: i64 = 3_600;
/// More than anybody here sends, or asks for.
const PER_SECOND: &str = "1000000";
/// Connections of one account: thousands are few people's.
const MAX_CONNECTIONS_PER_ACCOUNT: &str = "1000";

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct StandOptions {
    pub gateways: usize,
    pub cpus: Cpus,
    /// Whether one account may do no more than a deployment allows.
    pub frames: Frames,
    /// Where other Redis servers are than its own.
    pub redis: Option<String>,
    /// Built from the sources when `None`.
    pub binaries: Option<PathBuf>,
}

/// How many frames an account may send, and what it may ask over REST.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frames {
    /// Any number: a saturated fan-out has few senders, and few read all pages.
    #[default]
    Unlimited,
    /// What is shipped.
    AsShipped,
}

/// A running cluster and who is in it.
pub struct Stand {
    pub cluster: Cluster,
    pub database: PgConnection,
    key: SigningKey,
    sessions: Vec<Uuid>,
}

/// CPU seconds so far, by part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    pub gateways: f64,
    pub apis: f64,
    pub redis: f64,
    pub postgres: f64,
    /// Ours.
    pub generator: f64,
}

impl Used {
    pub fn since(self, before: Self) -> Self {
        Self {
            gateways: self.gateways - before.gateways,
            apis: self.apis - before.apis,
            redis: self.redis - before.redis,
            postgres: self.postgres - before.postgres,
            generator: self.generator - before.generator,
        }
    }
}

impl Stand {
    /// One api, Redis, and PostgreSQL that flushes every commit.
    pub async fn start(plan: &StandOptions) -> Result<Self> {
        let mut settings = vec![
            ("MAX_CONNECTIONS", "20000"),
            ("MAX_CONNECTIONS_PER_ACCOUNT", MAX_CONNECTIONS_PER_ACCOUNT),
            ("MAX_CONNECTIONS_PER_ADDRESS", "20000"),
        ];
        if plan.frames == Frames::Unlimited {
            settings.push(("FRAMES_PER_SECOND", PER_SECOND));
            settings.push(("REQUESTS_PER_SECOND", PER_SECOND));
        }
        if let Some(url) = &plan.redis {
            settings.push(("REDIS_URL", url));
        }
        let settings = settings.into_iter();
        let cluster = Cluster::start(ClusterOptions {
            gateways: plan.gateways,
            apis: 1,
            durability: Durability::Durable,
            cpus: plan.cpus,
            binaries: plan.binaries.clone(),
            settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ..ClusterOptions::default()
        })
        .await?;
        let database = PgConnection::connect(cluster.database_url()).await?;
        let key = SigningKey::from_pkcs8_pem(cluster.token_key())?;
        Ok(Self { cluster, database, key, sessions: Vec::new() })
    }

    /// Adds people, numbered on from those that there are.
    pub async fn people(&mut self, count: usize) -> Result<()> {
        let first = self.sessions.len();
        let sessions: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let names: Vec<String> = (first..first + count).map(|n| format!("bench{n}")).collect();
        let ids: Vec<i64> = (first..first + count).map(user_id).collect();
        let texts: Vec<String> = sessions.iter().map(Uuid::to_string).collect();
        sqlx::query(
            "INSERT INTO users (id, username, username_key, name, password_hash, created_at)
             SELECT id, name, name, name, '', now
             FROM clock, UNNEST($1::BIGINT[], $2::TEXT[]) AS r (id, name)",
        )
        .bind(&ids)
        .bind(&names)
        .execute(&mut self.database)
        .await?;
        sqlx::query(
            "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at)
             SELECT id, user_id, id, now, now, now + 86400000
             FROM clock, UNNEST($1::TEXT[], $2::BIGINT[]) AS r (id, user_id)",
        )
        .bind(&texts)
        .bind(&ids)
        .execute(&mut self.database)
        .await?;
        self.sessions.extend(sessions);
        Ok(())
    }

    /// Makes groups of these people, given by their numbers; the groups' ids.
    pub async fn groups(&mut self, groups: &[Vec<usize>]) -> Result<Vec<i64>> {
        self.chats("group", groups).await
    }

    /// Makes a room of these people: nobody there hears who comes and goes.
    pub async fn room(&mut self, people: Vec<usize>) -> Result<i64> {
        self.chats("room", &[people]).await?.pop().context("no room")
    }

    async fn chats(&mut self, kind: &str, groups: &[Vec<usize>]) -> Result<Vec<i64>> {
        let rows: Vec<(i64,)> = sqlx::query_as(
            "INSERT INTO chats (chat_type, name, created_at, changed_at, member_count)
             SELECT $2::TEXT, 'bench', now, now, members
             FROM clock, UNNEST($1::BIGINT[]) AS r (members) RETURNING id",
        )
        .bind(groups.iter().map(|group| group.len() as i64).collect::<Vec<_>>())
        .bind(kind)
        .fetch_all(&mut self.database)
        .await?;
        let ids: Vec<i64> = rows.into_iter().map(|row| row.0).collect();
        let members = groups.iter().zip(&ids);
        let (chats, users): (Vec<i64>, Vec<i64>) = members
            .flat_map(|(group, id)| group.iter().map(|member| (*id, user_id(*member))))
            .unzip();
        let insert = match self.has_ordinals().await? {
            true => {
                "INSERT INTO members (chat_id, user_id, joined_at, seen) SELECT chat, member, now, 0
                 FROM clock, UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat, member)"
            }
            false => {
                "INSERT INTO members (chat_id, user_id, joined_at) SELECT chat, member, now
                 FROM clock, UNNEST($1::BIGINT[], $2::BIGINT[]) AS r (chat, member)"
            }
        };
        sqlx::query(insert).bind(chats).bind(users).execute(&mut self.database).await?;
        // A vacuum at another moment of every run would be noise.
        sqlx::query("ANALYZE").execute(&mut self.database).await?;
        Ok(ids)
    }

    /// A fresh access token of the person with this number.
    pub fn token(&self, person: usize) -> Result<String> {
        let session = self.sessions.get(person).context("nobody has this number")?;
        let iat = Timestamp::now().unix_seconds();
        let claims = Claims {
            sub: UserId(user_id(person)),
            sid: SessionId(*session),
            name: format!("bench{person}"),
            role: Role::User,
            iat,
            exp: iat + TOKEN_SECONDS,
            iss: Issuer::Switchboard,
        };
        let kid = Jwk::ed25519(self.key.verifying_key().as_bytes()).kid;
        let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid });
        let part = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
        let signed =
            [part(serde_json::to_vec(&header)?), part(serde_json::to_vec(&claims)?)].join(".");
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes()).to_bytes());
        Ok(format!("{signed}.{signature}"))
    }

    pub fn gateways(&self) -> Vec<SocketAddr> {
        self.cluster.gateways().iter().map(Node::address).collect()
    }

    pub fn used(&self) -> Result<Used> {
        let sum = |nodes: &[Node]| nodes.iter().map(|node| usage::cpu(node.process().pid())).sum();
        let (gateways, apis): (Result<f64>, Result<f64>) =
            (sum(self.cluster.gateways()), sum(self.cluster.apis()));
        Ok(Used {
            gateways: gateways?,
            apis: apis?,
            redis: usage::cpu(self.cluster.redis().process().pid())?,
            postgres: usage::cpu_of_family(self.cluster.postgres().process().pid())?,
            generator: usage::cpu(std::process::id())?,
        })
    }

    /// Whether messages have ordinals: programs from before, which are measured as well, know none.
    async fn has_ordinals(&mut self) -> Result<bool> {
        let known = "SELECT EXISTS (SELECT FROM information_schema.columns
             WHERE table_name = 'members' AND column_name = 'seen')";
        Ok(sqlx::query_scalar(known).fetch_one(&mut self.database).await?)
    }

    /// Puts messages of the first ten people into a chat that has none.
    pub async fn history(&mut self, chat: i64, messages: i64, text: &str) -> Result<()> {
        let (insert, update) = match self.has_ordinals().await? {
            true => (
                "INSERT INTO messages
                     (chat_id, id, seq, sender_id, client_message_id, text, ordinal, created_at)
                 SELECT $1, n, n, $2 + n % 10, n::TEXT, $3::TEXT, n, now
                 FROM clock, generate_series(1, $4) AS n",
                "UPDATE chats SET last_seq = $2, message_count = $2, sent_count = $2, sent_seq = $2,
                     newest = $2
                 WHERE id = $1",
            ),
            false => (
                "INSERT INTO messages (chat_id, id, seq, sender_id, client_message_id, text, created_at)
                 SELECT $1, n, n, $2 + n % 10, n::TEXT, $3::TEXT, now
                 FROM clock, generate_series(1, $4) AS n",
                "UPDATE chats SET last_seq = $2, message_count = $2 WHERE id = $1",
            ),
        };
        sqlx::query(insert)
            .bind(chat)
            .bind(user_id(0))
            .bind(text)
            .bind(messages)
            .execute(&mut self.database)
            .await?;
        sqlx::query(update).bind(chat).bind(messages).execute(&mut self.database).await?;
        sqlx::query("VACUUM ANALYZE").execute(&mut self.database).await?;
        Ok(())
    }

    /// Messages that the database holds in these chats.
    pub async fn stored(&mut self, chats: &[i64]) -> Result<u64> {
        let (count,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM messages WHERE chat_id = ANY($1)")
                .bind(chats)
                .fetch_one(&mut self.database)
                .await?;
        Ok(count.unsigned_abs())
    }

    /// Stops everything. An error tells of a process that had ended before.
    pub async fn stop(self) -> Result<()> {
        for process in self.cluster.processes() {
            ensure!(
                usage::runs(process.pid()),
                "{} has ended: {}",
                process.name(),
                process.log_tail()
            );
        }
        self.database.close().await?;
        self.cluster.stop().await
    }
}

/// Far from the ids that registering gives.
fn user_id(person: usize) -> i64 {
    1_000_000 + person as i64
}
