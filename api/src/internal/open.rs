//! `open`: what new connections start from. Each holds its user's most recently active chats live;
//! the others are marked dormant, so that a message in one of them is told to the user instead.

use super::{
    check_batch,
    dormant::{Mark, mark},
};
use crate::{
    Api,
    chats::overview,
    db::{Conn, Db, List, fetch_all, fetch_one},
};
use shared::{
    chat::ChatView,
    id::{ChatId, UserId},
    internal::{Account, Open, Opened, Role, SessionRefusal, SessionView, UserChat},
    problem::Problem,
};
use std::collections::HashMap;

/// A chat that changed within this time keeps its dormant members dormant: a gateway that missed
/// the wake-up must still find it by `changed`, which looks back this far at most.
const SETTLED_MS: i64 = 60_000;

/// Which sessions may open, and their users' chats.
pub async fn open(api: &Api, request: Open) -> Result<Opened, Problem> {
    check_batch("sessions", request.sessions.len())?;
    let mut conn = api.db.read().await?;
    let (epoch,): (String,) = fetch_one!(conn, "SELECT value FROM meta WHERE key = 'epoch'")?;
    let standings = standings(&mut conn, &request).await?;
    let users: List<i64> = standings.iter().flatten().map(|account| account.id.0).collect();
    let places = places(&mut conn, users, i64::from(request.live_chats)).await?;
    let live: Vec<UserChat> = places.iter().filter(|p| p.live).map(|p| p.pair).collect();
    let mut chats: HashMap<UserId, Vec<ChatView>> = HashMap::new();
    let views = overview::find(&mut conn.link(), &live).await?;
    for (pair, found) in live.iter().zip(views) {
        // One that was deleted in between is gone.
        chats.entry(pair.user_id).or_default().extend(found.map(|chat| chat.view));
    }
    drop(conn);
    mark_dormant(&api.db, &places).await?;
    let view = |user: Account| SessionView {
        chats: chats.get(&user.id).cloned().unwrap_or_default(),
        user,
    };
    let sessions = standings.into_iter().map(|standing| standing.map(view)).collect();
    Ok(Opened { epoch, sessions })
}

type SessionRow = (String, i64, String, String, String, bool, bool);

/// Each session's user, or why it may not open.
async fn standings(
    conn: &mut Conn,
    request: &Open,
) -> Result<Vec<Result<Account, SessionRefusal>>, Problem> {
    let ids: List<String> = request.sessions.iter().map(|s| s.session_id.to_string()).collect();
    let rows: Vec<SessionRow> = fetch_all!(
        conn,
        "SELECT s.id, u.id, u.username, u.name, u.role,
             u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL,
             s.ended_at IS NOT NULL OR s.expires_at <= (SELECT now FROM clock)
         FROM sessions s JOIN users u ON u.id = s.user_id
         WHERE s.id IN (SELECT value FROM json_each($1))",
        ids
    )?;
    let rows: HashMap<String, SessionRow> =
        rows.into_iter().map(|row| (row.0.clone(), row)).collect();
    let standing = |user: UserId, session: String| match rows.get(&session) {
        Some((_, id, username, name, role, blocked, ended)) if *id == user.0 => {
            if *blocked {
                return Err(SessionRefusal::Blocked);
            }
            if *ended {
                return Err(SessionRefusal::Ended);
            }
            Ok(Account {
                id: user,
                username: username.clone(),
                name: name.clone(),
                role: if role == "admin" { Role::Admin } else { Role::User },
            })
        }
        _ => Err(SessionRefusal::Ended),
    };
    Ok(request
        .sessions
        .iter()
        .map(|session| standing(session.user_id, session.session_id.to_string()))
        .collect())
}

/// One of a user's chats that is live, or whose dormant mark is wrong.
struct Placed {
    pair: UserChat,
    live: bool,
    dormant: bool,
    /// Whether the mark of a live chat may be taken away.
    settled: bool,
}

impl Placed {
    fn is_marked_wrong(&self) -> bool {
        match self.live {
            true => self.dormant && self.settled,
            false => !self.dormant,
        }
    }
}

/// The users' live chats, the most recently active first, and those others that are not dormant yet.
async fn places(conn: &mut Conn, users: List<i64>, live: i64) -> Result<Vec<Placed>, Problem> {
    let rows: Vec<(i64, i64, bool, bool, bool)> = fetch_all!(
        conn,
        "SELECT user_id, chat_id, place <= $2, dormant, changed_at < (SELECT now FROM clock) - $3
         FROM (SELECT m.user_id, m.chat_id, m.dormant, c.changed_at, ROW_NUMBER() OVER (
                   PARTITION BY m.user_id ORDER BY c.changed_at DESC, c.id DESC) AS place
               FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
               WHERE m.user_id IN (SELECT value FROM json_each($1))) ranked
         WHERE place <= $2 OR NOT dormant
         ORDER BY user_id, place",
        users,
        live,
        SETTLED_MS
    )?;
    let placed = |(user, chat, live, dormant, settled)| Placed {
        pair: UserChat { user_id: UserId(user), chat_id: ChatId(chat) },
        live,
        dormant,
        settled,
    };
    Ok(rows.into_iter().map(placed).collect())
}

/// Turns the wrong marks around. Writes nothing when there are none, which is almost always.
async fn mark_dormant(db: &Db, places: &[Placed]) -> Result<(), Problem> {
    let wrong: Vec<Mark> = places
        .iter()
        .filter(|place| place.is_marked_wrong())
        .map(|place| (place.pair.chat_id.0, place.pair.user_id.0, !place.dormant))
        .collect();
    mark(db, &wrong).await.map(|_| ())
}
