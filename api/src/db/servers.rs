//! The PostgreSQL servers of a URL, and which of them takes writes. After a failover the pools connect to the new
//! one, and what is left of the old one's connections is closed: a demoted server that stays up goes on answering, so
//! its connections look sound, and each of them would refuse writes until it is closed of age.

use super::{Conn, ConnectError, DbError, ServerPlace, TRUSTED, place};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use sqlx::{
    Connection as _, PgConnection, PgPool, Row as _,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{
    io,
    sync::{Arc, LazyLock, Once},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time};

/// What is known to be wrong with the servers of this process. Errors do not say whose connection they come
/// from; a process that has several databases looks after all of them then, which costs each a round trip.
static TROUBLE: LazyLock<watch::Sender<Trouble>> =
    LazyLock::new(|| watch::Sender::new(Trouble::default()));

#[derive(Clone, Copy, Debug, Default)]
struct Trouble {
    /// When a server last said that it takes no writes or goes away. Older connections are closed.
    outdated: Option<Instant>,
    /// Whether there is reason to look for the server that takes writes.
    doubts: u64,
}

/// The most servers of a URL.
const MOST_SERVERS: usize = 16;

/// Connecting and asking takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two looks for a server that takes writes: a failover takes seconds.
const LOOK: Duration = Duration::from_millis(250);

/// Whether the session may write: on a standby it may not, nor where an administrator has switched writes off. And
/// whether it has our settings. One message, because a pooler may have another session for the next one.
const WRITABLE: &str = "SELECT current_setting('transaction_read_only') = 'off' AS writable,
    current_setting('plan_cache_mode') = 'force_generic_plan' AS settled";

/// A pooler that keeps our settings from PostgreSQL is told of once.
static UNSETTLED: Once = Once::new();

/// Something answered that it cannot be written to, or is going away: whatever is connected is closed when it
/// is taken up next, and the server that takes writes is looked for.
pub(super) fn note_outdated() {
    TROUBLE.send_modify(|trouble| {
        trouble.outdated = Some(Instant::now());
        trouble.doubts += 1;
    });
}

/// Something did not answer: perhaps another server takes the writes now.
pub(super) fn note_away() {
    TROUBLE.send_modify(|trouble| trouble.doubts += 1);
}

/// Whether a connection that was made, or lent by its pool, at this time is outdated.
pub(super) fn is_outdated(made: Instant) -> bool {
    TROUBLE.borrow().outdated.is_some_and(|outdated| made <= outdated)
}

/// Whether the server takes writes. If it does not, no connection to it stays in use.
pub(super) async fn check_writable(conn: &mut Conn) -> Result<(), DbError> {
    let Conn::Postgres(conn) = conn else { return Ok(()) };
    if is_writable(conn).await? {
        return Ok(());
    }
    note_outdated();
    Err(DbError::unavailable(read_only()))
}

fn read_only() -> sqlx::Error {
    sqlx::Error::Io(io::Error::other("the PostgreSQL server takes no writes"))
}

/// The servers of a URL, each with all that it takes to connect.
#[derive(Clone, Debug)]
pub struct Servers {
    each: Arc<[PgConnectOptions]>,
    /// Which of several servers of chats all of them are.
    place: Option<ServerPlace>,
}

impl Servers {
    /// Reads `postgres://user@host[:port],host[:port]…/name`. `configure` completes each.
    pub(super) fn parse(
        url: &str,
        configure: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<Self, ConnectError> {
        let urls = one_for_each_host(url)?;
        let options = urls.iter().map(|url| url.parse().map(&configure).map_err(ConnectError::Url));
        Ok(Self { each: options.collect::<Result<_, _>>()?, place: None })
    }

    /// The same, refusing connections to a server that has another place.
    pub(super) fn placed(self, place: Option<ServerPlace>) -> Self {
        Self { place, ..self }
    }

    /// All of them.
    pub(super) fn each(&self) -> &[PgConnectOptions] {
        &self.each
    }

    /// A pool of connections to the server that takes writes. Connects when it is first used.
    pub(super) fn pool(&self, options: PgPoolOptions) -> PgPool {
        let place = self.place;
        let pool = options
            .test_before_acquire(false)
            .before_acquire(|conn, meta| {
                Box::pin(async move {
                    if Instant::now().checked_sub(meta.age).is_some_and(is_outdated) {
                        return Ok(false);
                    }
                    if meta.idle_for > TRUSTED {
                        conn.ping().await?;
                    }
                    Ok(true)
                })
            })
            .after_connect(move |conn, _: PoolConnectionMetadata| {
                Box::pin(async move {
                    if is_writable(conn).await? {
                        return place::check_connection(conn, place).await;
                    }
                    note_away();
                    // The pool tries again, until whoever waits for a connection has waited for long enough.
                    Err(read_only())
                })
            })
            .connect_lazy_with(self.each[0].clone());
        if self.each.len() > 1 {
            #[expect(
                clippy::disallowed_methods,
                reason = "the pool owns it: it ends when the pool is closed"
            )]
            tokio::spawn(follow(pool.clone(), self.clone()));
        }
        pool
    }

    /// The first that says that it takes writes.
    async fn writable(&self) -> Option<&PgConnectOptions> {
        let asked = self.each.iter().map(async |server| {
            let asked = async {
                let mut conn = PgConnection::connect_with(server).await?;
                let writable = is_writable(&mut conn).await?;
                let _ = conn.close().await;
                Ok::<_, sqlx::Error>(writable)
            };
            let answer = time::timeout(PATIENCE, asked).await;
            matches!(answer, Ok(Ok(true))).then_some(server)
        });
        let mut answers: FuturesUnordered<_> = asked.collect();
        while let Some(answer) = answers.next().await {
            if answer.is_some() {
                return answer;
            }
        }
        None
    }
}

async fn is_writable(conn: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let row = sqlx::raw_sql(WRITABLE).fetch_one(conn).await?;
    if !row.try_get::<bool, _>("settled")? {
        UNSETTLED.call_once(|| {
            tracing::warn!(
                "PostgreSQL does not know the settings of our sessions, because of a pooler: set them for its user, \
                 as docs/operations.md says"
            );
        });
    }
    row.try_get("writable")
}

/// Leads the pool to the server that takes writes, until the pool is closed.
async fn follow(pool: PgPool, servers: Servers) {
    let mut trouble = TROUBLE.subscribe();
    let following = async {
        let mut current: Option<&PgConnectOptions> = None;
        loop {
            trouble.mark_unchanged();
            let Some(found) = servers.writable().await else {
                time::sleep(LOOK).await;
                continue;
            };
            if current.is_none_or(|current| !std::ptr::eq(current, found)) {
                tracing::info!(
                    db.host = found.get_host(),
                    db.port = found.get_port(),
                    "this PostgreSQL server takes the writes"
                );
                pool.set_connect_options(found.clone());
                if current.replace(found).is_some() {
                    TROUBLE.send_modify(|trouble| trouble.outdated = Some(Instant::now()));
                    trouble.mark_unchanged();
                }
            }
            if trouble.changed().await.is_err() {
                return;
            }
            // Not more often than this, however much goes wrong.
            time::sleep(LOOK).await;
        }
    };
    pool.close_event().do_until(following).await.ok();
}

/// A URL for each host that the URL names. libpq's own way to ask for the server that takes writes is understood.
fn one_for_each_host(url: &str) -> Result<Vec<String>, ConnectError> {
    let (scheme, rest) = url.split_once("://").ok_or(ConnectError::Scheme)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, hosts) =
        authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
    let at = if authority.contains('@') { "@" } else { "" };
    let rest = without_session_attrs(rest)?;
    let urls: Vec<String> =
        hosts.split(',').map(|host| format!("{scheme}://{user}{at}{host}{rest}")).collect();
    if urls.len() > MOST_SERVERS || (urls.len() > 1 && hosts.split(',').any(str::is_empty)) {
        return Err(ConnectError::Hosts);
    }
    Ok(urls)
}

/// Takes `target_session_attrs` out of a URL's path and query: what it may say is what is done anyway.
fn without_session_attrs(rest: &str) -> Result<String, ConnectError> {
    let Some((path, query)) = rest.split_once('?') else { return Ok(rest.to_owned()) };
    let mut kept = Vec::new();
    for parameter in query.split('&') {
        match parameter.split_once('=') {
            Some(("target_session_attrs", "read-write" | "primary")) => {}
            Some(("target_session_attrs", _)) => return Err(ConnectError::SessionAttrs),
            _ => kept.push(parameter),
        }
    }
    let query = if kept.is_empty() { String::new() } else { format!("?{}", kept.join("&")) };
    Ok(format!("{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_gets_a_url_of_its_own() {
        for (url, urls) in [
            ("postgres://h/db", &["postgres://h/db"][..]),
            ("postgres://u:p@h:1/db?sslmode=disable", &["postgres://u:p@h:1/db?sslmode=disable"]),
            ("postgres://u@a:1,b/db", &["postgres://u@a:1/db", "postgres://u@b/db"]),
            (
                "postgresql://[::1]:5,b:6/db?target_session_attrs=read-write&sslmode=require",
                &["postgresql://[::1]:5/db?sslmode=require", "postgresql://b:6/db?sslmode=require"],
            ),
            ("postgres://a,b?target_session_attrs=primary", &["postgres://a", "postgres://b"]),
        ] {
            assert_eq!(one_for_each_host(url).unwrap(), urls, "{url}");
        }
        for url in
            ["postgres://a,,b/db", "postgres://a,/db", "postgres://a,b/db?target_session_attrs=any"]
        {
            assert!(one_for_each_host(url).is_err(), "{url}");
        }
        let many = vec!["h"; MOST_SERVERS + 1].join(",");
        assert!(one_for_each_host(&format!("postgres://{many}/db")).is_err());
    }
}
