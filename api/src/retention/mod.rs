//! Retention deletes in the background what nobody needs any more: deleted chats, ended sessions, guests who
//! never wrote, and records kept for gateways and for repeated calls. Over all apis, one step runs at a
//! time. A step deletes some hundred rows in a transaction of its own, and a rest follows it, so that people
//! do not notice. The file `chore` knows what each chore deletes and when. The table `chores` keeps how far
//! each one has come, so a failed step or a dead process costs one step only.

mod chore;

pub use chore::Chore;
pub(crate) use chore::{CHANGES_STAY_MS, SESSIONS_STAY_MS};

use crate::{
    config::{Config, RetentionConfig},
    db::{Databases, Db, DbError, Tx, execute, fetch_all, fetch_optional},
    error::Result as ServiceResult,
};
use chore::{Tidied, work};
use protocol::id::ChatId;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long a failed chore waits before its next step, while the others go on.
const AFTER_FAILURE_MS: i64 = 60_000;

/// The longest rest after a step, however long the step took. A rest that looks longer was set while a
/// clock was wrong, and is ignored.
const LONGEST_REST_MS: i64 = 60_000;

/// No chore waits for longer than its round is long. The same of a time that is further away.
const LONGEST_WAIT_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// Names the row that says until when the database rests. The process that locks the row makes the next
/// step.
const RESTS_UNTIL: &str = "retention_rests_until";

/// What a call of [`step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A step was made.
    Made {
        /// Whose step it was.
        chore: Chore,
        /// Rows that the step deleted.
        removed: u64,
        /// How long the database is left alone, whichever process makes the next step.
        rest: Duration,
    },
    /// No chore is due.
    Nothing,
    /// Another process is making a step, or the rest after its step is not over.
    NotNow,
}

/// Makes steps for ever. It pauses before the first one, because a process that starts has more urgent
/// work.
pub(crate) async fn keep_tidy(all: Databases, place: usize, config: Arc<Config>) {
    let (db, config) = (&all.each()[place], &config.retention);
    let (mut pause, mut failing) = (config.look_every, false);
    let mut measure_at = Instant::now();
    loop {
        if Instant::now() >= measure_at {
            measure_at = Instant::now() + config.look_every;
            // Once for all servers.
            if place == 0
                && let Err(error) = measure(&all).await
            {
                tracing::debug!(
                    code = error.code.as_str(),
                    "cannot measure how far retention is behind"
                );
            }
        }
        tokio::time::sleep(pause).await;
        let made = step_of(db, lobby_elsewhere(&all, place), config).await;
        let failed = made.as_ref().err().map(ToString::to_string);
        if let Some(error) = &failed
            && !failing
        {
            tracing::warn!(error, "cannot delete expired data; trying again");
        }
        failing = failed.is_some();
        pause = match made {
            Ok(Step::Made { rest, .. }) => rest,
            Ok(Step::Nothing | Step::NotNow) | Err(_) => config.look_every,
        };
    }
}

/// The server of the lobby, where guests write, if it is another one than the home, where they are kept.
fn lobby_elsewhere(all: &Databases, place: usize) -> Option<&Db> {
    let lobby = all.place(ChatId::LOBBY);
    (place == 0 && lobby != 0).then(|| &all.each()[lobby])
}

/// Makes the step that has waited for longest, if one is due and nobody else makes one. A chore that fails
/// is counted and waits for a while.
pub async fn step(db: &Db, config: &RetentionConfig) -> Result<Step, DbError> {
    step_of(db, None, config).await
}

/// The same, with the lobby's server if that is another one.
pub async fn step_of(
    db: &Db,
    lobby: Option<&Db>,
    config: &RetentionConfig,
) -> Result<Step, DbError> {
    let mut tx = db.begin().await?;
    let Some(now) = take(&mut tx).await? else {
        tx.rollback().await?;
        return Ok(Step::NotNow);
    };
    let Some((chore, place)) = due(&mut tx, now).await? else {
        // Whoever looks next must not find the row held by a step that is not made.
        tx.rollback().await?;
        return Ok(Step::Nothing);
    };
    let made = match carry_out(&mut tx, lobby, config, chore, now, &place).await {
        Ok(made) => tx.commit().await.map(|()| made),
        Err(error) => {
            // `postpone` writes rows that this holds. A connection that fails here has let go of them.
            let _ = tx.rollback().await;
            Err(error)
        }
    };
    match &made {
        Ok(made) => metrics::counter!("retention_removed_total", "kind" => chore.name())
            .increment(made.removed),
        Err(_) => {
            metrics::counter!("retention_failures_total", "kind" => chore.name()).increment(1);
            postpone(db, chore).await?;
        }
    }
    made.map(|Removal { removed, rest }| Step::Made { chore, removed, rest })
}

/// What a step removed, and how long the database rests after it.
struct Removal {
    removed: u64,
    rest: Duration,
}

async fn carry_out(
    tx: &mut Tx,
    lobby: Option<&Db>,
    config: &RetentionConfig,
    chore: Chore,
    now: i64,
    place: &str,
) -> Result<Removal, DbError> {
    let started = Instant::now();
    let Tidied { removed, more, place } = work(tx, lobby, config, chore, now, place).await?;
    let rest = started
        .elapsed()
        .saturating_mul(config.rest)
        .min(Duration::from_millis(LONGEST_REST_MS as u64));
    let rest_ms = i64::try_from(rest.as_millis()).unwrap_or(LONGEST_REST_MS);
    let (next_at, finished_at) = match more {
        true => (now, None),
        false => (now + chore.round_ms(), Some(now)),
    };
    execute!(
        tx,
        "UPDATE chores SET worked_at = $2, next_at = $3, finished_at = COALESCE($4, finished_at), place = $5
         WHERE name = $1",
        chore.name(),
        now,
        next_at,
        finished_at,
        &place
    )?;
    const REST: &str = "UPDATE meta SET value = $2 WHERE key = $1";
    execute!(tx, REST, RESTS_UNTIL, (now + rest_ms).to_string())?;
    Ok(Removal { removed, rest })
}

/// Becomes the one that makes the next step, until the transaction ends, if nobody else is and no rest is
/// to be kept. The time.
async fn take(tx: &mut Tx) -> Result<Option<i64>, DbError> {
    let row: Option<(String, i64)> = fetch_optional!(
        tx,
        postgres: "SELECT value, (SELECT now FROM clock) FROM meta WHERE key = $1
            FOR UPDATE SKIP LOCKED",
        (RESTS_UNTIL),
        sqlite: "SELECT value, (SELECT now FROM clock) FROM meta WHERE key = $1",
        (RESTS_UNTIL),
    )?;
    Ok(row.and_then(|(until, now)| {
        let left = until.parse::<i64>().map_or(0, |until| until - now);
        (!(1..=LONGEST_REST_MS).contains(&left)).then_some(now)
    }))
}

/// The chore whose turn it is, and where it stands.
async fn due(tx: &mut Tx, now: i64) -> Result<Option<(Chore, String)>, DbError> {
    let rows: Vec<(String, String)> = fetch_all!(
        tx,
        "SELECT name, place FROM chores WHERE next_at <= $1 OR next_at > $1 + $2 ORDER BY worked_at, name",
        now,
        LONGEST_WAIT_MS
    )?;
    // Newer programs know more of them.
    Ok(rows.into_iter().find_map(|(name, place)| Some((Chore::named(&name)?, place))))
}

async fn postpone(db: &Db, chore: Chore) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    execute!(
        tx,
        "UPDATE chores SET worked_at = (SELECT now FROM clock), next_at = (SELECT now FROM clock) + $2
         WHERE name = $1",
        chore.name(),
        AFTER_FAILURE_MS
    )?;
    tx.commit().await
}

/// Tells how long ago nothing was left to be done, for each chore. Every api tells the same.
async fn measure(all: &Databases) -> ServiceResult<()> {
    let ask = |db: Db| async move {
        let mut conn = db.read().await?;
        let rows: Vec<(String, i64)> =
            fetch_all!(conn, "SELECT name, now - finished_at FROM chores CROSS JOIN clock")?;
        Ok(rows)
    };
    let mut furthest: HashMap<String, i64> = HashMap::new();
    for (name, behind) in all.ask_each(ask).await?.into_iter().flatten() {
        let most = furthest.entry(name).or_default();
        *most = behind.max(*most);
    }
    for (name, behind) in furthest {
        let Some(chore) = Chore::named(&name) else { continue };
        let seconds = behind.max(0) as f64 / 1000.0;
        metrics::gauge!("retention_behind_seconds", "kind" => chore.name()).set(seconds);
    }
    Ok(())
}
