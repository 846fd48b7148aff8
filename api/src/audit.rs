//! The log of what administrators did: who, what, to whom, where, when and why. An entry is written
//! in the transaction of its act, or before the answer to a reading, so there is no act without
//! one; the database refuses to change or remove it. What administrators may do is decided elsewhere.

pub mod servers;

use crate::{
    db::{Db, DbError, Tx, column, execute, fetch_all, fetch_optional, from_row, json_rows},
    error::{Error, Result},
    state::Api,
};
use platform::text::hides_something;
use protocol::{
    chat::UserRef,
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::Serialize;

/// Longest reason, in characters: a sentence or two.
pub(crate) const MAX_REASON_CHARS: usize = 200;

/// Most entries in one page.
pub const MAX_ENTRIES: i64 = 100;

/// Entries among which one page looks for those that fit: some ten milliseconds.
const LOOKED_AT: i64 = 10_000;

/// What was done. Of chats, members and messages only what an administrator did by that right and
/// could not have done without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum AuditAction {
    /// Shut an account out.
    BlockUser,
    /// Let it in again.
    UnblockUser,
    /// Read the list of a user's chats.
    ReadUserChats,
    /// Read a private chat of two others.
    ReadConversation,
    /// Saw a user's email address.
    ReadEmail,
    /// Gave a chat of others another name.
    RenameChat,
    /// Deleted a chat of others.
    DeleteChat,
    /// Put a user into a chat.
    AddMember,
    /// Took a member out of a chat.
    RemoveMember,
    /// Banned a user from a room.
    BanUser,
    /// Lifted a ban.
    LiftBan,
    /// Deleted a message of somebody else.
    DeleteMessage,
    /// Made the first administrator.
    CreateAdmin,
    /// Gave an account another password. By the operator.
    ResetPassword,
    /// Handed out a link to a new password.
    MakePasswordLink,
    /// By the account's owner: used such a link.
    ResetPasswordByLink,
    /// Turned off a user's two-step sign-in.
    RemoveSecondFactor,
    /// Took a user's picture away.
    RemoveAvatar,
    /// By the account's owner: deleted it.
    DeleteAccount,
    /// Made a user an administrator.
    PromoteUser,
    /// Made an administrator an ordinary user.
    DemoteUser,
    /// Looked at the devices on which a user is signed in.
    ReadSessions,
    /// Looked who the members of a private chat or group of others are.
    ReadMembers,
    /// Looked at the open connections of a user.
    ReadConnections,
    /// Closed connections of a user.
    Disconnect,
    /// Told everybody something, whose beginning is the reason.
    Announce,
    /// Withdrew what was told.
    WithdrawAnnouncement,
    /// Signed a user out, on one device or on all.
    EndSessions,
    /// Accounts in bulk, which the reason names.
    CreateUsers,
    /// Accounts in bulk, by a prefix that the reason names.
    RemoveUsers,
    /// Chats in bulk, which the reason counts.
    CreateChats,
}

impl AuditAction {
    /// The spelling in the database and in answers.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An act to be recorded: `AuditEntry::of(actor, action).on_user(…).because(…)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditEntry<'a> {
    actor: Option<UserId>,
    action: AuditAction,
    user: Option<UserId>,
    chat: Option<ChatId>,
    message: Option<Seq>,
    reason: &'a str,
}

impl<'a> AuditEntry<'a> {
    /// `None` as the actor: the operator, outside of the product.
    pub fn of(actor: impl Into<Option<UserId>>, action: AuditAction) -> Self {
        let actor = actor.into();
        Self { actor, action, user: None, chat: None, message: None, reason: "" }
    }

    /// To whom it was done, or whose it was.
    pub fn on_user(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Where it was done.
    pub fn in_chat(self, chat: ChatId) -> Self {
        Self { chat: Some(chat), ..self }
    }

    /// To which message it was done.
    pub fn on_message(self, message: Seq) -> Self {
        Self { message: Some(message), ..self }
    }

    /// A reason that [`check_reason`] let pass, or what a bulk act was about.
    pub fn because(self, reason: &'a str) -> Self {
        Self { reason, ..self }
    }
}

/// What an administrator gives as the reason; empty for none. `validation_failed` when it is too
/// long or has characters that a reader of the log would not see.
pub fn check_reason(reason: &str) -> Result<()> {
    if reason.chars().count() > MAX_REASON_CHARS {
        let most = format!("must have at most {MAX_REASON_CHARS} characters");
        return Err(Error::field("reason", most));
    }
    if hides_something(reason) {
        return Err(Error::field("reason", "must not have control or invisible characters"));
    }
    Ok(())
}

/// An [`AuditEntry`] as its statement takes it.
#[derive(Serialize)]
struct NewEntry<'a> {
    actor_id: Option<i64>,
    action: &'static str,
    user_id: Option<i64>,
    chat_id: Option<i64>,
    message_id: Option<i64>,
    reason: &'a str,
}

impl<'a> From<&AuditEntry<'a>> for NewEntry<'a> {
    fn from(entry: &AuditEntry<'a>) -> Self {
        Self {
            actor_id: entry.actor.map(|id| id.0),
            action: entry.action.as_str(),
            user_id: entry.user.map(|id| id.0),
            chat_id: entry.chat.map(|id| id.0),
            message_id: entry.message.map(|id| id.0),
            reason: entry.reason,
        }
    }
}

/// Appends these entries, in their order, when the transaction commits.
pub async fn record(tx: &mut Tx, entries: &[AuditEntry<'_>]) -> Result<(), DbError> {
    if entries.is_empty() {
        return Ok(());
    }
    let rows: Vec<NewEntry<'_>> = entries.iter().map(NewEntry::from).collect();
    // The order of entries is that of their ids, which the database gives as it inserts.
    execute!(
        tx,
        postgres: "INSERT INTO audit_log (at, actor_id, action, user_id, chat_id, message_id, reason)
            SELECT now, r.actor_id, r.action, r.user_id, r.chat_id, r.message_id, r.reason
            FROM clock CROSS JOIN
                UNNEST($1::BIGINT[], $2::TEXT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[], $6::TEXT[])
                AS r (actor_id, action, user_id, chat_id, message_id, reason)",
        (
            column!(rows, actor_id),
            column!(rows, action),
            column!(rows, user_id),
            column!(rows, chat_id),
            column!(rows, message_id),
            column!(rows, reason),
        ),
        sqlite: "INSERT INTO audit_log (at, actor_id, action, user_id, chat_id, message_id, reason)
            SELECT now, value ->> 'actor_id', value ->> 'action', value ->> 'user_id',
                value ->> 'chat_id', value ->> 'message_id', value ->> 'reason'
            FROM clock CROSS JOIN json_each($1) ORDER BY key",
        (json_rows(&rows)),
    )?;
    Ok(())
}

/// Appends the entry of a reading, at once: before the answer.
pub(crate) async fn record_reading(api: &Api, entry: AuditEntry<'_>) -> Result<()> {
    let mut tx = api.db.home().begin().await?;
    record(&mut tx, &[entry]).await?;
    tx.commit().await?;
    Ok(())
}

/// An entry as administrators read it.
#[derive(Clone, Debug)]
pub struct RecordedEntry {
    /// Grows with time: the cursor of pages.
    pub id: i64,
    /// When its transaction wrote it.
    pub at: Timestamp,
    /// `null`: the operator, who makes the first administrator.
    pub actor: Option<UserRef>,
    /// As [`AuditAction::as_str`] spells it.
    pub action: String,
    /// The user it was done to, or whose data it was; `None`: nobody's.
    pub target_user: Option<UserRef>,
    /// `None`: it concerned no chat.
    pub chat_id: Option<ChatId>,
    /// `None`: it concerned no message.
    pub message_id: Option<Seq>,
    /// As the administrator gave it, or what a bulk act was about; empty for none.
    pub reason: String,
}

from_row!(RecordedEntry, |row| {
    let actor: Option<i64> = row.try_get("actor_id")?;
    let actor_username: Option<String> = row.try_get("actor_username")?;
    let actor_name: Option<String> = row.try_get("actor_name")?;
    let actor_avatar: Option<String> = row.try_get("actor_avatar")?;
    let user: Option<i64> = row.try_get("user_id")?;
    let username: Option<String> = row.try_get("username")?;
    let name: Option<String> = row.try_get("name")?;
    let avatar: Option<String> = row.try_get("avatar")?;
    let guest: Option<bool> = row.try_get("guest")?;
    Self {
        id: row.try_get("id")?,
        at: Timestamp(row.try_get("at")?),
        actor: (actor.zip(actor_username)).map(|(id, username)| {
            UserRef::registered(UserId(id), username)
                .named(actor_name.unwrap_or_default())
                .pictured(actor_avatar.unwrap_or_default())
        }),
        action: row.try_get("action")?,
        target_user: user.zip(username).map(|(id, username)| UserRef {
            guest: guest.unwrap_or_default(),
            ..UserRef::registered(UserId(id), username)
                .named(name.unwrap_or_default())
                .pictured(avatar.unwrap_or_default())
        }),
        chat_id: row.try_get::<Option<i64>, _>("chat_id")?.map(ChatId),
        message_id: row.try_get::<Option<i64>, _>("message_id")?.map(Seq),
        reason: row.try_get("reason")?,
    }
});

/// Which entries; every field that is given must fit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditFilter<'a> {
    /// Acts of this administrator.
    pub actor: Option<UserId>,
    /// Acts on this user.
    pub user: Option<UserId>,
    /// Acts of this kind, as [`AuditAction::as_str`] spells it.
    pub action: Option<&'a str>,
    /// Not before this time.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
}

/// Some entries, and where the log goes on.
#[derive(Debug)]
pub struct AuditPage {
    /// The newest first. May be fewer than were asked for, or none, though there are more.
    pub entries: Vec<RecordedEntry>,
    /// `before` of the next page; `None` on the last one.
    pub next: Option<i64>,
}

/// The entries before the entry `before`, the newest first; at most [`MAX_ENTRIES`] and among `LOOKED_AT`.
pub async fn list(
    db: &Db,
    filter: AuditFilter<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<AuditPage> {
    let AuditFilter { actor, user, action, from, until } = filter;
    let (before, limit) = (before.unwrap_or(i64::MAX), limit.clamp(1, MAX_ENTRIES));
    let mut conn = db.read().await?;
    let entries: Vec<RecordedEntry> = fetch_all!(
        conn,
        "SELECT a.id, a.at, a.actor_id, b.username AS actor_username, b.name AS actor_name,
             b.avatar AS actor_avatar, a.action, a.user_id,
             u.username, u.name, u.avatar, u.guest,
             a.chat_id, a.message_id, a.reason
         FROM (SELECT * FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $3) a
         LEFT JOIN users b ON b.id = a.actor_id LEFT JOIN users u ON u.id = a.user_id
         WHERE ($4 IS NULL OR a.actor_id = $4) AND ($5 IS NULL OR a.user_id = $5)
             AND ($6 IS NULL OR a.action = $6) AND ($7 IS NULL OR a.at >= $7) AND ($8 IS NULL OR a.at < $8)
         ORDER BY a.id DESC LIMIT $2",
        before,
        limit,
        LOOKED_AT,
        actor.map(|id| id.0),
        user.map(|id| id.0),
        action,
        from.map(|at| at.0),
        until.map(|at| at.0)
    )?;
    if i64::try_from(entries.len()).is_ok_and(|found| found == limit) {
        let next = entries.last().map(|entry| entry.id);
        return Ok(AuditPage { entries, next });
    }
    let last_looked_at: Option<(i64,)> = fetch_optional!(
        conn,
        "SELECT id FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT 1 OFFSET $2",
        before,
        LOOKED_AT - 1
    )?;
    Ok(AuditPage { entries, next: last_looked_at.map(|(id,)| id) })
}
