//! Finding accounts by a part of their names: those whose usernames begin with it by an index, then whoever has it
//! anywhere in the username or the display name by looking through the accounts, a bounded number for each page.

use super::{
    Actor, input,
    profile::viewer,
    user::{Profile, User},
};
use crate::{
    db::{Conn, fetch_all, fetch_one},
    error::Result,
    parts,
    state::Api,
};
use protocol::{chat::PresenceStatus, id::UserId};

/// Most users in one answer.
pub const MAX_PAGE: i64 = 100;
/// How many when the client does not say.
pub(crate) const DEFAULT_PAGE: i64 = 20;
/// Most accounts that one page looks through: some milliseconds.
pub(crate) const MAX_WALK: i64 = 10_000;

/// Some users, and where the next page begins.
#[derive(Debug)]
pub struct UserPage {
    /// Those whose usernames begin with the text in the order of their usernames, then the others by age.
    pub items: Vec<Profile>,
    /// `after` of the next page; `null` on the last one. There may be one behind a page that is not full.
    pub next: Option<String>,
}

/// Where a page begins.
enum SearchPlace {
    /// Behind this username, among those that begin with the text.
    Beginning(String),
    /// Behind this account, among the others.
    Inside(i64),
}

impl SearchPlace {
    /// No account's username begins with `@`.
    fn read(after: &str) -> Self {
        match after.strip_prefix('@').map(str::parse) {
            Some(Ok(id)) => Self::Inside(id),
            _ => Self::Beginning(input::key(after)),
        }
    }

    fn inside(id: i64) -> String {
        format!("@{id}")
    }
}

/// Active users who have this text in their username or display name, after the place `after`; of others nobody
/// reads the email address here. Without a text all of them.
pub async fn search(
    api: &Api,
    actor: Actor,
    text: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<UserPage> {
    let searched = SearchedText::new(text);
    let mut conn = api.db.home().read().await?;
    let (mut users, mut next) = (Vec::new(), None);
    let mut inside = None;
    match SearchPlace::read(after.unwrap_or_default()) {
        SearchPlace::Beginning(after) => {
            users = beginning(&mut conn, &searched, &after, limit).await?;
            if is_full(&users, limit) {
                next = users.last().map(|user| input::key(&user.username));
            } else if !searched.begin.is_empty() {
                inside = Some(0);
            }
        }
        SearchPlace::Inside(id) => inside = Some(id),
    }
    if let Some(after) = inside {
        let left = limit - users.len() as i64;
        let found = anywhere(&mut conn, &searched, after, left).await?;
        next = match found.last() {
            Some(last) if is_full(&found, left) => Some(SearchPlace::inside(last.id.0)),
            _ => walked_to(&mut conn, after).await?.map(SearchPlace::inside),
        };
        users.extend(found);
    }
    drop(conn);
    Ok(UserPage { items: views(api, actor, users).await, next })
}

fn is_full(users: &[User], limit: i64) -> bool {
    users.len() as i64 == limit
}

/// What is looked for.
struct SearchedText<'a> {
    text: &'a str,
    /// The keys of the usernames that begin with it lie between these.
    begin: String,
    end: String,
}

impl<'a> SearchedText<'a> {
    fn new(text: &'a str) -> Self {
        let begin = input::key(text.trim());
        // Code points up to the last one that a text may hold: everything that begins alike.
        let end = format!("{begin}{}", char::MAX);
        Self { text, begin, end }
    }
}

async fn beginning(
    conn: &mut Conn,
    SearchedText { begin, end, .. }: &SearchedText<'_>,
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    Ok(fetch_all!(
        conn,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM users u WHERE u.username_key >= $1 AND u.username_key < $2
         AND u.username_key > $3 AND u.deactivated_at IS NULL AND NOT u.guest
         ORDER BY u.username_key LIMIT $4",
        begin,
        end,
        after,
        limit
    )?)
}

/// Others than those of [`beginning`], among the next [`MAX_WALK`].
async fn anywhere(
    conn: &mut Conn,
    SearchedText { text, begin, end }: &SearchedText<'_>,
    after: i64,
    limit: i64,
) -> Result<Vec<User>> {
    let [written, lower, upper, initials] = parts::patterns(text);
    Ok(fetch_all!(
        conn,
        "SELECT u.id, u.username, u.email, u.name, u.avatar, u.role, u.created_at, u.blocked_at,
            u.deactivated_at
         FROM (SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT $2) u
         WHERE NOT (u.username_key >= $3 AND u.username_key < $4) AND u.deactivated_at IS NULL AND NOT u.guest
             AND (u.username_key LIKE $5 ESCAPE '\\' OR lower(u.name) LIKE $5 ESCAPE '\\' OR u.name LIKE $6 ESCAPE '\\'
                 OR u.name LIKE $7 ESCAPE '\\' OR u.name LIKE $8 ESCAPE '\\')
         ORDER BY u.id LIMIT $9",
        after,
        MAX_WALK,
        begin,
        end,
        &lower,
        &written,
        &upper,
        &initials,
        limit
    )?)
}

/// The last account of a walk from `after` on, if it did not come to the end.
async fn walked_to(conn: &mut Conn, after: i64) -> Result<Option<i64>> {
    let (last, count): (Option<i64>, i64) = fetch_one!(
        conn,
        "SELECT MAX(id), count(*) FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) walked",
        after,
        MAX_WALK
    )?;
    Ok(last.filter(|_| count == MAX_WALK))
}

async fn views(api: &Api, actor: Actor, users: Vec<User>) -> Vec<Profile> {
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let online = api.presence.online(&ids).await.unwrap_or_default();
    let view = |user: User| {
        let status = match online.contains(&user.id) {
            true => PresenceStatus::Online,
            false => PresenceStatus::Offline,
        };
        let (viewer, is_own) = (viewer(actor, user.id), user.id == actor.user_id);
        let view = user.view(status, viewer);
        match is_own {
            true => view,
            false => Profile { email: String::new(), ..view },
        }
    };
    users.into_iter().map(view).collect()
}
