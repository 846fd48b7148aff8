//! `changed`: what happened lately, for gateways that must not rely on the bus. Every node asks every
//! few seconds, so each list reads one index from its recent end. Which chats changed, PostgreSQL keeps
//! in a table of its own, `changes`, that whoever sets `chats.changed_at` writes by a trigger, and batches of
//! plain messages by themselves. It does not go back far: who asks for more is told that something was cut.

use crate::{
    announcement,
    db::{Db, Tx, fetch_all, row},
    error::{Error, Result},
    retention::CHANGES_STAY_MS,
    state::Api,
};
use futures_util::future::join_all;
use protocol::{
    calls::{CHANGED_OVERLAP_MS, Changed, ChangedFound, Cut, UserChat, Woken},
    id::{ChatId, Seq, SessionId, UserId},
    limits::MAX_CHANGED,
    relay::{EndReason, EndedSessions},
    time::Timestamp,
};

/// How far back a caller looks that never asked before. A process that starts holds nothing older.
const FIRST_LOOK_MS: i64 = 30_000;

/// How many of a chat's newest events are looked through for the message that woke it.
const MAX_LOOK: i64 = 1_000;

/// The most rows of `changes` that are looked through, some tenths of a second of PostgreSQL: 5,000 commits a
/// second for 20 s, which is twice as far as a caller looks back. Beyond that the list is cut.
const MOST_BATCHES: i64 = 100_000;

/// One more than is answered, to know whether something was cut.
const LIMIT: i64 = MAX_CHANGED as i64 + 1;

/// Everything since a little before `since`, of each server as of one moment. Where something is being written, the
/// next caller begins before that, however long its commit takes.
///
/// Each server has a clock of its own. Who sends `marks` back is told of each from that server's own time on; one that
/// does not answer keeps its mark, and what it missed comes later. Who knows no marks goes by the earliest time of all,
/// and is answered only when all servers are there.
pub async fn changed(api: &Api, request: Changed) -> Result<ChangedFound> {
    let home = api.db.home();
    if !api.db.are_several() {
        let now = home.settled().await?;
        let (mut found, mut tx) = of_chats(home, request.since, now).await?;
        of_people(&mut tx, request.since, now, &mut found).await?;
        tx.commit().await?;
        return Ok(whole(found));
    }
    let knows = request.marks.len() == api.db.each().len();
    let asked = api.db.each().iter().enumerate().map(|(place, db)| {
        let since = if knows { request.marks[place] } else { request.since };
        async move {
            // Who asks every few seconds need not wait for it each time.
            if api.db.is_away(place) {
                return Err(Error::unavailable());
            }
            let now = db.settled().await?;
            let (mut found, mut tx) = of_chats(db, since, now).await?;
            if place == 0 {
                of_people(&mut tx, since, now, &mut found).await?;
            }
            tx.commit().await?;
            found.keep(|chat| api.db.place(chat) == place);
            Ok(found)
        }
    });
    let answers: Vec<Result<ChangedFound>> = join_all(asked).await;
    let mut all = ChangedFound::default();
    let mut earliest = None;
    for (place, answer) in answers.into_iter().enumerate() {
        let before = if knows { request.marks[place] } else { None };
        match answer {
            Ok(found) => {
                earliest = [earliest, Some(found.now)].into_iter().flatten().min();
                all.marks.push(Some(found.now));
                all.add(found);
            }
            // Sessions and announcements are the home's; and who knows no marks would skip what this one has.
            Err(error) if place == 0 || !(knows || request.since.is_none()) => return Err(error),
            Err(_) => {
                metrics::counter!("chat_server_skipped_total").increment(1);
                all.marks.push(before);
            }
        }
    }
    all.now = earliest.unwrap_or_default();
    Ok(whole(all))
}

/// With the sum of what was cut, as older gateways know it.
fn whole(mut found: ChangedFound) -> ChangedFound {
    let Cut { chats, joined, parted, woken, ended } = found.cut;
    found.truncated = chats || joined || parted || woken || ended;
    found
}

fn first_moment(since: Option<Timestamp>, now: i64) -> i64 {
    since.map_or(now - FIRST_LOOK_MS, |since| since.0) - CHANGED_OVERLAP_MS
}

/// What happened in a server's chats, and the transaction that read it.
async fn of_chats(db: &Db, since: Option<Timestamp>, now: i64) -> Result<(ChangedFound, Tx)> {
    let since = first_moment(since, now);
    let mut tx = db.snapshot().await?;
    let mut found = ChangedFound { now: Timestamp(now), ..ChangedFound::default() };
    read_chats(&mut tx, since, &mut found).await?;
    (found.joined, found.cut.joined) = read_joined(&mut tx, since).await?;
    (found.parted, found.cut.parted) = read_parted(&mut tx, since).await?;
    let more_bans;
    (found.banned, more_bans) = read_banned(&mut tx, since).await?;
    // Answered as one: a caller looks at both in the same way.
    found.cut.parted |= more_bans;
    (found.woken, found.cut.woken) = read_woken(&mut tx, since).await?;
    if let Db::Postgres(..) = db
        && since < now - CHANGES_STAY_MS
    {
        found.cut.chats = true;
        found.cut.woken = true;
    }
    Ok((found, tx))
}

/// What happened to people and is told everybody.
async fn of_people(
    tx: &mut Tx,
    since: Option<Timestamp>,
    now: i64,
    found: &mut ChangedFound,
) -> Result<()> {
    read_ended(tx, first_moment(since, now), found).await?;
    found.announced = Some(announcement::current(&mut tx.link()).await?);
    Ok(())
}

row! {
    struct ChangedChat {
        id: i64,
        /// The newest event. `None`: the chat is deleted.
        seq: Option<i64>,
        /// How many rows of `changes` were looked through.
        batches: i64,
    }
}

/// Chats with new events, and those that were deleted.
async fn read_chats(tx: &mut Tx, since: i64, found: &mut ChangedFound) -> Result<()> {
    let mut chats: Vec<ChangedChat> = fetch_all!(
        tx,
        postgres: "WITH lately AS (
                SELECT at, chats, seqs FROM changes WHERE at >= $1 ORDER BY at DESC LIMIT $3)
            SELECT r.id, CASE WHEN BOOL_AND(r.seq IS NOT NULL) THEN MAX(r.seq) END AS seq,
                (SELECT count(*) FROM lately) AS batches
            FROM lately CROSS JOIN LATERAL UNNEST(lately.chats, lately.seqs) AS r (id, seq)
            GROUP BY r.id ORDER BY MAX(lately.at) DESC LIMIT $2",
        (since, LIMIT, MOST_BATCHES),
        sqlite: "SELECT id, CASE WHEN deleted_at IS NULL THEN last_seq END AS seq, 1 AS batches FROM chats
            WHERE changed_at >= $1 ORDER BY changed_at DESC LIMIT $2",
        (since, LIMIT),
    )?;
    let more_batches = chats.first().is_some_and(|chat| chat.batches >= MOST_BATCHES);
    found.cut.chats = cut(&mut chats) || more_batches;
    for ChangedChat { id, seq, .. } in chats {
        match seq {
            None => found.deleted.push(ChatId(id)),
            Some(seq) => found.chats.push((ChatId(id), Seq(seq))),
        }
    }
    Ok(())
}

async fn read_joined(tx: &mut Tx, since: i64) -> Result<(Vec<UserChat>, bool)> {
    let joined: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT user_id, chat_id FROM members WHERE joined_at >= $1 ORDER BY joined_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    Ok(user_chats(joined))
}

/// Who is not a member any more: whoever came back since is in `joined` only.
async fn read_parted(tx: &mut Tx, since: i64) -> Result<(Vec<UserChat>, bool)> {
    let mut parted: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT e.user_id, e.chat_id FROM member_events e
         WHERE e.created_at >= $1 AND e.change <> 'joined' AND NOT EXISTS (
             SELECT 1 FROM members m WHERE m.chat_id = e.chat_id AND m.user_id = e.user_id)
         ORDER BY e.created_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    let of_rooms: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT d.user_id, d.chat_id FROM departures d
         WHERE d.parted_at >= $1 AND NOT EXISTS (
             SELECT 1 FROM members m WHERE m.chat_id = d.chat_id AND m.user_id = d.user_id)
         ORDER BY d.parted_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    parted.extend(of_rooms);
    Ok(user_chats(parted))
}

async fn read_banned(tx: &mut Tx, since: i64) -> Result<(Vec<UserChat>, bool)> {
    let banned: Vec<(i64, i64)> = fetch_all!(
        tx,
        "SELECT user_id, chat_id FROM bans WHERE banned_at >= $1 ORDER BY banned_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    Ok(user_chats(banned))
}

/// Members whom a message woke, and members for whom a chat is dormant although it changed (marked while
/// something was written, say), and after what: messages are looked for from each such chat's end on, and
/// not for ever; what is further back than that is not told of.
async fn read_woken(tx: &mut Tx, since: i64) -> Result<(Vec<Woken>, bool)> {
    // Written so that PostgreSQL begins with the chats that changed, however few are dormant.
    let mut rows: Vec<(i64, i64, i64)> = fetch_all!(
        tx,
        postgres: "WITH lately AS (
                SELECT r.id, MAX(b.at) AS changed_at
                FROM (SELECT at, chats FROM changes WHERE at >= $1 ORDER BY at DESC LIMIT $4) b
                    CROSS JOIN LATERAL UNNEST(b.chats) AS r (id)
                GROUP BY r.id),
            woke AS (
                SELECT c.id, lately.changed_at, COALESCE((
                    SELECT x.id FROM messages x
                    WHERE x.chat_id = c.id AND x.id > c.last_seq - $3 AND x.created_at < $1
                    ORDER BY x.id DESC LIMIT 1),
                    CASE WHEN c.last_seq > $3 THEN c.last_seq - $3 ELSE 0 END) AS after
                FROM lately JOIN chats c ON c.id = lately.id
                WHERE c.deleted_at IS NULL
                    AND COALESCE((SELECT TRUE FROM members d
                        WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE)
                ORDER BY lately.changed_at DESC LIMIT $2)
            SELECT m.user_id, woke.id, woke.after FROM woke CROSS JOIN LATERAL (
                SELECT d.user_id FROM members d WHERE d.chat_id = woke.id AND d.dormant LIMIT $2) m
            ORDER BY woke.changed_at DESC LIMIT $2",
        (since, LIMIT, MAX_LOOK, MOST_BATCHES),
        sqlite: "WITH woke AS (
                SELECT c.id, c.changed_at, COALESCE((
                    SELECT x.id FROM messages x
                    WHERE x.chat_id = c.id AND x.id > c.last_seq - $3 AND x.created_at < $1
                    ORDER BY x.id DESC LIMIT 1),
                    CASE WHEN c.last_seq > $3 THEN c.last_seq - $3 ELSE 0 END) AS after
                FROM chats c
                WHERE c.changed_at >= $1 AND c.deleted_at IS NULL
                    AND COALESCE((SELECT TRUE FROM members d
                        WHERE d.chat_id = c.id AND d.dormant LIMIT 1), FALSE)
                ORDER BY c.changed_at DESC LIMIT $2)
            SELECT m.user_id, woke.id, woke.after
            FROM woke JOIN members m ON m.chat_id = woke.id AND m.dormant
            ORDER BY woke.changed_at DESC LIMIT $2",
        (since, LIMIT, MAX_LOOK),
    )?;
    let awake: Vec<(i64, i64, i64)> = fetch_all!(
        tx,
        "SELECT user_id, chat_id, after FROM wakes WHERE woken_at >= $1
         ORDER BY woken_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    rows.extend(awake);
    let more = cut(&mut rows);
    let woken = |(user, chat, after)| Woken {
        user_id: UserId(user),
        chat_id: ChatId(chat),
        after: Seq(after),
    };
    Ok((rows.into_iter().map(woken).collect(), more))
}

/// Sessions that ended, by the reason.
async fn read_ended(tx: &mut Tx, since: i64, found: &mut ChangedFound) -> Result<()> {
    let mut rows: Vec<(String, Option<String>)> = fetch_all!(
        tx,
        "SELECT id, end_reason FROM sessions WHERE ended_at >= $1 ORDER BY ended_at DESC LIMIT $2",
        since,
        LIMIT
    )?;
    found.cut.ended = cut(&mut rows);
    for (session, reason) in rows {
        let Ok(session) = session.parse::<SessionId>() else { continue };
        let reason = end_reason(reason.as_deref());
        match found.ended.iter_mut().find(|group| group.reason == reason) {
            Some(group) => group.sessions.push(session),
            None => found.ended.push(EndedSessions { sessions: vec![session], reason }),
        }
    }
    Ok(())
}

/// As `sessions.end_reason` spells it.
fn end_reason(text: Option<&str>) -> EndReason {
    match text {
        Some("blocked") => EndReason::Blocked,
        Some("token_reuse") => EndReason::TokenReuse,
        Some("password_changed") => EndReason::PasswordChanged,
        _ => EndReason::SignedOut,
    }
}

/// What is answered of these rows, and whether there was more.
fn user_chats(mut rows: Vec<(i64, i64)>) -> (Vec<UserChat>, bool) {
    let more = cut(&mut rows);
    let pair = |(user, chat)| UserChat { user_id: UserId(user), chat_id: ChatId(chat) };
    (rows.into_iter().map(pair).collect(), more)
}

/// Whether there was more than is answered.
fn cut<T>(rows: &mut Vec<T>) -> bool {
    let more = rows.len() > MAX_CHANGED;
    rows.truncate(MAX_CHANGED);
    more
}
