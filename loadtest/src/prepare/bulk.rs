//! Preparing by the administrators' bulk routes: a thousand accounts or chats in one call.

use super::{
    PrepareError,
    deal::Dealt,
    progress::{Going, Step, Steps},
};
use crate::{
    cast::Person,
    rest::{Rest, RestError, patiently},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use shared::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use std::time::Duration;

/// What a deployment takes in one call.
const ACCOUNTS: usize = 1_000;
const CHATS: usize = 1_000;
const MEMBERS: usize = 10_000;

/// Members added to a chat in one call.
const ADDED: usize = 200;

/// Calls at once: while one is written to the database, another one's tokens are signed.
const AT_ONCE: usize = 2;

/// A deployment that is busy for longer is not one to be loaded now.
const PATIENCE: Duration = Duration::from_secs(60);

/// The accounts `{prefix}0` and so on, each with a session of its own; those that an earlier call
/// made are taken again.
pub(super) async fn accounts(
    rest: &Rest,
    token: &str,
    prefix: &str,
    wanted: usize,
    steps: &Steps<'_>,
) -> Result<Vec<Person>, PrepareError> {
    #[derive(Deserialize)]
    struct Made {
        users: Vec<Account>,
    }
    #[derive(Deserialize)]
    struct Account {
        id: UserId,
        username: String,
        access_token: String,
        refresh_token: String,
    }
    let going = &steps.begin(Step::Accounts, wanted);
    let calls = (0..wanted).step_by(ACCOUNTS).map(|from| async move {
        let body = json!({ "prefix": prefix, "from": from, "count": ACCOUNTS.min(wanted - from) });
        let made: Made =
            post(rest, token, "/admin/users/bulk", &body, going).await.map_err(|why| match why
                .is("username_taken")
            {
                true => PrepareError::Taken(format!("{prefix}{from} or one after it")),
                false => PrepareError::Refused { what: "accounts cannot be made", why },
            })?;
        going.more(made.users.len());
        Ok::<_, PrepareError>(made.users)
    });
    let made: Vec<Vec<Account>> = stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    let person = |account: Account| Person {
        id: account.id,
        username: account.username,
        token: account.access_token,
        refresh: account.refresh_token,
        chats: Vec::new(),
    };
    Ok(made.into_iter().flatten().map(person).collect())
}

/// Makes these chats. Their ids in the same order.
pub(super) async fn chats(
    rest: &Rest,
    token: &str,
    prefix: &str,
    people: &[Person],
    dealt: &[Dealt],
    steps: &Steps<'_>,
) -> Result<Vec<ChatId>, PrepareError> {
    #[derive(Deserialize)]
    struct Made {
        chat_ids: Vec<ChatId>,
    }
    let going = &steps.begin(Step::Chats, dealt.len());
    let calls = batches(dealt).into_iter().map(|batch| async move {
        let from = batch.start;
        let chats: Vec<Value> = dealt[batch]
            .iter()
            .zip(from..)
            .map(|(chat, number)| chat_body(chat, people, format!("{prefix}{number}")))
            .collect();
        let body = json!({ "chats": chats });
        let made: Made = post(rest, token, "/admin/chats/bulk", &body, going)
            .await
            .map_err(|why| PrepareError::Refused { what: "chats cannot be made", why })?;
        going.more(made.chat_ids.len());
        Ok::<_, PrepareError>(made.chat_ids)
    });
    let made: Vec<Vec<ChatId>> = stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    let made: Vec<ChatId> = made.into_iter().flatten().collect();
    for (chat, id) in dealt.iter().zip(&made) {
        // More than one call takes.
        for more in chat.members.get(MEMBERS..).unwrap_or_default().chunks(ADDED) {
            let users: Vec<UserId> = more.iter().map(|member| people[*member].id).collect();
            let (path, body) = (format!("/chats/{id}/members"), json!({ "user_ids": users }));
            post::<Value>(rest, token, &path, &body, going)
                .await
                .map_err(|why| PrepareError::Refused { what: "members cannot be added", why })?;
        }
    }
    Ok(made)
}

/// Removes the accounts that the bulk route made under this prefix, and the chats that they made.
pub(super) async fn remove(
    rest: &Rest,
    token: &str,
    prefix: &str,
    steps: &Steps<'_>,
) -> Result<(), PrepareError> {
    #[derive(Deserialize)]
    struct Removed {
        users: usize,
        chats: usize,
        more: bool,
    }
    let going = steps.begin(Step::CleaningUp, 0);
    let body = json!({ "prefix": prefix });
    loop {
        let removed: Removed =
            post(rest, token, "/admin/users/bulk/remove", &body, &going)
                .await
                .map_err(|why| PrepareError::Refused { what: "accounts cannot be removed", why })?;
        going.more(removed.users + removed.chats);
        if !removed.more {
            return Ok(());
        }
    }
}

async fn post<A: DeserializeOwned>(
    rest: &Rest,
    token: &str,
    path: &str,
    body: &Value,
    going: &Going<'_>,
) -> Result<A, RestError> {
    let wait = |wait| going.waiting(wait);
    patiently(PATIENCE, wait, || rest.post(path, Some(token), body)).await
}

fn chat_body(chat: &Dealt, people: &[Person], name: String) -> Value {
    let members: Vec<UserId> =
        chat.members.iter().take(MEMBERS).map(|member| people[*member].id).collect();
    match chat.chat_type {
        ChatType::Private => json!({ "chat_type": chat.chat_type, "member_ids": members }),
        ChatType::Group | ChatType::Room => {
            json!({ "chat_type": chat.chat_type, "name": name, "member_ids": members })
        }
    }
}

/// The chats in stretches that one call takes.
fn batches(dealt: &[Dealt]) -> Vec<std::ops::Range<usize>> {
    let (mut batches, mut from, mut members) = (Vec::new(), 0, 0);
    for (place, chat) in dealt.iter().enumerate() {
        let more = chat.members.len().min(MEMBERS);
        if place - from == CHATS || (place > from && members + more > MEMBERS) {
            batches.push(from..place);
            (from, members) = (place, 0);
        }
        members += more;
    }
    if from < dealt.len() {
        batches.push(from..dealt.len());
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_more_than_a_deployment_takes() {
        let of = |members: usize, count: usize| {
            let chat = Dealt { chat_type: ChatType::Room, members: (0..members).collect() };
            vec![chat; count]
        };
        assert_eq!(batches(&[]), []);
        assert_eq!(batches(&of(10, 1_000)), [0..1_000]);
        assert_eq!(batches(&of(2, 1_001)), [0..1_000, 1_000..1_001]);
        assert_eq!(batches(&of(100, 150)), [0..100, 100..150]);
        assert_eq!(batches(&of(25_000, 2)), [0..1, 1..2]);
    }
}
