//! The audit log of several servers, each of which has the entries of what happens there, with ids of its own. They are
//! read in the order of time; at the same time, by server and id. The id that is shown names the server, too.

use super::{AuditFilter, AuditPage, LOOKED_AT, MAX_ENTRIES, RecordedEntry, list};
use crate::{
    db::{Databases, Db, fetch_all, fetch_optional},
    error::Result,
};
use protocol::time::Timestamp;

/// The factor of ids that are shown: more than there may be servers.
const SERVERS: i64 = 64;

/// Where an entry stands among those of all servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EntryPlace {
    at: Timestamp,
    server: i64,
    id: i64,
}

impl EntryPlace {
    fn shown(self) -> i64 {
        self.id * SERVERS + self.server
    }

    /// The place on a server behind which its entries come after this one.
    fn on(self, server: i64) -> (i64, i64) {
        let id = match server.cmp(&self.server) {
            std::cmp::Ordering::Less => i64::MAX,
            std::cmp::Ordering::Equal => self.id,
            std::cmp::Ordering::Greater => 0,
        };
        (self.at.0, id)
    }
}

/// [`list`] of all servers. A server that is away fails it.
pub async fn list_all(
    db: &Databases,
    filter: AuditFilter<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<AuditPage> {
    if !db.are_several() {
        return list(db.home(), filter, before, limit).await;
    }
    let limit = limit.clamp(1, MAX_ENTRIES);
    let mut before_all = EntryPlace { at: Timestamp(i64::MAX), server: 0, id: 0 };
    if let Some(shown) = before {
        let (id, server) = (shown.div_euclid(SERVERS), shown.rem_euclid(SERVERS));
        match time_of(db, server, id).await? {
            Some(at) => before_all = EntryPlace { at, server, id },
            None => return Ok(AuditPage { entries: Vec::new(), next: None }),
        }
    }
    let (mut found, mut looked_to) = (Vec::new(), None);
    for (server, one) in (0..).zip(db.each()) {
        let (entries, last) = on_server(one, filter, before_all.on(server), limit).await?;
        let place = |(at, id)| EntryPlace { at, server, id };
        looked_to = looked_to.max(last.map(place));
        found.extend(entries.into_iter().map(|entry| (place((entry.at, entry.id)), entry)));
    }
    found.retain(|(place, _)| looked_to.is_none_or(|last| *place >= last));
    found.sort_by_key(|(place, _)| std::cmp::Reverse(*place));
    let limit = usize::try_from(limit).unwrap_or(1);
    let cut = found.len() > limit;
    found.truncate(limit);
    let next = if cut { found.last().map(|(place, _)| *place) } else { looked_to };
    let shown = |(place, entry): (EntryPlace, _)| RecordedEntry { id: place.shown(), ..entry };
    Ok(AuditPage {
        entries: found.into_iter().map(shown).collect(),
        next: next.map(EntryPlace::shown),
    })
}

async fn time_of(db: &Databases, server: i64, id: i64) -> Result<Option<Timestamp>> {
    let server = usize::try_from(server).ok().and_then(|server| db.each().get(server));
    let Some(server) = server else { return Ok(None) };
    let mut conn = server.read().await?;
    let at: Option<(i64,)> = fetch_optional!(conn, "SELECT at FROM audit_log WHERE id = $1", id)?;
    Ok(at.map(|(at,)| Timestamp(at)))
}

/// A server's entries before this place, and the last one that was looked at, if there may be more.
async fn on_server(
    db: &Db,
    filter: AuditFilter<'_>,
    (at, id): (i64, i64),
    limit: i64,
) -> Result<(Vec<RecordedEntry>, Option<(Timestamp, i64)>)> {
    let AuditFilter { actor, user, action, from, until } = filter;
    let mut conn = db.read().await?;
    // One that was made from a copy has another one's past, too.
    let entries: Vec<RecordedEntry> = fetch_all!(
        conn,
        "SELECT a.id, a.at, a.actor_id, b.username AS actor_username, b.name AS actor_name,
             b.avatar AS actor_avatar, a.action, a.user_id,
             u.username, u.name, u.avatar, u.guest,
             a.chat_id, a.message_id, a.reason
         FROM (SELECT * FROM audit_log WHERE (at, id) < ($1, $2)
             AND id > COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'audit_from'), 0)
             ORDER BY at DESC, id DESC LIMIT $4) a
         LEFT JOIN users b ON b.id = a.actor_id LEFT JOIN users u ON u.id = a.user_id
         WHERE ($5 IS NULL OR a.actor_id = $5) AND ($6 IS NULL OR a.user_id = $6)
             AND ($7 IS NULL OR a.action = $7) AND ($8 IS NULL OR a.at >= $8) AND ($9 IS NULL OR a.at < $9)
         ORDER BY a.at DESC, a.id DESC LIMIT $3",
        at,
        id,
        limit,
        LOOKED_AT,
        actor.map(|id| id.0),
        user.map(|id| id.0),
        action,
        from.map(|at| at.0),
        until.map(|at| at.0)
    )?;
    if let Some(last) = entries.last()
        && i64::try_from(entries.len()).is_ok_and(|found| found == limit)
    {
        let last = (last.at, last.id);
        return Ok((entries, Some(last)));
    }
    let last: Option<(i64, i64)> = fetch_optional!(
        conn,
        "SELECT at, id FROM audit_log WHERE (at, id) < ($1, $2)
         AND id > COALESCE((SELECT CAST(value AS BIGINT) FROM meta WHERE key = 'audit_from'), 0)
         ORDER BY at DESC, id DESC LIMIT 1 OFFSET $3",
        at,
        id,
        LOOKED_AT - 1
    )?;
    Ok((entries, last.map(|(at, id)| (Timestamp(at), id))))
}
