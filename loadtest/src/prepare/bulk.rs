//! Preparing by the administrators' bulk routes: a thousand accounts or chats in one call.

use super::{
    PrepareError,
    deal::DealtChat,
    progress::{PrepareStep, StepProgress, Steps},
};
use crate::{
    cast::CastMember,
    rest::{Rest, RestError, patiently},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;

/// What a deployment takes in one call.
const ACCOUNTS: usize = 1_000;
const CHATS: usize = 1_000;
const MEMBERS: usize = 10_000;
const BODY_BYTES: usize = 64 << 10;

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
) -> Result<Vec<CastMember>, PrepareError> {
    #[derive(Deserialize)]
    struct CreatedAccounts {
        users: Vec<CreatedAccount>,
    }
    #[derive(Deserialize)]
    struct CreatedAccount {
        id: UserId,
        username: String,
        access_token: String,
        refresh_token: String,
    }
    let going = &steps.begin(PrepareStep::Accounts, wanted);
    let calls = (0..wanted).step_by(ACCOUNTS).map(|from| async move {
        let body = json!({ "prefix": prefix, "from": from, "count": ACCOUNTS.min(wanted - from) });
        let made: CreatedAccounts = post(rest, token, "/admin/users/bulk", &body, going)
            .await
            .map_err(|why| match why.is("username_taken") {
                true => PrepareError::Taken(format!("{prefix}{from} or one after it")),
                false => PrepareError::Refused { what: "accounts cannot be made", why },
            })?;
        going.more(made.users.len());
        Ok::<_, PrepareError>(made.users)
    });
    let made: Vec<Vec<CreatedAccount>> =
        stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    let person = |account: CreatedAccount| CastMember {
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
    people: &[CastMember],
    dealt: &[DealtChat],
    steps: &Steps<'_>,
) -> Result<Vec<ChatId>, PrepareError> {
    #[derive(Deserialize)]
    struct CreatedChats {
        chat_ids: Vec<ChatId>,
    }
    let going = &steps.begin(PrepareStep::Chats, dealt.len());
    let bodies = dealt.iter().zip(0..).map(|(chat, number)| {
        let ids: Vec<UserId> = chat.members.iter().map(|member| people[*member].id).collect();
        body(chat.chat_type, format!("{prefix}{number}"), ids)
    });
    let calls = batches(bodies).into_iter().map(|chats| async move {
        let body = json!({ "chats": chats });
        let made: CreatedChats = post(rest, token, "/admin/chats/bulk", &body, going)
            .await
            .map_err(|why| PrepareError::Refused { what: "chats cannot be made", why })?;
        going.more(made.chat_ids.len());
        Ok::<_, PrepareError>(chats.into_iter().zip(made.chat_ids))
    });
    let made: Vec<_> = stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    let made: Vec<(Body, ChatId)> = made.into_iter().flatten().collect();
    for (chat, id) in &made {
        for more in chat.rest.chunks(ADDED) {
            let (path, body) = (format!("/chats/{id}/members"), json!({ "user_ids": more }));
            post::<Value>(rest, token, &path, &body, going)
                .await
                .map_err(|why| PrepareError::Refused { what: "members cannot be added", why })?;
        }
    }
    Ok(made.into_iter().map(|(_, id)| id).collect())
}

/// Removes the accounts that the bulk route made under this prefix, and the chats that they made.
pub(super) async fn remove(
    rest: &Rest,
    token: &str,
    prefix: &str,
    steps: &Steps<'_>,
) -> Result<(), PrepareError> {
    #[derive(Deserialize)]
    struct BulkRemoval {
        users: usize,
        chats: usize,
        more: bool,
    }
    let going = steps.begin(PrepareStep::CleaningUp, 0);
    let body = json!({ "prefix": prefix });
    loop {
        let removed: BulkRemoval = post(rest, token, "/admin/users/bulk/remove", &body, &going)
            .await
            .map_err(|why| PrepareError::Refused { what: "accounts cannot be removed", why })?;
        going.more(removed.users + removed.chats);
        // A call removes a bounded number; `more` says that some remain.
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
    going: &StepProgress<'_>,
) -> Result<A, RestError> {
    let wait = |wait| going.waiting(wait);
    patiently(PATIENCE, wait, || rest.post(path, Some(token), body)).await
}

/// A chat as a call names it.
#[derive(Serialize)]
struct Body {
    chat_type: ChatType,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    member_ids: Vec<UserId>,
    /// Those for whom a call has no room; they are added afterwards.
    #[serde(skip)]
    rest: Vec<UserId>,
}

fn body(chat_type: ChatType, name: String, mut member_ids: Vec<UserId>) -> Body {
    let name = (chat_type != ChatType::Private).then_some(name);
    let rest = member_ids.split_off(member_ids.len().min(MEMBERS));
    let mut body = Body { chat_type, name, member_ids, rest };
    while AROUND + size(&body) > BODY_BYTES {
        // Ids differ in length, so the number that fits is found by trying.
        let kept = body.member_ids.len() * 9 / 10;
        let mut more = body.member_ids.split_off(kept);
        more.append(&mut body.rest);
        body.rest = more;
    }
    body
}

/// `{"chats":[]}`.
const AROUND: usize = 12;

/// As JSON, with the comma after it.
fn size(body: &Body) -> usize {
    serde_json::to_vec(body).map_or(0, |json| json.len() + 1)
}

/// The chats in stretches that one call takes.
fn batches(chats: impl Iterator<Item = Body>) -> Vec<Vec<Body>> {
    let mut batches: Vec<Vec<Body>> = Vec::new();
    let (mut members, mut bytes) = (0, 0);
    for chat in chats {
        let (more, long) = (chat.member_ids.len(), size(&chat));
        let fits = |last: &&mut Vec<Body>| {
            last.len() < CHATS && members + more <= MEMBERS && bytes + long <= BODY_BYTES
        };
        match batches.last_mut().filter(fits) {
            Some(last) => {
                last.push(chat);
                (members, bytes) = (members + more, bytes + long);
            }
            None => {
                batches.push(vec![chat]);
                (members, bytes) = (more, AROUND + long);
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_call_has_more_than_a_deployment_takes() {
        for (members, count) in [(2, 2_500), (10, 1_000), (100, 150), (7_000, 3), (25_000, 2)] {
            let ids: Vec<UserId> = (1_000_000..).take(members).map(UserId).collect();
            let all = (0..count)
                .map(|number| body(ChatType::Room, format!("lt-run-{number}"), ids.clone()));
            let batches = batches(all);
            let mut chats = 0;
            for batch in &batches {
                let json = serde_json::to_vec(&json!({ "chats": batch })).unwrap();
                assert!(json.len() <= BODY_BYTES, "{}", json.len());
                assert!(batch.len() <= CHATS);
                let named: usize = batch.iter().map(|chat| chat.member_ids.len()).sum();
                assert!(named <= MEMBERS);
                for chat in batch {
                    let all = [chat.member_ids.clone(), chat.rest.clone()].concat();
                    assert_eq!(all, ids, "everybody, in order");
                }
                chats += batch.len();
            }
            assert_eq!(chats, count);
            let bytes: usize = batches.iter().flatten().map(size).sum();
            let least = bytes.div_ceil(BODY_BYTES).max(count.div_ceil(CHATS));
            assert!(batches.len() <= 2 * least, "{} for {count} of {members}", batches.len());
        }
        assert!(batches(std::iter::empty()).is_empty());
    }
}
