//! Accounts by the thousand, for administrators who try out a deployment or put it under load. A call makes
//! a range of names, or takes the accounts again if an earlier call made them, and returns a session for each.
//! Nobody knows a password for them.
//!
//! A call gives out no sessions of other accounts: it refuses a name that somebody registered, and a blocked
//! account. The mark of a bulk account stands in place of the password's hash. Only this file writes the
//! mark, and nothing changes it afterwards, because setting a password requires the present one.

use super::{
    input::{self, Check},
    sessions::{lifetime_ms, refresh_hash, refresh_token},
};
use crate::{
    audit::{self, AuditAction, AuditEntry},
    auth::{
        ended::reason_text,
        passwords::NO_PASSWORD,
        tokens::{Subject, Tokens},
    },
    db::{DbError, List, Tx, column, execute, fetch_all, json_rows, skeletons},
    error::{Error, Result, fault},
    lookalikes::skeletons,
    news::{self, News},
    retention::SESSIONS_STAY_MS,
    state::Api,
};
use platform::{settings::Secret, token::ACCESS_TOKEN_LIFETIME};
use protocol::{
    account::Role,
    code::Code,
    id::{SessionId, UserId},
    relay::EndReason,
    time::Timestamp,
};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Accounts in one call. Their rows take PostgreSQL some 30 ms, without the two or three for each that tell what
/// its name looks like; their tokens take one core about as long, and the answer has 600 KiB.
pub const MAX_ACCOUNTS: usize = 1_000;

/// The largest number in a name: eight digits, and a prefix of 24 characters.
pub(crate) const MAX_NUMBER: usize = 99_999_999;

/// `{prefix}{from}` and so on, `count` of them.
#[derive(Debug)]
pub struct NameRange {
    /// What all the names begin with; not empty, and no digit at its end.
    pub prefix: String,
    /// The number behind the first one.
    pub from: usize,
    /// From 1 to [`MAX_ACCOUNTS`].
    pub count: usize,
}

/// An account and its only session.
pub struct BulkAccount {
    /// Stays the same when a later call takes the account again.
    pub id: UserId,
    /// The prefix and a number.
    pub username: String,
    /// As signing in gives it.
    pub access_token: String,
    /// Good once, as every refresh token.
    pub refresh_token: String,
}

/// Makes the accounts of a range, in its order. Those that an earlier call made are taken again, also
/// after their removal: their earlier sessions end. `username_taken` when a name is somebody else's;
/// then nothing is made.
pub async fn create(api: &Api, admin: UserId, range: &NameRange) -> Result<Vec<BulkAccount>> {
    let NameRange { from, count, .. } = *range;
    let prefix = &prefix(&range.prefix)?;
    let names = names(prefix, from, count)?;
    let mut tx = api.db.home().begin().await?;
    let users = insert(&mut tx, &names).await?;
    let ids: Vec<i64> = users.values().map(|(id, _)| *id).collect();
    if let Some(name) = names.iter().find(|name| !users.contains_key(&input::key(name))) {
        return Err(name_taken(&format!("The username {name}")));
    }
    keep_skeletons(&mut tx, &names, &users).await?;
    let reason = EndReason::SignedOut;
    let displaced = end_sessions(&mut tx, &ids, reason).await?;
    let opened = open_sessions(api, &mut tx, &names, users).await?;
    let told = format!("{prefix}{from} to {prefix}{}", from + count - 1);
    let entry = AuditEntry::of(admin, AuditAction::CreateUsers).because(&told);
    audit::record(&mut tx, &[entry]).await?;
    let mut news = News::default();
    news.ended(displaced, reason);
    news::commit(api, tx, news).await?;
    tracing::info!(admin.id = admin.0, users = opened.len(), "created accounts in bulk");
    let tokens = api.tokens.clone();
    // A thousand signatures would hold this thread's other requests up.
    tokio::task::spawn_blocking(move || sign(&tokens, opened)).await.map_err(fault)?
}

/// The names, each of which must be one that could be registered.
fn names(prefix: &str, from: usize, count: usize) -> Result<Vec<String>> {
    let last = from.saturating_add(count);
    if !(1..=MAX_ACCOUNTS).contains(&count) {
        return Err(Error::field("count", format!("must be from 1 to {MAX_ACCOUNTS}")));
    }
    if last > MAX_NUMBER {
        return Err(Error::field("from", format!("plus count must stay below {MAX_NUMBER}")));
    }
    let longest = input::username(&format!("{prefix}{last}")).map(drop);
    Check::default().field("prefix", longest).finish()?;
    Ok((from..last).map(|number| format!("{prefix}{number}")).collect())
}

/// As the names that begin so are kept. Not empty: an empty one would mean everybody.
pub(super) fn prefix(text: &str) -> Result<String> {
    let prefix = input::username(text).and_then(|prefix| match prefix.chars().last() {
        Some(last) if last.is_ascii_digit() => Err("must not end with a digit"),
        // A number stands behind it.
        _ if prefix.chars().count() >= input::MAX_USERNAME => Err("must have 1 to 31 characters"),
        _ => Ok(prefix),
    });
    prefix.map_err(|why| Error::field("prefix", why))
}

fn name_taken(which: &str) -> Error {
    let text = format!("{which} is somebody else's, or looks like somebody else's.");
    Error::new(Code::UsernameTaken, text)
}

/// Keeps what the names look like for their owners, `users`, as registering does. `username_taken` when
/// one looks like somebody else's.
async fn keep_skeletons(
    tx: &mut Tx,
    names: &[String],
    users: &HashMap<String, (i64, String)>,
) -> Result<()> {
    let mut missing: BTreeMap<String, i64> = BTreeMap::new();
    for name in names {
        let Some((id, _)) = users.get(&input::key(name)) else { continue };
        missing.extend(skeletons(name).into_iter().map(|one| (one, *id)));
    }
    let kept = skeletons::owners(tx.link(), missing.keys().cloned().collect()).await?;
    for (skeleton, owner) in kept {
        if missing.remove(&skeleton).is_some_and(|user| user != owner) {
            let name = names.iter().find(|name| skeletons(name).contains(&skeleton));
            let name = name.unwrap_or(&skeleton);
            return Err(name_taken(&format!("The username {name}")));
        }
    }
    match skeletons::keep(tx, missing).await {
        Err(error) if error.violates(skeletons::TAKEN) => Err(name_taken("One of the usernames")),
        kept => Ok(kept?),
    }
}

#[derive(Serialize)]
struct KeyedName<'a> {
    key: String,
    name: &'a str,
}

/// Makes the rows that are not there and takes those again that this file made; by `username_key`.
/// What is missing is somebody else's. In the order of the keys, in which all calls make them: two
/// that make the same ones wait for each other once, not in a circle.
async fn insert(tx: &mut Tx, names: &[String]) -> Result<HashMap<String, (i64, String)>, DbError> {
    let rows: Vec<KeyedName> =
        names.iter().map(|name| KeyedName { key: input::key(name), name }).collect();
    let made: Vec<(String, i64, String)> = fetch_all!(
        tx,
        postgres: "INSERT INTO users (username, username_key, name, password_hash, created_at)
            SELECT r.name, r.key, r.name, $1, c.now
            FROM UNNEST($2::TEXT[], $3::TEXT[]) AS r (key, name) CROSS JOIN clock c ORDER BY r.key
            ON CONFLICT (username_key) DO UPDATE SET deactivated_at = NULL
            WHERE users.password_hash = $1 AND users.role = 'user' AND users.blocked_at IS NULL
            RETURNING username_key, id, username",
        (
            NO_PASSWORD,
            column!(rows, key),
            column!(rows, name),
        ),
        sqlite: "INSERT INTO users (username, username_key, name, password_hash, created_at)
            SELECT value ->> 'name', value ->> 'key', value ->> 'name', $1, c.now
            FROM json_each($2) CROSS JOIN clock c WHERE TRUE ORDER BY value ->> 'key'
            ON CONFLICT (username_key) DO UPDATE SET deactivated_at = NULL
            WHERE users.password_hash = $1 AND users.role = 'user' AND users.blocked_at IS NULL
            RETURNING username_key, id, username",
        (NO_PASSWORD, json_rows(&rows)),
    )?;
    Ok(made.into_iter().map(|(key, id, username)| (key, (id, username))).collect())
}

/// Ends all sessions of these users, whose rows this transaction has written, and clears away what
/// ended long ago. Returns those that end, for the news.
pub(super) async fn end_sessions(
    tx: &mut Tx,
    users: &[i64],
    reason: EndReason,
) -> Result<Vec<SessionId>, DbError> {
    execute!(
        tx,
        "DELETE FROM sessions WHERE user_id IN (SELECT value FROM json_each($1))
         AND (ended_at < (SELECT now FROM clock) - $2
              OR expires_at < (SELECT now FROM clock) - $2)",
        List(users.to_vec()),
        SESSIONS_STAY_MS
    )?;
    let ended: Vec<(String,)> = fetch_all!(
        tx,
        "UPDATE sessions SET ended_at = (SELECT now FROM clock), end_reason = $2
         WHERE user_id IN (SELECT value FROM json_each($1)) AND ended_at IS NULL RETURNING id",
        List(users.to_vec()),
        reason_text(reason)
    )?;
    Ok(ended.into_iter().filter_map(|(id,)| id.parse().ok()).collect())
}

/// A session that was opened, before its access token is signed.
struct OpenedSession {
    subject: Subject,
    refresh: Secret,
}

#[derive(Serialize)]
struct NewSession {
    id: String,
    user_id: i64,
    hash: String,
}

async fn open_sessions(
    api: &Api,
    tx: &mut Tx,
    names: &[String],
    mut users: HashMap<String, (i64, String)>,
) -> Result<Vec<OpenedSession>, DbError> {
    let open = |(id, username)| {
        let session_id = SessionId(Uuid::now_v7());
        let (user_id, role) = (UserId(id), Role::User);
        let subject = Subject { user_id, session_id, username, role };
        OpenedSession { subject, refresh: refresh_token(session_id) }
    };
    let opened: Vec<OpenedSession> =
        names.iter().filter_map(|name| users.remove(&input::key(name))).map(open).collect();
    let rows: Vec<NewSession> = opened
        .iter()
        .map(|OpenedSession { subject, refresh }| NewSession {
            id: subject.session_id.to_string(),
            user_id: subject.user_id.0,
            hash: refresh_hash(refresh),
        })
        .collect();
    execute!(
        tx,
        postgres: "INSERT INTO sessions
                (id, user_id, refresh_hash, user_agent, created_at, last_used_at, expires_at)
            SELECT r.id, r.user_id, r.hash, 'bulk', c.now, c.now, c.now + $1
            FROM clock c CROSS JOIN UNNEST($2::TEXT[], $3::BIGINT[], $4::TEXT[])
                AS r (id, user_id, hash)",
        (
            lifetime_ms(api),
            column!(rows, id),
            column!(rows, user_id),
            column!(rows, hash),
        ),
        sqlite: "INSERT INTO sessions
                (id, user_id, refresh_hash, user_agent, created_at, last_used_at, expires_at)
            SELECT value ->> 'id', value ->> 'user_id', value ->> 'hash', 'bulk', c.now, c.now, c.now + $1
            FROM clock c CROSS JOIN json_each($2)",
        (lifetime_ms(api), json_rows(&rows)),
    )?;
    Ok(opened)
}

fn sign(tokens: &Tokens, opened: Vec<OpenedSession>) -> Result<Vec<BulkAccount>> {
    let now = Timestamp::now();
    let account = |OpenedSession { subject, refresh }: OpenedSession| {
        Ok(BulkAccount {
            id: subject.user_id,
            access_token: tokens.issue(&subject, now, ACCESS_TOKEN_LIFETIME).map_err(fault)?,
            refresh_token: refresh.reveal().to_owned(),
            username: subject.username,
        })
    };
    opened.into_iter().map(account).collect()
}
