//! `open`: what new connections start from. Each holds those of its user's most recently active chats
//! live that it shows; the others are marked dormant, so that a message in one of them is told to the
//! user instead. A connection that shows one chat alone, or none, leaves the marks as they are.

use super::{
    dormant::{DormantMark, mark},
    overview::{self, Overview, select_overviews},
    peer_status,
};
use crate::{
    db::{Conn, Databases, Db, List, fetch_all, from_row, row},
    error::{Error, Result},
    state::Api,
};
use protocol::{
    account::{Account, Role},
    calls::{Open, OpenSession, Opened, SessionRefusal, SessionView, Shows, UserChat},
    chat::{ChatType, ChatView, uploaded},
    id::UserId,
    limits::MAX_LIVE_CHATS,
};
use std::collections::HashMap;

/// A chat that changed within this time keeps its dormant members dormant: a gateway whose mark came
/// too late for the message must still find it by `changed`, which looks back this far at most.
const SETTLED_MS: i64 = 60_000;

/// Which sessions may open, and their users' chats. Two statements, whatever the number of sessions, where
/// all chats are shown; a third for windows on one chat. All servers are asked for chats, and one that is away fails
/// the call: without its chats, they would look as if they were gone.
pub async fn open(api: &Api, request: Open) -> Result<Opened> {
    let (epoch, standings) = standings(&mut api.db.home().read().await?, &request).await?;
    let mut shown: Vec<(UserId, Shows)> = (request.sessions.iter().zip(&standings))
        .filter_map(|(session, standing)| Some((standing.as_ref().ok()?.id, session.shows)))
        .collect();
    // The same user may open several windows at once.
    shown.sort_unstable();
    shown.dedup();
    let live = i64::from(request.live_chats.min(MAX_LIVE_CHATS));
    let mut chats: HashMap<(UserId, Shows), Vec<ChatView>> = HashMap::new();
    let mut wrong: Vec<DormantMark> = Vec::new();
    for which in [WhichChats::All, WhichChats::Private] {
        let users = shown.iter().filter(|(_, shows)| *shows == which.shows());
        let users: List<i64> = users.map(|(user, _)| user.0).collect();
        if users.0.is_empty() {
            continue;
        }
        for place in all_places(&api.db, users, live, which).await? {
            wrong.extend(place.wrong_mark(which));
            if place.live {
                chats.entry((place.user, which.shows())).or_default().push(place.chat.view);
            }
        }
    }
    let one = shown.iter().filter_map(|(user_id, shows)| match *shows {
        Shows::One(chat_id) => Some(UserChat { user_id: *user_id, chat_id }),
        Shows::All | Shows::Private | Shows::Nothing => None,
    });
    let one: Vec<UserChat> = one.collect();
    if !one.is_empty() {
        let found = overview::find_all(&api.db, &one).await?;
        for (UserChat { user_id, chat_id }, found) in one.into_iter().zip(found) {
            let may_enter = |chat: &Overview| chat.to_enter().is_ok();
            if let Some(chat) = found.filter(may_enter) {
                chats.entry((user_id, Shows::One(chat_id))).or_default().push(chat.view);
            }
        }
    }
    // Writes nothing when there are none, which is almost always.
    mark(&api.db, &wrong).await?;
    let listed = chats.iter_mut().filter(|((_, shows), _)| *shows == Shows::All);
    let listed = listed.flat_map(|(_, chats)| peer_status::first_peers(chats));
    peer_status::look_up(api, listed).await;
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
enum WhichChats {
    All,
    Private,
}

impl WhichChats {
    fn shows(self) -> Shows {
        match self {
            Self::All => Shows::All,
            Self::Private => Shows::Private,
        }
    }
}

row! {
    /// The epoch, and a found session with its user.
    struct OpeningSession {
        epoch: String,
        session_id: Option<String>,
        user_id: Option<i64>,
        username: Option<String>,
        name: Option<String>,
        avatar: Option<String>,
        role: Option<String>,
        shut_out: bool,
        ended: Option<bool>,
    }
}

/// The database's epoch, and each session's user, or why it may not open.
async fn standings(
    conn: &mut Conn,
    request: &Open,
) -> Result<(String, Vec<Result<Account, SessionRefusal>>)> {
    let ids: List<String> = request.sessions.iter().map(|s| s.session_id.to_string()).collect();
    let rows: Vec<OpeningSession> = fetch_all!(
        conn,
        "SELECT e.value AS epoch, s.id AS session_id, u.id AS user_id, u.username, u.name, u.avatar, u.role,
             u.blocked_at IS NOT NULL OR u.deactivated_at IS NOT NULL AS shut_out,
             s.ended_at IS NOT NULL OR s.expires_at <= (SELECT now FROM clock) AS ended
         FROM meta e LEFT JOIN json_each($1) r ON TRUE
         LEFT JOIN sessions s ON s.id = r.value LEFT JOIN users u ON u.id = s.user_id
         WHERE e.key = 'epoch'",
        ids
    )?;
    let epoch = rows.first().map(|row| row.epoch.clone()).ok_or_else(Error::internal)?;
    let mut found: HashMap<String, Account> = HashMap::new();
    let mut refused: HashMap<String, SessionRefusal> = HashMap::new();
    for row in rows {
        let OpeningSession { session_id, user_id, username, name, role, shut_out, ended, .. } = row;
        let (Some(session), Some(id), Some(username), Some(name)) =
            (session_id, user_id, username, name)
        else {
            continue;
        };
        if shut_out {
            refused.insert(session.clone(), SessionRefusal::Blocked);
        } else if ended != Some(false) {
            refused.insert(session.clone(), SessionRefusal::Ended);
        }
        let role = if role.as_deref() == Some("admin") { Role::Admin } else { Role::User };
        let avatar = row.avatar.and_then(uploaded);
        found.insert(session, Account { id: UserId(id), username, name, avatar, role });
    }
    let standing = |session: &OpenSession| {
        let id = session.session_id.to_string();
        match (found.get(&id).filter(|user| user.id == session.user_id), refused.get(&id)) {
            (None, _) => Err(SessionRefusal::Ended),
            (Some(_), Some(refusal)) => Err(*refusal),
            (Some(user), None) => Ok(user.clone()),
        }
    };
    Ok((epoch, request.sessions.iter().map(standing).collect()))
}

/// One of a user's chats that is live, or whose dormant mark is wrong.
struct Placed {
    chat: Overview,
    user: UserId,
    live: bool,
    dormant: bool,
    /// Whether the mark of a live chat may be taken away.
    settled: bool,
}

from_row!(Placed, |row| Self {
    chat: Overview::from_row(row)?,
    user: UserId(row.try_get("user_id")?),
    live: row.try_get("live")?,
    dormant: row.try_get("dormant")?,
    settled: row.try_get("settled")?,
});

impl Placed {
    fn wrong_mark(&self, which: WhichChats) -> Option<DormantMark> {
        let is_wrong = match (self.live, which) {
            (true, WhichChats::All) => self.dormant && self.settled,
            // Those that show all chats may not hold it.
            (true, WhichChats::Private) => false,
            (false, _) => !self.dormant,
        };
        is_wrong.then_some(DormantMark {
            chat_id: self.chat.view.id.0,
            user_id: self.user.0,
            dormant: !self.dormant,
        })
    }
}

/// [`places`] of all servers: of each server's live chats the first ones of all are live.
async fn all_places(
    db: &Databases,
    users: List<i64>,
    live: i64,
    which: WhichChats,
) -> Result<Vec<Placed>> {
    let ask = |db: Db| {
        let users = users.clone();
        async move { places(&mut db.read().await?, users, live, which).await }
    };
    let mut placed: Vec<Placed> = db.ask_each(ask).await?.into_iter().flatten().collect();
    if db.are_several() {
        let first = |place: &Placed| {
            let others =
                which == WhichChats::Private && place.chat.view.chat_type != ChatType::Private;
            (place.user, !place.live, others, place.chat.place())
        };
        placed.sort_by_key(first);
        let mut left = (UserId(0), 0);
        for place in placed.iter_mut().filter(|place| place.live) {
            if left.0 != place.user {
                left = (place.user, live);
            }
            left.1 -= 1;
            place.live = left.1 >= 0;
        }
    }
    Ok(placed)
}

/// SQLite's statement of [`places`].
pub(super) const PLACES_SQLITE: &str = select_overviews!(sqlite: ", p.user_id, p.place <= $2 AS live, p.dormant,
            p.changed_at < (SELECT now FROM clock) - $3 AS settled",
        "(SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.dormant, m.invited_by, m.muted, m.pinned,
                  m.archived_upto, m.marked_unread,
                  ROW_NUMBER() OVER (PARTITION BY m.user_id
                      ORDER BY ($4 AND c.chat_type = 'private') DESC,
                          m.invited_by IS NOT NULL, NOT m.pinned, c.changed_at DESC, c.id DESC) AS place
              FROM members m JOIN chats c ON c.id = m.chat_id AND c.deleted_at IS NULL
              WHERE m.user_id IN (SELECT value FROM json_each($1))) p",
        "WHERE (p.place <= $2 OR NOT p.dormant) AND (NOT $4 OR p.chat_type = 'private')
        ORDER BY p.user_id, p.place");

/// The users' live chats: pinned ones first, then the most recently active, and what strangers invited them to after
/// all others; and those others that are not dormant yet. Of [`WhichChats::Private`] the private ones come before all
/// others.
/// PostgreSQL goes from the users to their memberships and from there to the chats, whatever it believes
/// of the tables: each step is a subquery that it cannot turn around.
async fn places(
    conn: &mut Conn,
    users: List<i64>,
    live: i64,
    which: WhichChats,
) -> Result<Vec<Placed>> {
    let private = which == WhichChats::Private;
    Ok(fetch_all!(
        conn,
        postgres: select_overviews!(postgres: ", p.user_id, p.place <= $2 AS live, p.dormant,
                p.changed_at < (SELECT now FROM clock) - $3 AS settled",
            "UNNEST($1::BIGINT[]) AS r (user_id) CROSS JOIN LATERAL (
                SELECT c.*, m.user_id, m.role, m.last_read, m.seen, m.dormant, m.invited_by, m.muted, m.pinned,
                    m.archived_upto, m.marked_unread,
                    ROW_NUMBER() OVER (ORDER BY ($4 AND c.chat_type = 'private') DESC,
                        m.invited_by IS NOT NULL, NOT m.pinned, c.changed_at DESC, c.id DESC) AS place
                FROM members m CROSS JOIN LATERAL (
                    SELECT * FROM chats
                    WHERE id = m.chat_id AND deleted_at IS NULL OFFSET 0) c
                WHERE m.user_id = r.user_id) p",
            "WHERE (p.place <= $2 OR NOT p.dormant) AND (NOT $4 OR p.chat_type = 'private')
            ORDER BY p.user_id, p.place"),
        (users, live, SETTLED_MS, private),
        sqlite: PLACES_SQLITE,
        (users, live, SETTLED_MS, private),
    )?)
}
