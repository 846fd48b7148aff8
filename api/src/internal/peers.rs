//! `peers`: the private chats of pairs of users, made where there is none yet.

use super::check_batch;
use crate::{
    Api,
    accounts::input,
    chats::{
        access::Actor,
        create::{self, NewChat},
        direct,
    },
    db::{Conn, fetch_optional},
};
use axum::http::StatusCode;
use shared::{
    chat::ChatType,
    id::{ChatId, UserId},
    internal::{Pair, Peer, Peers, PeersFound, Refusal, RefusalCode, Role},
    problem::Problem,
    text::{check_peer, no_such_user},
};

/// Each pair's chat, in the order asked.
pub async fn peers(api: &Api, request: Peers) -> Result<PeersFound, Problem> {
    check_batch("pairs", request.pairs.len())?;
    let mut chats = Vec::with_capacity(request.pairs.len());
    for pair in &request.pairs {
        chats.push(chat(api, pair).await?);
    }
    Ok(PeersFound { chats })
}

async fn chat(api: &Api, pair: &Pair) -> Result<Result<ChatId, Refusal>, Problem> {
    // Also what the database would not take as a text.
    if let Err(refusal) = check_peer(&pair.peer) {
        return Ok(Err(refusal));
    }
    let mut conn = api.db.read().await?;
    let (peer, blocked) = match find(&mut conn, &pair.peer).await? {
        None => return Ok(Err(no_such_user())),
        Some((peer, _)) if peer == pair.user_id => {
            let text = "You cannot send messages to yourself.";
            return Ok(refuse(RefusalCode::RecipientIsYourself, text));
        }
        Some(found) => found,
    };
    if blocked {
        return Ok(refuse(RefusalCode::RecipientBlocked, "This user is blocked."));
    }
    if let Some(chat) = direct::find(&mut conn, pair.user_id, peer).await? {
        return Ok(Ok(chat));
    }
    drop(conn);
    let new = NewChat { chat_type: ChatType::Private, name: None, member_ids: vec![peer] };
    let actor = Actor { user_id: pair.user_id, role: Role::User };
    match create::create(api, actor, new).await {
        Ok(made) => Ok(Ok(made.view.id)),
        // Somebody else has just made it.
        Err(Problem { chat_id: Some(chat), .. }) => Ok(Ok(chat)),
        // Deactivated since it was found.
        Err(problem) if problem.status == StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Err(no_such_user()))
        }
        Err(problem) if problem.status == StatusCode::FORBIDDEN => {
            Ok(refuse(RefusalCode::BlockedByRecipient, &problem.detail))
        }
        Err(problem) if problem.status.is_client_error() => {
            Ok(refuse(RefusalCode::TooManyChats, &problem.detail))
        }
        Err(problem) => Err(problem),
    }
}

/// An account that is not deactivated, and whether it is blocked.
async fn find(conn: &mut Conn, peer: &Peer) -> Result<Option<(UserId, bool)>, Problem> {
    let row: Option<(i64, bool)> = match peer {
        Peer::Id(id) => fetch_optional!(
            conn,
            "SELECT id, blocked_at IS NOT NULL FROM users
             WHERE id = $1 AND deactivated_at IS NULL AND NOT guest",
            id.0
        )?,
        Peer::Username(name) => {
            let [written, prepared] = input::username_keys(name);
            fetch_optional!(
                conn,
                "SELECT id, blocked_at IS NOT NULL FROM users
                 WHERE username_key IN ($1, $2) AND deactivated_at IS NULL AND NOT guest
                 ORDER BY username_key = $1 DESC LIMIT 1",
                &written,
                &prepared
            )?
        }
    };
    Ok(row.map(|(id, blocked)| (UserId(id), blocked)))
}

fn refuse<T>(code: RefusalCode, message: &str) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.to_owned() })
}
