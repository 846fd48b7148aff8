//! A fresh database with an api on it, and short ways to say what tests say often.

use crate::shards::{self, LogMark, OF_A_TEST};
use api::{
    Api, Parts,
    accounts::Actor,
    auth::tokens::{Tokens, generate_pem},
    chats::{
        create::{self, NewChat},
        events,
    },
    config::Config,
    db::{CheckPlaces, Databases, Db, DbConfig},
    error::Result,
    internal, start,
};
use cluster::{Postgres, TestDatabase};
use platform::{
    bus::{Bus, BusEvent, Subscriber},
    lifecycle::Lifecycle,
    limit::{Limiter, LimiterConfig},
    presence::Presence,
    problem::Problem,
    settings::Secret,
};
use protocol::{
    account::Role,
    calls::{Events, Post, Range, RangeFound},
    chat::{ChatType, Event},
    command::{Action, Command, Receipt},
    id::{ChatId, Seq, SessionId, UserId},
    refusal::Refusal,
    relay::{Channel, ChatEvents},
};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Runs an `async fn(T)` on both databases.
macro_rules! both {
    ($($name:ident),* $(,)?) => {$(
        mod $name {
            #[tokio::test]
            async fn sqlite() {
                super::$name($crate::harness::T::sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                super::$name($crate::harness::T::postgres().await).await;
            }
        }
    )*};
}
pub(crate) use both;

/// What came of commands, their events parsed.
#[derive(Debug)]
pub struct Outcome {
    pub results: Vec<Result<Receipt, Refusal>>,
    pub events: Vec<ChatEvents>,
}

pub struct T {
    pub api: Api,
    _place: Option<Place>,
    /// Where the server began to log what this api asks.
    log: Option<LogMark>,
}

impl Drop for T {
    fn drop(&mut self) {
        if let Some(log) = self.log.take().filter(|_| !std::thread::panicking()) {
            shards::check(&log);
        }
    }
}

/// An empty database for as long as this lives.
pub enum Place {
    /// A file in this folder.
    Sqlite(tempfile::TempDir),
    /// On the server that all tests share.
    Postgres(TestDatabase),
}

impl Place {
    pub async fn fresh(sqlite: bool) -> Self {
        if sqlite {
            Self::Sqlite(tempfile::tempdir().unwrap())
        } else {
            Self::Postgres(Postgres::shared().await.unwrap().create_database().await)
        }
    }

    pub fn url(&self) -> String {
        match self {
            Self::Sqlite(dir) => format!("sqlite:{}", dir.path().join("data.db").display()),
            Self::Postgres(database) => database.url().to_owned(),
        }
    }
}

/// What to add to the URL so that the server logs what is asked, and where in its log that begins; for databases on
/// the server that the tests share.
async fn watch(url: &str) -> Option<(&'static str, LogMark)> {
    if !url.starts_with("postgres") {
        return None;
    }
    let server = Postgres::shared().await.unwrap();
    let database = url.strip_prefix(&server.url(""))?.to_owned();
    let file = server.process().log().to_owned();
    let offset = std::fs::metadata(&file).unwrap().len();
    Some(("?options[log_statement]=all", LogMark { file, offset, database }))
}

impl T {
    pub async fn sqlite() -> Self {
        Self::start(true).await
    }

    pub async fn postgres() -> Self {
        Self::start(false).await
    }

    async fn start(sqlite: bool) -> Self {
        Self::on(Place::fresh(sqlite).await).await
    }

    pub async fn on(place: Place) -> Self {
        let mut t = Self::at(&place.url()).await;
        t._place = Some(place);
        t
    }

    /// On the database of this URL, which the caller keeps.
    pub async fn at(url: &str) -> Self {
        Self::with(url, &DbConfig::default()).await
    }

    /// The same with other numbers.
    pub async fn with(url: &str, config: &DbConfig) -> Self {
        match watch(url).await {
            Some((options, log)) => {
                Self::start_at(&format!("{url}{options}"), config, Some(log)).await
            }
            None => Self::start_at(url, config, None).await,
        }
    }

    /// On PostgreSQL, and what is asked is not looked at: for tests that ask the same as others so often that the log
    /// would hold them up.
    pub async fn unwatched() -> Self {
        let place = Place::fresh(false).await;
        let mut t = Self::start_at(&place.url(), &DbConfig::default(), None).await;
        t._place = Some(place);
        t
    }

    /// The same on the database of this URL, which the caller keeps.
    pub async fn unwatched_at(url: &str) -> Self {
        Self::start_at(url, &DbConfig::default(), None).await
    }

    /// With chats on several servers, the home first, which the caller keeps. What is asked is not looked at.
    pub async fn on_servers(urls: &[String]) -> Self {
        let config = DbConfig::default();
        let others = Secret::new(urls[1..].join("\n"));
        let db = Databases::connect(&urls[0], Some(&others), CheckPlaces::Yes, &config).await;
        let db = db.unwrap();
        for one in db.each() {
            one.migrate().await.unwrap();
        }
        db.check_places().await.unwrap();
        Self::start_with(db, &config, None).await
    }

    async fn start_at(url: &str, config: &DbConfig, log: Option<LogMark>) -> Self {
        let db = Db::connect(url, config).await.unwrap();
        db.migrate().await.unwrap();
        Self::start_with(db.into(), config, log).await
    }

    async fn start_with(db: Databases, config: &DbConfig, log: Option<LogMark>) -> Self {
        let lifecycle = Lifecycle::new();
        let parts = Parts {
            people: db.apart(config),
            db,
            bus: Bus::local(),
            presence: Presence::local(),
            limiter: Limiter::local(LimiterConfig::default()),
            tokens: Tokens::from_pem(generate_pem().unwrap().reveal()).unwrap(),
        };
        let mut config = Config::default();
        config.chats.group_members = 5;
        config.chats.chats_per_user = 40;
        // Tests make the steps themselves: the task would come between them.
        config.retention.look_every = Duration::from_secs(3_600);
        let api = start(parts, config, &lifecycle).await.unwrap();
        Self { api, _place: None, log }
    }

    /// Runs a statement as it stands.
    pub async fn sql(&self, sql: String) {
        let sql = sqlx::AssertSqlSafe(sql);
        match self.api.db.home() {
            Db::Postgres(pool, ..) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
            Db::Sqlite { write, .. } => drop(sqlx::raw_sql(sql).execute(write).await.unwrap()),
        }
    }

    /// One number.
    pub async fn number(&self, sql: String) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("{OF_A_TEST} {sql}"));
        match self.api.db.home() {
            Db::Postgres(pool, ..) => sqlx::query_scalar(sql).fetch_one(pool).await.unwrap(),
            Db::Sqlite { write, .. } => sqlx::query_scalar(sql).fetch_one(write).await.unwrap(),
        }
    }

    /// From now on, counts the calls that store messages, for [`T::calls`]. PostgreSQL only.
    pub async fn count_calls(&self) {
        let count = "CREATE TABLE calls (function TEXT, session INT DEFAULT pg_backend_pid());
            UPDATE pg_proc SET prosrc = regexp_replace(prosrc, 'END\\s*$',
                'INSERT INTO calls VALUES (''' || proname || '''); END')
            WHERE proname IN ('post_one', 'post_plain')";
        self.sql(count.to_owned()).await;
    }

    /// How many calls of this function have stored something.
    pub async fn calls(&self, function: &str) -> i64 {
        self.number(format!("SELECT count(*) FROM calls WHERE function = '{function}'")).await
    }

    /// As if all chats had changed so early.
    pub async fn change_at(&self, at: i64) {
        self.sql(format!("UPDATE chats SET changed_at = {at}")).await;
        if let Db::Postgres(..) = self.api.db.home() {
            self.sql(format!("UPDATE changes SET at = {at}")).await;
        }
    }

    pub async fn user(&self, name: &str) -> UserId {
        self.sql(format!(
            "INSERT INTO users (username, username_key, name, password_hash, created_at)
             VALUES ('{name}', '{name}', 'The {name}', '', 0)"
        ))
        .await;
        UserId(self.number(format!("SELECT id FROM users WHERE username = '{name}'")).await)
    }

    pub async fn users<const N: usize>(&self, names: [&str; N]) -> [UserId; N] {
        let mut users = [UserId(0); N];
        for (user, name) in users.iter_mut().zip(names) {
            *user = self.user(name).await;
        }
        users
    }

    pub async fn session(&self, user: UserId) -> SessionId {
        let id = SessionId(Uuid::new_v4());
        self.sql(format!(
            "INSERT INTO sessions (id, user_id, refresh_hash, created_at, last_used_at, expires_at)
             VALUES ('{id}', {user}, '{id}', 0, 0, 99999999999999)"
        ))
        .await;
        id
    }

    pub async fn try_create(
        &self,
        owner: UserId,
        chat_type: ChatType,
        others: &[UserId],
    ) -> Result<ChatId> {
        let name = Some("a chat".to_owned());
        let new = NewChat { chat_type, name, member_ids: others.to_vec() };
        create::create(&self.api, actor(owner), new).await.map(|chat| chat.view.id)
    }

    pub async fn group(&self, owner: UserId, others: &[UserId]) -> ChatId {
        self.try_create(owner, ChatType::Group, others).await.unwrap()
    }

    pub async fn room(&self, owner: UserId) -> ChatId {
        self.try_create(owner, ChatType::Room, &[]).await.unwrap()
    }

    /// Posts. A repeat's receipt is the first one's: what says which it was is left out here, see
    /// [`T::repeats`].
    pub async fn post(&self, commands: Vec<Command>) -> Outcome {
        let mut posted = internal::post(&self.api, Post::patient(commands)).await.unwrap();
        posted.results.iter_mut().flatten().for_each(|receipt| receipt.repeated = false);
        let events = posted.events.iter().map(|run| run.parse().unwrap()).collect();
        Outcome { results: posted.results, events }
    }

    /// Posts one command; whether it had been posted before.
    pub async fn repeats(&self, command: Command) -> bool {
        let posted = internal::post(&self.api, Post::patient(vec![command])).await.unwrap();
        posted.results[0].as_ref().unwrap().repeated
    }

    /// One command's result.
    pub async fn one(&self, command: Command) -> Result<Receipt, Refusal> {
        self.post(vec![command]).await.results.pop().unwrap()
    }

    /// Posts a message and returns its id.
    pub async fn say(&self, user: UserId, chat: ChatId, text: &str) -> Seq {
        self.one(send(user, chat, &Uuid::new_v4().to_string(), text)).await.unwrap().message_id
    }

    /// Everything after a place, in pages of `limit` places.
    pub async fn events_after(&self, chat_id: ChatId, mut after: Seq, limit: usize) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let ranges = vec![Range { chat_id, after }];
            let found = events::events_with_limit(&self.api, Events { ranges }, limit).await;
            let RangeFound { events: page, upto, head } =
                found.unwrap().ranges.pop().unwrap().unwrap();
            assert!(page.len() <= limit && upto <= head);
            assert!(page.iter().all(|event| event.seq > after && event.seq <= upto));
            assert!(page.is_sorted_by(|a, b| a.seq < b.seq));
            events.extend(page);
            if upto == head {
                return events;
            }
            assert!(upto > after);
            after = upto;
        }
    }

    pub async fn head(&self, chat: ChatId) -> Seq {
        Seq(self.number(format!("SELECT last_seq FROM chats WHERE id = {chat}")).await)
    }

    /// Hears what is published on these channels from now on.
    pub async fn listen(&self, channels: &[Channel]) -> Heard {
        let (tell, heard) = mpsc::channel(10_000);
        let subscriber = self.api.bus.subscriber(move |event| {
            if let BusEvent::Message { channel, payload } = event {
                tell.try_send((channel, serde_json::from_slice(&payload).unwrap())).unwrap();
            }
        });
        subscriber.add(channels).await;
        Heard { heard, _subscriber: subscriber }
    }
}

/// What a subscriber hears, in order.
pub struct Heard {
    heard: mpsc::Receiver<(Channel, serde_json::Value)>,
    _subscriber: Subscriber,
}

impl Heard {
    pub async fn next(&mut self) -> (Channel, serde_json::Value) {
        tokio::time::timeout(Duration::from_secs(10), self.heard.recv()).await.unwrap().unwrap()
    }

    /// Hears this next, on this channel.
    pub async fn expect(&mut self, channel: Channel, payload: serde_json::Value) {
        assert_eq!(self.next().await, (channel, payload));
    }
}

pub fn actor(user_id: UserId) -> Actor {
    Actor { user_id, role: Role::User }
}

pub fn admin(user_id: UserId) -> Actor {
    Actor { user_id, role: Role::Admin }
}

pub fn send(user_id: UserId, chat_id: ChatId, key: &str, text: &str) -> Command {
    reply(user_id, chat_id, key, text, None)
}

pub fn reply(
    user_id: UserId,
    chat_id: ChatId,
    key: &str,
    text: &str,
    reply_to: Option<Seq>,
) -> Command {
    let (client_message_id, text) = (key.to_owned(), text.to_owned());
    Command { user_id, chat_id, action: Action::Send { client_message_id, text, reply_to } }
}

pub fn edit(user_id: UserId, chat_id: ChatId, message_id: Seq, text: &str) -> Command {
    let (text, client_edit_id) = (text.to_owned(), None);
    Command { user_id, chat_id, action: Action::Edit { message_id, text, client_edit_id } }
}

pub fn delete(user_id: UserId, chat_id: ChatId, message_id: Seq) -> Command {
    Command { user_id, chat_id, action: Action::Delete { message_id } }
}

/// The status and code of a refusal.
pub fn refused<V: std::fmt::Debug>(result: Result<V>) -> (u16, &'static str) {
    let problem = Problem::from(result.unwrap_err());
    (problem.status.as_u16(), problem.code)
}

/// Holds a chat's row in a transaction of its own.
pub async fn hold(t: &T, chat: ChatId) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let Db::Postgres(pool, ..) = t.api.db.home() else { panic!("not PostgreSQL") };
    let mut tx = pool.begin().await.unwrap();
    // The session may idle for as long as the test takes.
    let lock = format!(
        "SET LOCAL idle_in_transaction_session_timeout = 0;
         SELECT id FROM chats WHERE id = {chat} FOR UPDATE"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock)).execute(&mut *tx).await.unwrap();
    tx
}

/// Until one connection waits for a row.
pub async fn somebody_waits(t: &T) {
    let waits = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let begun = Instant::now();
    while t.number(waits.to_owned()).await == 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody waits");
        tokio::task::yield_now().await;
    }
}
