//! `open`: what new connections start from. Each holds those of its user's most recently active chats
//! live that it shows; the others are marked dormant, so that a message in one of them is told to the
//! user instead. A connection that shows one chat alone, or none, leaves the marks as they are.

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
    chat::{ChatType, ChatView},
    id::{ChatId, UserId},
    internal::{
        Account, MAX_LIVE_CHATS, Open, Opened, Role, SessionRefusal, SessionView, Shows, UserChat,
    },
    problem::Problem,
};
use std::collections::HashMap;

/// A chat that changed within this time keeps its dormant members dormant: a gateway whose mark came
/// too late for the message must still find it by `changed`, which looks back this far at most.
const SETTLED_MS: i64 = 60_000;

/// Which sessions may open, and their users' chats.
pub async fn open(api: &Api, request: Open) -> Result<Opened, Problem> {
    check_batch("sessions", request.sessions.len())?;
    let mut conn = api.db.read().await?;
    let (epoch,): (String,) = fetch_one!(conn, "SELECT value FROM meta WHERE key = 'epoch'")?;
    let standings = standings(&mut conn, &request).await?;
    let mut shown: Vec<(UserId, Shows)> = (request.sessions.iter().zip(&standings))
        .filter_map(|(session, standing)| Some((standing.as_ref().ok()?.id, session.shows)))
        .collect();
    // The same user may open several windows at once.
    shown.sort_unstable();
    shown.dedup();
    let live = i64::from(request.live_chats.min(MAX_LIVE_CHATS));
    let mut places = Vec::new();
    for which in [Which::All, Which::Private] {
        let users = shown.iter().filter(|(_, shows)| *shows == which.shows());
        let users: List<i64> = users.map(|(user, _)| user.0).collect();
        if !users.0.is_empty() {
            places.extend(self::places(&mut conn, users, live, which).await?);
        }
    }
    let mut wanted: Vec<(Shows, UserChat)> = places
        .iter()
        .filter(|place| place.live)
        .map(|place| (place.which.shows(), place.pair))
        .collect();
    wanted.extend(shown.iter().filter_map(|(user_id, shows)| match *shows {
        Shows::One(chat_id) => Some((*shows, UserChat { user_id: *user_id, chat_id })),
        Shows::All | Shows::Private | Shows::Nothing => None,
    }));
    let pairs: Vec<UserChat> = wanted.iter().map(|(_, pair)| *pair).collect();
    let views = match pairs.is_empty() {
        true => Vec::new(),
        false => overview::find(&mut conn.link(), &pairs).await?,
    };
    let mut chats: HashMap<(UserId, Shows), Vec<ChatView>> = HashMap::new();
    for ((shows, pair), found) in wanted.iter().zip(views) {
        // One that was deleted in between is gone.
        let Some(found) = found else { continue };
        if found.role.is_some() || found.view.chat_type == ChatType::Room {
            chats.entry((pair.user_id, *shows)).or_default().push(found.view);
        }
    }
    drop(conn);
    mark_dormant(&api.db, &places).await?;
    let view = |(user, shows): (Account, Shows)| SessionView {
        chats: chats.get(&(user.id, shows)).cloned().unwrap_or_default(),
        user,
    };
    let sessions = (standings.into_iter().zip(&request.sessions))
        .map(|(standing, session)| standing.map(|user| view((user, session.shows))))
        .collect();
    Ok(Opened { epoch, sessions })
}

/// Those of a user's chats that are placed by their activity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    All,
    Private,
}

impl Which {
    fn shows(self) -> Shows {
        match self {
            Self::All => Shows::All,
            Self::Private => Shows::Private,
        }
    }
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
    which: Which,
    pair: UserChat,
    live: bool,
    dormant: bool,
    /// Whether the mark of a live chat may be taken away.
    settled: bool,
}

impl Placed {
    fn is_marked_wrong(&self) -> bool {
        match (self.live, self.which) {
            (true, Which::All) => self.dormant && self.settled,
            // Those that show all chats may not hold it.
            (true, Which::Private) => false,
            (false, _) => !self.dormant,
        }
    }
}

/// The users' live chats, the most recently active first, and those others that are not dormant yet.
async fn places(
    conn: &mut Conn,
    users: List<i64>,
    live: i64,
    which: Which,
) -> Result<Vec<Placed>, Problem> {
    // The kind is looked at last: a condition that PostgreSQL believes to be rare would have it look
    // for the chats first, and for their members then.
    macro_rules! select {
        ($first:literal, $which:literal) => {
            concat!(
                "SELECT user_id, chat_id, place <= $2, dormant,
                     changed_at < (SELECT now FROM clock) - $3
                 FROM (SELECT m.user_id, m.chat_id, m.dormant, c.changed_at, c.chat_type,
                           ROW_NUMBER() OVER (PARTITION BY m.user_id ORDER BY ",
                $first,
                "c.changed_at DESC, c.id DESC) AS place
                       FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
                       WHERE m.user_id IN (SELECT value FROM json_each($1))) ranked
                 WHERE (place <= $2 OR NOT dormant)",
                $which,
                " ORDER BY user_id, place"
            )
        };
    }
    let rows: Vec<(i64, i64, bool, bool, bool)> = match which {
        Which::All => fetch_all!(conn, select!("", ""), users, live, SETTLED_MS)?,
        Which::Private => fetch_all!(
            conn,
            select!("(c.chat_type = 'private') DESC, ", " AND chat_type = 'private'"),
            users,
            live,
            SETTLED_MS
        )?,
    };
    let placed = |(user, chat, live, dormant, settled)| Placed {
        which,
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
