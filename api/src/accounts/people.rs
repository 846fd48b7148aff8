//! Everybody there is, for administrators: a list to find people in, and one person's card. Neither tells an
//! email address, nor what somebody wrote; reading those is recorded elsewhere.

use super::user::role_of;
use crate::{
    db::{Conn, Db, fetch_all, fetch_one, fetch_optional, from_row},
    error::Result,
    state::Api,
};
use clap::ValueEnum;
use protocol::{account::Role, code::Code, id::UserId, time::Timestamp};

/// Most people in one page.
pub const MAX_PEOPLE: i64 = 100;

/// Rows that one statement reads. A name is compared here and not in the database, because the two databases
/// know different lower cases.
const STRETCH: i64 = 1_000;

/// Statements of one page. Where nobody fits among so many people, the page ends early, and its cursor leads on:
/// so a search costs some tens of milliseconds, however many people there are.
const STRETCHES: usize = 10;

/// Which of all people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Show {
    /// Those who can sign in.
    #[default]
    Accounts,
    /// Accounts with the role.
    Admins,
    /// Accounts and guests that an administrator shut out.
    Blocked,
    /// People without an account.
    Guests,
}

/// A page of the list, the newest person first.
#[derive(Clone, Copy, Debug)]
pub struct PeopleQuery<'a> {
    /// Any part of a username or display name, in any case; empty for all.
    pub text: &'a str,
    /// Which of them.
    pub show: Show,
    /// Those before this one.
    pub before: Option<UserId>,
    /// At most [`MAX_PEOPLE`].
    pub limit: i64,
}

/// An account or a guest in the list.
#[derive(Clone, Debug)]
pub struct PersonEntry {
    /// Never another person's.
    pub id: UserId,
    /// As first written.
    pub username: String,
    /// Display name.
    pub name: String,
    /// A URL, or empty.
    pub avatar: String,
    /// What the account may do.
    pub role: Role,
    /// Has no account.
    pub guest: bool,
    /// Since when an administrator has shut it out.
    pub blocked_at: Option<Timestamp>,
    /// When it was registered, or the guest first came.
    pub created_at: Timestamp,
    deactivated: bool,
}

/// Some people, and where the list goes on.
#[derive(Debug)]
pub struct PeoplePage {
    /// The newest first. May be fewer than were asked for, or none, though there are more.
    pub people: Vec<PersonEntry>,
    /// `before` of the next page; `None` on the last one.
    pub next: Option<UserId>,
}

/// One person, with what an administrator needs before doing something.
#[derive(Clone, Debug)]
pub struct Card {
    /// As in the list.
    pub person: PersonEntry,
    /// When a device last renewed its session or the guest last came, as far as that is still known.
    pub last_seen: Option<Timestamp>,
    /// Live sessions.
    pub sessions: i64,
    /// Chats that the person is in.
    pub chats: i64,
    /// Groups and rooms of those that the person owns.
    pub owned_chats: i64,
}

from_row!(PersonEntry, |row| Self {
    id: UserId(row.try_get("id")?),
    username: row.try_get("username")?,
    name: row.try_get("name")?,
    avatar: row.try_get("avatar")?,
    role: role_of(row.try_get("role")?),
    guest: row.try_get("guest")?,
    blocked_at: row.try_get::<Option<i64>, _>("blocked_at")?.map(Timestamp),
    created_at: Timestamp(row.try_get("created_at")?),
    deactivated: row.try_get::<Option<i64>, _>("deactivated_at")?.is_some(),
});

from_row!(Card, |row| {
    let seen: [Option<i64>; 2] = [row.try_get("used_at")?, row.try_get("visited_at")?];
    Self {
        person: PersonEntry::from_row(row)?,
        last_seen: seen.into_iter().flatten().max().map(Timestamp),
        sessions: row.try_get("session_count")?,
        chats: 0,
        owned_chats: 0,
    }
});

/// The people that a query finds.
pub async fn list(db: &Db, query: PeopleQuery<'_>) -> Result<PeoplePage> {
    let PeopleQuery { text, show, before, limit } = query;
    let limit = usize::try_from(limit.clamp(1, MAX_PEOPLE)).unwrap_or(1);
    // As people write names: `@ann` is Ann.
    let text = text.trim().trim_start_matches('@').to_lowercase();
    let mut before = before.map_or(i64::MAX, |user| user.0);
    let mut people: Vec<PersonEntry> = Vec::new();
    let mut conn = db.read().await?;
    for _ in 0..STRETCHES {
        let rows = stretch(&mut conn, show, before).await?;
        let is_last = rows.len() < STRETCH.unsigned_abs() as usize;
        for person in rows {
            if people.len() == limit {
                let next = people.last().map(|person| person.id);
                return Ok(PeoplePage { people, next });
            }
            before = person.id.0;
            if person.fits(show, &text) {
                people.push(person);
            }
        }
        if is_last {
            return Ok(PeoplePage { people, next: None });
        }
    }
    Ok(PeoplePage { people, next: Some(UserId(before)) })
}

impl PersonEntry {
    fn fits(&self, show: Show, text: &str) -> bool {
        let shown = match show {
            Show::Accounts | Show::Admins => !self.guest,
            Show::Blocked | Show::Guests => true,
        };
        let has = |name: &str| name.to_lowercase().contains(text);
        shown && !self.deactivated && (text.is_empty() || has(&self.username) || has(&self.name))
    }
}

/// People of a kind before this id, the newest first. Each kind that may be rare has an index of its own.
macro_rules! select_people {
    ($kind:literal) => {
        concat!(
            "SELECT u.id, u.username, u.name, u.avatar, u.role, u.guest, u.blocked_at, u.created_at, u.deactivated_at
             FROM users u WHERE u.id < $1",
            $kind,
            " ORDER BY u.id DESC LIMIT $2"
        )
    };
}

async fn stretch(conn: &mut Conn, show: Show, before: i64) -> Result<Vec<PersonEntry>> {
    Ok(match show {
        Show::Accounts => fetch_all!(conn, select_people!(""), before, STRETCH),
        Show::Admins => {
            fetch_all!(conn, select_people!(" AND u.role = 'admin'"), before, STRETCH)
        }
        Show::Blocked => {
            fetch_all!(conn, select_people!(" AND u.blocked_at IS NOT NULL"), before, STRETCH)
        }
        Show::Guests => fetch_all!(conn, select_people!(" AND u.guest"), before, STRETCH),
    }?)
}

/// One person's card; `user_not_found` when there is none.
pub async fn card(api: &Api, user: UserId) -> Result<Card> {
    let mut conn = api.db.home().read().await?;
    let card: Option<Card> = fetch_optional!(
        conn,
        "SELECT u.id, u.username, u.name, u.avatar, u.role, u.guest, u.blocked_at, u.created_at, u.deactivated_at,
             (SELECT MAX(s.last_used_at) FROM sessions s WHERE s.user_id = u.id) AS used_at,
             (SELECT g.seen_at FROM guest_visits g WHERE g.user_id = u.id) AS visited_at,
             (SELECT COUNT(*) FROM sessions s WHERE s.user_id = u.id AND s.ended_at IS NULL
                 AND s.expires_at > (SELECT now FROM clock)) AS session_count
         FROM users u WHERE u.id = $1 AND u.deactivated_at IS NULL",
        user.0
    )?;
    drop(conn);
    let card = card.ok_or(Code::UserNotFound)?;
    let ask = |db: Db| async move {
        let mut conn = db.read().await?;
        let counts: (i64, i64) = fetch_one!(
            conn,
            "SELECT COUNT(*), COUNT(CASE WHEN m.role = 'owner' THEN 1 END)
             FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL WHERE m.user_id = $1",
            user.0
        )?;
        Ok(counts)
    };
    let counts = api.db.ask_each(ask).await?;
    let (chats, owned_chats) =
        counts.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Ok(Card { chats, owned_chats, ..card })
}
