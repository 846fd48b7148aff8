//! `peers`: the private chats of pairs of users, made where there is none yet.

use super::{
    create::{self, NewChat},
    direct,
};
use crate::{
    accounts::{Actor, input},
    db::{Conn, List, fetch_all},
    error::{Error, Result},
    state::Api,
};
use platform::text::check_peer;
use protocol::{
    account::Role,
    calls::{Pair, Peer, Peers, PeersFound},
    chat::ChatType,
    code::Code,
    id::{ChatId, UserId},
    refusal::Refusal,
};
use std::collections::HashMap;

/// Each pair's chat, in the order asked. However many are asked for, two statements find those that are
/// there; most calls make none.
pub async fn peers(api: &Api, request: Peers) -> Result<PeersFound> {
    let people = People::find(&mut api.db.home().read().await?, &request.pairs).await?;
    let others: Vec<Result<UserId, Refusal>> =
        request.pairs.iter().map(|pair| people.other(pair)).collect();
    let wanted = |(pair, other): (&Pair, &Result<UserId, Refusal>)| {
        Some((pair.user_id, *other.as_ref().ok()?))
    };
    let there = direct::find_all(
        &api.db,
        &request.pairs.iter().zip(&others).filter_map(wanted).collect::<Vec<_>>(),
    )
    .await?;
    let mut there = there.into_iter();
    let mut chats = Vec::with_capacity(others.len());
    for (pair, other) in request.pairs.iter().zip(others) {
        chats.push(match other {
            Err(refusal) => Err(refusal),
            Ok(other) => match there.next().flatten() {
                Some(chat) => Ok(chat),
                None => match make(api, pair.user_id, other).await {
                    Ok(chat) => Ok(chat),
                    Err(error) => Err(refusal(error)?),
                },
            },
        });
    }
    Ok(PeersFound { chats })
}

/// Makes the chat of a pair that has none.
async fn make(api: &Api, user: UserId, other: UserId) -> Result<ChatId> {
    let new = NewChat { chat_type: ChatType::Private, name: None, member_ids: vec![other] };
    let actor = Actor { user_id: user, role: Role::User };
    match create::create(api, actor, new).await {
        Ok(made) => Ok(made.view.id),
        // Somebody else has just made it.
        Err(Error { chat_id: Some(chat), .. }) => Ok(chat),
        Err(error) => Err(error),
    }
}

/// What the pair is told whose chat could not be made; an error that is none of its own stays one.
fn refusal(error: Error) -> Result<Refusal> {
    match error.code {
        // Deactivated since it was found.
        Code::ValidationFailed => Ok(Code::RecipientNotFound.into()),
        Code::BlockedByRecipient => Ok(Refusal::new(Code::BlockedByRecipient, error.detail)),
        _ if error.is_refusal() => Ok(Refusal::new(Code::TooManyChats, error.detail)),
        _ => Err(error),
    }
}

/// Accounts that are not deactivated, and whether they are blocked.
struct People {
    by_id: HashMap<i64, bool>,
    by_key: HashMap<String, i64>,
}

impl People {
    /// Those that these pairs name.
    async fn find(conn: &mut Conn, pairs: &[Pair]) -> Result<Self> {
        let (mut ids, mut keys) = (List(Vec::new()), List(Vec::new()));
        // Not what the database would not take as a text.
        for pair in pairs.iter().filter(|pair| check_peer(&pair.peer).is_ok()) {
            match &pair.peer {
                Peer::Id(id) => ids.0.push(id.0),
                Peer::Username(name) => keys.0.extend(input::username_keys(name)),
            }
        }
        let rows: Vec<(i64, String, bool)> = fetch_all!(
            conn,
            "SELECT id, username_key, blocked_at IS NOT NULL FROM users
             WHERE id IN (SELECT value FROM json_each($1)) AND deactivated_at IS NULL AND NOT guest
             UNION ALL
             SELECT id, username_key, blocked_at IS NOT NULL FROM users
             WHERE username_key IN (SELECT value FROM json_each($2)) AND deactivated_at IS NULL AND NOT guest",
            ids,
            keys
        )?;
        let by_id = rows.iter().map(|(id, _, blocked)| (*id, *blocked)).collect();
        let by_key = rows.into_iter().map(|(id, key, _)| (key, id)).collect();
        Ok(Self { by_id, by_key })
    }

    /// Whom the pair's user may write to.
    fn other(&self, pair: &Pair) -> Result<UserId, Refusal> {
        check_peer(&pair.peer)?;
        let id = match &pair.peer {
            Peer::Id(id) => Some(id.0),
            Peer::Username(name) => {
                input::username_keys(name).iter().find_map(|key| self.by_key.get(key)).copied()
            }
        };
        let found = id.and_then(|id| Some((UserId(id), *self.by_id.get(&id)?)));
        let (other, blocked) = found.ok_or(Code::RecipientNotFound)?;
        if other == pair.user_id {
            return Err(Code::RecipientIsYourself.into());
        }
        if blocked {
            return Err(Code::RecipientBlocked.into());
        }
        Ok(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_ours_is_no_refusal() {
        assert_eq!(refusal(Error::too_many(3)).unwrap().code, Code::TooManyChats);
        assert_eq!(refusal(Error::unavailable()).unwrap_err().code, Code::Unavailable);
        assert_eq!(refusal(Error::internal()).unwrap_err().code, Code::Internal);
    }
}
