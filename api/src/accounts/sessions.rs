//! Sessions: signing in opens one; they can be listed and ended. The commit that ends sessions also publishes
//! it (`news`); a node that misses the news reads it from the database.

use super::{
    input::is_unseen,
    user::{User, role_of},
};
use crate::{
    auth::{ended::reason_text, passwords::random_secret, tokens::Subject},
    db::{DbError, Link, Tx, execute, fetch_all, fetch_optional, row},
    error::{Result, fault},
    news::{self, News},
    retention::SESSIONS_STAY_MS,
    state::Api,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use platform::{settings::Secret, token::ACCESS_TOKEN_LIFETIME};
use protocol::{
    account::Role,
    id::{SessionId, UserId},
    relay::EndReason,
    time::Timestamp,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// A user who has just proved who it is, and what it goes on with.
#[derive(Debug)]
pub struct SignedIn {
    /// The account that is signed in.
    pub user: User,
    /// The tokens of its new or renewed session.
    pub tokens: TokenSet,
}

/// The tokens of one session.
#[derive(Debug)]
pub struct TokenSet {
    /// For a Bearer header; lives for minutes.
    pub access: Secret,
    /// Good once; comes back with a successor.
    pub refresh: Secret,
    /// An access token for the session cookie, which lives as long as the session.
    pub cookie: Secret,
}

/// A live session as its user sees it.
#[derive(Debug)]
pub struct SessionInfo {
    /// What ends it (`DELETE`), and what its access tokens name.
    pub id: SessionId,
    /// What the device called itself.
    pub user_agent: String,
    /// When somebody signed in.
    pub created_at: Timestamp,
    /// When its refresh token was last used.
    pub last_used_at: Timestamp,
    /// When it ends by itself, unless it is renewed.
    pub expires_at: Timestamp,
    /// Whether it is the caller's own session.
    pub current: bool,
}

/// Which of a user's sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WhichSessions {
    All,
    One(SessionId),
    AllBut(SessionId),
}

/// Longest device name kept, in characters.
const MAX_USER_AGENT: usize = 200;

/// A session's first refresh token: the session's id, so that any earlier one of the session is recognised
/// when it comes back, and 32 random bytes.
pub(crate) fn refresh_token(session: SessionId) -> Secret {
    with_secret(session, random_secret().reveal())
}

/// The refresh tokens that may follow the one of this hash: the first one does, if this process makes it;
/// the others would, if one that signs with another held key made it.
pub(crate) fn successors(
    api: &Api,
    session: SessionId,
    hash: &str,
) -> impl Iterator<Item = Secret> {
    let secrets = api.tokens.derive(hash);
    secrets.map(move |secret| with_secret(session, &URL_SAFE_NO_PAD.encode(secret)))
}

fn with_secret(session: SessionId, secret: &str) -> Secret {
    Secret::new(format!("{}.{secret}", session.0.simple()))
}

/// The session that a refresh token names; nothing is proven by that.
pub(crate) fn named_session(token: &Secret) -> Option<SessionId> {
    token.reveal().split_once('.')?.0.parse().ok()
}

/// The form in which a refresh token is stored. It is random, so a plain hash is enough.
pub(crate) fn refresh_hash(token: &Secret) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.reveal()))
}

impl TokenSet {
    /// Signs the tokens of a session; `refresh` is the one whose hash its row holds.
    pub(crate) fn new(api: &Api, subject: &Subject, refresh: Secret) -> Result<Self> {
        let now = Timestamp::now();
        let sign =
            |lifetime| api.tokens.issue(subject, now, lifetime).map(Secret::new).map_err(fault);
        Ok(Self {
            access: sign(ACCESS_TOKEN_LIFETIME)?,
            refresh,
            cookie: sign(api.config.session_lifetime)?,
        })
    }
}

/// A session being opened in a transaction, which [`Opening::finish`] commits.
pub(crate) struct Opening {
    session: SessionId,
    refresh: Secret,
    displaced: Vec<SessionId>,
}

impl Opening {
    /// Adds a session for the user, whose row this transaction has written or locked. Ends the
    /// sessions unused for longest beyond the limit and clears away what ended long ago, so that a script
    /// that signs in for each call has few to be looked through.
    pub(crate) async fn begin(
        api: &Api,
        tx: &mut Tx,
        user: UserId,
        user_agent: &str,
    ) -> Result<Self, DbError> {
        let session = SessionId(Uuid::now_v7());
        let refresh = refresh_token(session);
        let agent: String =
            user_agent.chars().filter(|c| !is_unseen(*c)).take(MAX_USER_AGENT).collect();
        // Rows of ended sessions stay for a while, so that a gateway can still tell why one ended.
        execute!(
            tx,
            "DELETE FROM sessions WHERE user_id = $1
             AND (ended_at < (SELECT now FROM clock) - $2
                  OR expires_at < (SELECT now FROM clock) - $2)",
            user.0,
            SESSIONS_STAY_MS
        )?;
        let displaced: Vec<(String,)> = fetch_all!(
            tx,
            "UPDATE sessions SET ended_at = (SELECT now FROM clock), end_reason = $3
             WHERE id IN (SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL
                          ORDER BY last_used_at DESC, id DESC LIMIT 1000000 OFFSET $2)
             RETURNING id",
            user.0,
            api.config.sessions_per_user - 1,
            reason_text(EndReason::SignedOut)
        )?;
        // After the limit was applied: the new session is never the one that goes.
        execute!(
            tx,
            "INSERT INTO sessions
                 (id, user_id, refresh_hash, user_agent, created_at, last_used_at, expires_at)
             SELECT $1, $2, $3, $4, c.now, c.now, c.now + $5 FROM clock c",
            session.to_string(),
            user.0,
            refresh_hash(&refresh),
            &agent,
            lifetime_ms(api)
        )?;
        Ok(Self { session, refresh, displaced: ids(displaced) })
    }

    /// Commits, and makes the tokens.
    pub(crate) async fn finish(self, api: &Api, tx: Tx, user: User) -> Result<SignedIn> {
        let mut news = News::default();
        news.ended(self.displaced, EndReason::SignedOut);
        news::commit(api, tx, news).await?;
        // After the commit: a token must not exist without its session.
        let subject = Subject {
            user_id: user.id,
            session_id: self.session,
            username: user.username.clone(),
            role: user.role,
        };
        Ok(SignedIn { tokens: TokenSet::new(api, &subject, self.refresh)?, user })
    }
}

/// The lifetime of a session, as the queries take it.
pub(crate) fn lifetime_ms(api: &Api) -> i64 {
    i64::try_from(api.config.session_lifetime.as_millis()).unwrap_or(i64::MAX)
}

/// The user's live sessions, the most recently used first.
pub async fn list(api: &Api, user: UserId, current: SessionId) -> Result<Vec<SessionInfo>> {
    let mut conn = api.db.home().read().await?;
    Ok(live(conn.link(), user, Some(current), api.config.sessions_per_user).await?)
}

/// The same over a link, at most `most`; the caller's own one is `current`, if there is one.
pub(crate) async fn live(
    mut link: Link<'_>,
    user: UserId,
    current: Option<SessionId>,
    most: i64,
) -> Result<Vec<SessionInfo>, DbError> {
    let rows: Vec<SessionRow> = fetch_all!(
        link,
        "SELECT id, user_agent, created_at, last_used_at, expires_at FROM sessions
         WHERE user_id = $1 AND ended_at IS NULL AND expires_at > (SELECT now FROM clock)
         ORDER BY last_used_at DESC, id DESC LIMIT $2",
        user.0,
        most
    )?;
    let info = |row: SessionRow| {
        let id = row.id.parse().ok()?;
        Some(SessionInfo {
            id,
            user_agent: row.user_agent,
            created_at: Timestamp(row.created_at),
            last_used_at: Timestamp(row.last_used_at),
            expires_at: Timestamp(row.expires_at),
            current: Some(id) == current,
        })
    };
    Ok(rows.into_iter().filter_map(info).collect())
}

row! {
    struct SessionRow {
        id: String,
        user_agent: String,
        created_at: i64,
        last_used_at: i64,
        expires_at: i64,
    }
}

/// Signs the user out of one session. Whether there was one to end.
pub async fn end(api: &Api, user: UserId, session: SessionId) -> Result<bool> {
    let mut tx = api.db.home().begin().await?;
    let ended = end_in(tx.link(), user, WhichSessions::One(session), EndReason::SignedOut).await?;
    let any = !ended.is_empty();
    let mut news = News::default();
    news.ended(ended, EndReason::SignedOut);
    news::commit(api, tx, news).await?;
    Ok(any)
}

/// The session is in use: it lives on for as long as a new one would. A token for its cookie, which lives as long;
/// `None` for a session that has ended meanwhile.
pub(crate) async fn extend(api: &Api, subject: &Subject) -> Result<Option<Secret>> {
    let mut tx = api.db.home().begin().await?;
    // A refresh token that was exchanged before counts as copied from now on, as it did when its grace was over:
    // that is measured from `last_used_at`.
    let extended = execute!(
        tx,
        "UPDATE sessions SET last_used_at = c.now, expires_at = c.now + $2,
             previous_refresh_hash = CASE WHEN last_used_at > c.now - $3 THEN previous_refresh_hash END
         FROM clock c WHERE id = $1 AND ended_at IS NULL AND expires_at > c.now",
        subject.session_id.to_string(),
        lifetime_ms(api),
        i64::try_from(api.config.refresh_grace.as_millis()).unwrap_or(i64::MAX)
    )?;
    tx.commit().await?;
    if extended == 0 {
        return Ok(None);
    }
    let lifetime = api.config.session_lifetime;
    let cookie = api.tokens.issue(subject, Timestamp::now(), lifetime).map_err(fault)?;
    Ok(Some(Secret::new(cookie)))
}

/// Signs the user out of every session but this one.
pub async fn end_others(api: &Api, user: UserId, current: SessionId) -> Result<()> {
    let (which, reason) = (WhichSessions::AllBut(current), EndReason::SignedOut);
    let mut tx = api.db.home().begin().await?;
    let ended = end_in(tx.link(), user, which, reason).await?;
    let mut news = News::default();
    news.ended(ended, reason);
    news::commit(api, tx, news).await?;
    Ok(())
}

/// Ends live sessions of the user in the caller's transaction. Returns them, for the news.
pub(crate) async fn end_in(
    mut link: Link<'_>,
    user: UserId,
    which: WhichSessions,
    reason: EndReason,
) -> Result<Vec<SessionId>, DbError> {
    let (only, except) = match which {
        WhichSessions::All => (None, None),
        WhichSessions::One(session) => (Some(session.to_string()), None),
        WhichSessions::AllBut(session) => (None, Some(session.to_string())),
    };
    let rows: Vec<(String,)> = fetch_all!(
        link,
        "UPDATE sessions SET ended_at = (SELECT now FROM clock), end_reason = $2
         WHERE user_id = $1 AND ended_at IS NULL
         AND ($3 IS NULL OR id = $3) AND ($4 IS NULL OR id <> $4)
         RETURNING id",
        user.0,
        reason_text(reason),
        only,
        except
    )?;
    Ok(ids(rows))
}

/// Locks the user's row against a block or a new password until the transaction ends, and says
/// whether both are still as they were when the password was checked.
pub(crate) async fn lock_unchanged(
    tx: &mut Tx,
    user: UserId,
    password_hash: &str,
) -> Result<Option<Role>, DbError> {
    // SQLite's transaction is the only writer anyway.
    let row: Option<(String,)> = fetch_optional!(
        tx,
        postgres: "SELECT role FROM users WHERE id = $1 AND password_hash = $2
            AND blocked_at IS NULL AND deactivated_at IS NULL FOR SHARE",
        (user.0, password_hash),
        sqlite: "SELECT role FROM users WHERE id = $1 AND password_hash = $2
            AND blocked_at IS NULL AND deactivated_at IS NULL",
        (user.0, password_hash),
    )?;
    Ok(row.map(|(role,)| role_of(&role)))
}

fn ids(rows: Vec<(String,)>) -> Vec<SessionId> {
    rows.into_iter().filter_map(|(id,)| id.parse().ok()).collect()
}
