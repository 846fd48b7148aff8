//! All databases of an installation: people's home, and the servers that chats are on. Each chat is where its bucket
//! says. With one server that is the home, and nothing here costs anything.

use super::{ConnectError, Db, DbConfig, MEASURE_EVERY, ServerPlace};
use crate::error::{Error, Result};
use futures_util::future::{join_all, try_join_all};
use platform::settings::Secret;
use protocol::{
    bucket::ChatBucket,
    id::{ChatId, UserId},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The servers, the home first: it has chats, too. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Databases {
    each: Arc<[Db]>,
    /// Those that did not answer when they were last asked in the background.
    away: Arc<[AtomicBool]>,
}

/// The most servers that chats are on: a divisor of the number of buckets.
const MOST_SERVERS: usize = 64;

/// Whether connections are refused that lead to a server of another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckPlaces {
    /// They are.
    Yes,
    /// The servers are to get other places.
    No,
}

/// One database, which is people's home and has all chats.
impl From<Db> for Databases {
    fn from(db: Db) -> Self {
        Self::new(vec![db])
    }
}

impl Databases {
    fn new(each: Vec<Db>) -> Self {
        let away = each.iter().map(|_| AtomicBool::new(false)).collect();
        Self { each: each.into(), away }
    }

    /// The home of this URL, and further servers of chats, in their order, of URLs between which there is white space.
    /// They are two, four, eight and so on with the home. See [`Db::connect`]. Each connection to one of several is
    /// refused by itself when it does not lead to the server that has this place.
    pub async fn connect(
        home: &str,
        others: Option<&Secret>,
        places: CheckPlaces,
        config: &DbConfig,
    ) -> Result<Self, ConnectError> {
        let others: Vec<&str> =
            others.map(|urls| urls.reveal().split_whitespace().collect()).unwrap_or_default();
        if others.is_empty() {
            return Ok(Db::connect(home, config).await?.into());
        }
        let of = others.len() + 1;
        if !of.is_power_of_two() || of > MOST_SERVERS {
            return Err(ConnectError::ServerCount);
        }
        let mut each = Vec::new();
        for (number, url) in std::iter::once(home).chain(others).enumerate() {
            let replicas = config.replicas.clone().filter(|_| number == 0);
            let place = (places == CheckPlaces::Yes).then_some(ServerPlace { number, of });
            let config = DbConfig { place, replicas, ..config.clone() };
            let db = Db::connect(url, &config).await;
            let db = if number == 0 { db? } else { db.map_err(|_| ConnectError::ChatServerUrl)? };
            if let Db::Sqlite { .. } = db {
                return Err(ConnectError::ChatServerUrl);
            }
            each.push(db);
        }
        Ok(Self::new(each))
    }

    /// People: accounts, sessions, lists of whom they block.
    pub fn home(&self) -> &Db {
        &self.each[0]
    }

    /// The server of a chat.
    pub fn of(&self, chat: ChatId) -> &Db {
        self.in_bucket(ChatBucket::of(chat))
    }

    /// The server of a bucket.
    pub(crate) fn in_bucket(&self, bucket: ChatBucket) -> &Db {
        &self.each[bucket.group(self.each.len())]
    }

    /// Which of [`Self::each`] makes the private chat of two users.
    pub(crate) fn place_of_pair(&self, one: UserId, other: UserId) -> usize {
        ChatBucket::of_pair(one, other).group(self.each.len())
    }

    /// All of them, the home first.
    pub fn each(&self) -> &[Db] {
        &self.each
    }

    /// Which of [`Self::each`] has the chat.
    pub(crate) fn place(&self, chat: ChatId) -> usize {
        ChatBucket::of(chat).group(self.each.len())
    }

    /// Whether chats are on more servers than the home.
    pub(crate) fn are_several(&self) -> bool {
        self.each.len() > 1
    }

    /// What each server answers, all asked at the same time. One that fails fails the whole.
    pub(crate) async fn ask_each<A, F>(&self, ask: impl Fn(Db) -> F) -> Result<Vec<A>>
    where
        F: Future<Output = Result<A>>,
    {
        try_join_all(self.each.iter().cloned().map(ask)).await
    }

    /// Has each server answer for its own chats, all at the same time: an answer for each item, in their order. One
    /// that fails fails the whole.
    pub(crate) async fn ask_by_chat<T, A, F>(
        &self,
        items: &[T],
        chat: impl Fn(&T) -> ChatId,
        ask: impl Fn(Db, Vec<T>) -> F,
    ) -> Result<Vec<A>>
    where
        T: Clone,
        F: Future<Output = Result<Vec<A>>>,
    {
        let parts = self.split(items, chat);
        let asked = parts.iter().map(|part| ask(self.each[part.server].clone(), part.of(items)));
        let answers = try_join_all(asked).await?;
        joined(items.len(), parts.into_iter().zip(answers))
    }

    /// Items by the servers of their chats. Those that have none are left out.
    pub(crate) fn split<T>(&self, items: &[T], chat: impl Fn(&T) -> ChatId) -> Vec<ServerPart> {
        let mut parts: Vec<ServerPart> = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let server = self.place(chat(item));
            match parts.iter_mut().find(|part| part.server == server) {
                Some(part) => part.places.push(place),
                None => parts.push(ServerPart { server, places: vec![place] }),
            }
        }
        parts
    }

    /// Whether a server did not answer when it was last asked in the background.
    pub(crate) fn is_away(&self, server: usize) -> bool {
        self.away[server].load(Ordering::Relaxed)
    }

    /// Notes it, and says whether it was so before.
    pub(super) fn set_away(&self, server: usize, away: bool) -> bool {
        self.away[server].swap(away, Ordering::Relaxed)
    }

    /// The same databases by other connections, see [`Db::apart`].
    #[must_use]
    pub fn apart(&self, config: &DbConfig) -> Self {
        let each = self.each.iter().map(|db| db.apart(config)).collect();
        Self { each, away: Arc::clone(&self.away) }
    }

    /// Measures the connections to all of them for ever, with those apart, and how many do not answer.
    pub(crate) async fn keep_measuring(self, apart: Self) {
        let mut every = tokio::time::interval(MEASURE_EVERY);
        loop {
            every.tick().await;
            let (mut open, mut idle, mut most) = (0_u32, 0_u32, 0_u32);
            for (one_open, one_idle, one_most) in
                self.each.iter().chain(&*apart.each).map(Db::measure)
            {
                open += one_open;
                idle += u32::try_from(one_idle).unwrap_or(one_open);
                most += one_most;
            }
            metrics::gauge!("db_connections", "state" => "idle").set(idle);
            metrics::gauge!("db_connections", "state" => "used").set(open.saturating_sub(idle));
            metrics::gauge!("db_connections_limit").set(most);
            let away = (0..self.each.len()).filter(|server| self.is_away(*server)).count();
            metrics::gauge!("chat_servers_away").set(away as f64);
        }
    }

    /// Closes all connections, waiting for those in use.
    pub async fn close(&self) {
        join_all(self.each.iter().map(Db::close)).await;
    }
}

/// The items of a list whose chats are on one server.
pub(crate) struct ServerPart {
    /// Its place in [`Databases::each`].
    pub server: usize,
    /// Of its items in the list, growing.
    places: Vec<usize>,
}

impl ServerPart {
    /// Its items.
    pub(crate) fn of<T: Clone>(&self, items: &[T]) -> Vec<T> {
        self.places.iter().filter_map(|place| items.get(*place).cloned()).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }
}

/// The answers of all parts in the order of the items. An error when there is not one for each: no item may get
/// another one's answer.
pub(crate) fn joined<A>(
    items: usize,
    parts: impl IntoIterator<Item = (ServerPart, Vec<A>)>,
) -> Result<Vec<A>> {
    let mut all: Vec<Option<A>> = Vec::new();
    all.resize_with(items, || None);
    for (part, answers) in parts {
        if answers.len() != part.len() {
            tracing::error!(
                asked = part.len(),
                answers = answers.len(),
                "a server answered in part"
            );
            return Err(Error::internal());
        }
        for (place, answer) in part.places.into_iter().zip(answers) {
            all[place] = Some(answer);
        }
    }
    let all: Option<Vec<A>> = all.into_iter().collect();
    all.ok_or_else(Error::internal)
}
