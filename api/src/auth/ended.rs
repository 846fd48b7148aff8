//! The sessions that ended lately, in memory, so that refusing their access tokens costs nothing.
//! The database is the truth; it is read every half second, with or without Redis. Where the list
//! cannot tell (stale, overflowing, an old token), the caller asks the database about that session.

use crate::{
    config::Config,
    db::{Db, DbError, fetch_all, fetch_optional, row},
};
use parking_lot::RwLock;
use platform::token::{ACCESS_TOKEN_LIFETIME, LEEWAY, MAX_AHEAD};
use protocol::{calls::CHANGED_OVERLAP_MS, id::SessionId, relay::EndReason, time::Timestamp};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What the list knows about a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It had not ended when the list was read last.
    Live,
    /// It has ended, for this reason.
    Ended(EndReason),
    /// Ask the database.
    Unknown,
}

/// The list. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ended(Arc<RwLock<EndedList>>);

#[derive(Debug, Default)]
struct EndedList {
    sessions: HashMap<SessionId, (EndReason, Timestamp)>,
    /// Until when the list may be believed; `None` before the first reading and when it overflows.
    good_until: Option<Instant>,
    /// Up to when the newest reading is complete, by the database's clock.
    read_at: Option<Timestamp>,
}

/// How long the list is believed after a reading: a late poll or two, still within the second in
/// which a revocation must work.
const GOOD_FOR: Duration = Duration::from_millis(900);

/// How long an overflowing list is left alone: reading all of it takes a second.
const OVERFLOW_PAUSE: Duration = Duration::from_secs(30);

/// Sessions that ended longer ago have no access token left that lives.
fn window_ms() -> i64 {
    let kept = ACCESS_TOKEN_LIFETIME + LEEWAY + MAX_AHEAD;
    i64::try_from(kept.as_millis()).unwrap_or(i64::MAX)
}

impl Ended {
    /// What is known about the session of a token issued at `issued`.
    pub fn standing(&self, session: SessionId, issued: i64, now: Timestamp) -> Standing {
        let state = self.0.read();
        if let Some((reason, _)) = state.sessions.get(&session) {
            return Standing::Ended(*reason);
        }
        // Cookies carry tokens that live longer than the list reaches back.
        let recent = i64::try_from(ACCESS_TOKEN_LIFETIME.as_secs()).unwrap_or(i64::MAX);
        let covered = now.unix_seconds().saturating_sub(issued) <= recent;
        let good = state.good_until.is_some_and(|until| Instant::now() < until);
        if covered && good { Standing::Live } else { Standing::Unknown }
    }

    /// These sessions ended just now, committed by this process.
    pub fn add(&self, sessions: &[SessionId], reason: EndReason) {
        let mut state = self.0.write();
        let at = state.read_at.unwrap_or_else(Timestamp::now);
        state.sessions.extend(sessions.iter().map(|session| (*session, (reason, at))));
    }

    /// Reads what ended since a little before the last reading (a transaction's time is older than
    /// its commit), or in the whole window. Forgets what is older than the window. `Ok(false)` when
    /// more ended than `capacity`: then nothing is held.
    pub(crate) async fn poll(&self, db: &Db, capacity: usize) -> Result<bool, DbError> {
        let started = Instant::now();
        let previous = {
            let state = self.0.read();
            state.good_until.and(state.read_at)
        };
        let now = db.settled().await?;
        let mut conn = db.read().await?;
        let oldest = now - window_ms();
        let since = previous.map_or(oldest, |at| (at.0 - CHANGED_OVERLAP_MS).max(oldest));
        let most = i64::try_from(capacity).unwrap_or(i64::MAX).saturating_add(1);
        let rows: Vec<(String, Option<String>, i64)> = fetch_all!(
            conn,
            "SELECT id, end_reason, ended_at FROM sessions WHERE ended_at >= $1 LIMIT $2",
            since,
            most
        )?;
        drop(conn);

        let mut state = self.0.write();
        state.sessions.retain(|_, (_, at)| at.0 >= oldest);
        let found = rows.into_iter().filter_map(|(id, reason, at)| {
            let reason = reason.as_deref().map_or(EndReason::SignedOut, reason_of);
            Some((id.parse().ok()?, (reason, Timestamp(at))))
        });
        state.sessions.extend(found.take(capacity));
        let overflow = state.sessions.len() >= capacity;
        if overflow {
            // Nothing is lost: until it fits again, every request asks the database.
            state.sessions.clear();
        }
        state.good_until = (!overflow).then(|| started + GOOD_FOR);
        state.read_at = Some(Timestamp(now));
        metrics::gauge!("ended_sessions").set(state.sessions.len() as f64);
        Ok(!overflow)
    }

    /// Keeps the list current, for ever.
    pub(crate) async fn keep_current(self, db: Db, config: Arc<Config>) {
        let mut every = tokio::time::interval(config.ended_poll);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            every.tick().await;
            match self.poll(&db, config.ended_capacity).await {
                Ok(true) => failing = false,
                Ok(false) => {
                    tracing::warn!(
                        "more sessions ended than this process remembers; it now looks each one up in the database"
                    );
                    every.reset_after(OVERFLOW_PAUSE);
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "cannot read which sessions ended; looking each one up in the database");
                }
                Err(_) => {}
            }
        }
    }
}

/// What the database says about one session: for [`Standing::Unknown`].
pub(crate) async fn look_up(db: &Db, session: SessionId) -> Result<Standing, DbError> {
    let mut conn = db.read().await?;
    let row: Option<SessionEnd> = fetch_optional!(
        conn,
        "SELECT s.end_reason, s.ended_at, s.expires_at, c.now
         FROM sessions s CROSS JOIN clock c WHERE s.id = $1",
        session.to_string()
    )?;
    Ok(match row {
        Some(SessionEnd { ended_at: None, expires_at, now, .. }) if now < expires_at => {
            Standing::Live
        }
        Some(SessionEnd { end_reason: Some(reason), .. }) => Standing::Ended(reason_of(&reason)),
        _ => Standing::Ended(EndReason::SignedOut),
    })
}

row! {
    /// Whether a session has ended, and why.
    struct SessionEnd {
        end_reason: Option<String>,
        ended_at: Option<i64>,
        expires_at: i64,
        now: i64,
    }
}

/// The column `end_reason`.
pub(crate) fn reason_text(reason: EndReason) -> &'static str {
    match reason {
        EndReason::SignedOut => "signed_out",
        EndReason::Blocked => "blocked",
        EndReason::TokenReuse => "token_reuse",
        EndReason::PasswordChanged => "password_changed",
    }
}

/// All of [`reason_text`].
pub(crate) const END_REASONS: [&str; 4] =
    ["signed_out", "blocked", "token_reuse", "password_changed"];

/// Back from [`reason_text`].
pub(crate) fn reason_of(text: &str) -> EndReason {
    match text {
        "blocked" => EndReason::Blocked,
        "token_reuse" => EndReason::TokenReuse,
        "password_changed" => EndReason::PasswordChanged,
        _ => EndReason::SignedOut,
    }
}
