//! Prepares by the public routes: one account or chat per call, at the rate that the deployment allows.

use super::{
    Accounts, PrepareError,
    deal::DealtChat,
    file::SavedAccounts,
    progress::{PrepareStep, StepProgress, Steps},
};
use crate::{
    cast::{Cast, CastMember},
    rest::{Rest, RestError, patiently},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use platform::settings::Secret;
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Requests at once. Each registration costs the deployment a password hash of some 20 ms.
const AT_ONCE: usize = 8;

/// How long one request is repeated while the deployment says "later". At a registration a second,
/// the usual limit, each of the requests at once gets through within ten.
const PATIENCE: Duration = Duration::from_secs(120);

/// Members named in one request.
const NAMED: usize = 200;

#[derive(Deserialize)]
struct AccountSignIn {
    id: UserId,
    username: String,
    access_token: String,
    refresh_token: String,
}

impl AccountSignIn {
    fn person(self) -> CastMember {
        CastMember {
            id: self.id,
            username: self.username,
            token: self.access_token,
            refresh: self.refresh_token,
            chats: Vec::new(),
        }
    }
}

/// Registers `{prefix}0` and so on, all with one new random password.
pub(super) async fn accounts(
    rest: &Rest,
    prefix: &str,
    wanted: usize,
    steps: &Steps<'_>,
) -> Result<Accounts, PrepareError> {
    let password = Secret::new(format!("{:032x}", rand::random::<u128>()));
    let (going, secret) = (&steps.begin(PrepareStep::Accounts, wanted), &password);
    let calls = (0..wanted).map(|number| async move {
        let username = format!("{prefix}{number}");
        let body = json!({ "username": username, "password": secret.reveal() });
        let made = ask::<AccountSignIn>(rest, None, "/register", &body, going).await;
        let made = made.map_err(|why| match why {
            RestError::Later { .. } => {
                PrepareError::RegistrationsRefused { made: going.done(), wanted, why }
            }
            why if why.is("username_taken") => PrepareError::Taken(username),
            why => PrepareError::Refused { what: "accounts cannot be registered", why },
        })?;
        going.more(1);
        Ok::<_, PrepareError>(made.person())
    });
    let people = stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    Ok(Accounts { people, password: Some(password) })
}

/// New tokens for the first so many accounts of a file: by their refresh tokens, and by their
/// password where a run has used that up.
pub(super) async fn sign_in_again(
    rest: &Rest,
    saved: &SavedAccounts,
    wanted: usize,
    steps: &Steps<'_>,
) -> Result<Accounts, PrepareError> {
    let going = &steps.begin(PrepareStep::Accounts, wanted);
    let password = saved.password.as_deref();
    let calls = saved.people.iter().take(wanted).map(|person| async move {
        let body = json!({ "refresh_token": person.refresh });
        let mut answer = ask::<AccountSignIn>(rest, None, "/token/refresh", &body, going).await;
        if let (Err(RestError::Refused { .. }), Some(password)) = (&answer, password) {
            let body = json!({ "username": person.username, "password": password });
            answer = ask(rest, None, "/login", &body, going).await;
        }
        let what = "an account of the file cannot sign in";
        let signed_in = answer.map_err(|why| PrepareError::Refused { what, why })?;
        going.more(1);
        Ok::<_, PrepareError>(signed_in.person())
    });
    let people = stream::iter(calls).buffered(AT_ONCE).try_collect().await?;
    Ok(Accounts { people, password: password.map(Secret::new) })
}

/// Makes these chats as their first members. Their ids in the same order.
pub(super) async fn chats(
    rest: &Rest,
    prefix: &str,
    people: &[CastMember],
    dealt: &[DealtChat],
    steps: &Steps<'_>,
) -> Result<Vec<ChatId>, PrepareError> {
    let going = &steps.begin(PrepareStep::Chats, dealt.len());
    let calls = dealt.iter().enumerate().map(|(number, chat)| async move {
        let made = make(rest, &format!("{prefix}{number}"), people, chat, going).await;
        let what = "a chat cannot be made";
        let id = made.map_err(|why| PrepareError::Refused { what, why })?;
        going.more(1);
        Ok::<_, PrepareError>(id)
    });
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}

async fn make(
    rest: &Rest,
    name: &str,
    people: &[CastMember],
    chat: &DealtChat,
    going: &StepProgress<'_>,
) -> Result<ChatId, RestError> {
    #[derive(Deserialize)]
    struct CreatedChat {
        id: ChatId,
    }
    let ids: Vec<UserId> = chat.members.iter().map(|member| people[*member].id).collect();
    let owner = chat.members.first().map(|owner| people[*owner].token.as_str());
    let mut parts = ids.chunks(NAMED);
    let named = parts.next().unwrap_or_default();
    let body = match chat.chat_type {
        // Of the two, the other one.
        ChatType::Private => json!({ "chat_type": chat.chat_type, "member_ids": &named[1..] }),
        _ => json!({ "chat_type": chat.chat_type, "name": name, "member_ids": named }),
    };
    let id = match ask::<CreatedChat>(rest, owner, "/chats", &body, going).await {
        Ok(made) => made.id,
        // Of an earlier run of these accounts, or begun by one of them.
        Err(RestError::Refused { chat_id: Some(id), .. }) => id,
        Err(why) => return Err(why),
    };
    for more in parts {
        let (path, body) = (format!("/chats/{id}/members"), json!({ "user_ids": more }));
        ask::<Value>(rest, owner, &path, &body, going).await?;
    }
    Ok(id)
}

/// Deletes the chats that the people own and signs everybody out. What is gone already is no fault.
pub(super) async fn leave(rest: &Rest, cast: &Cast, steps: &Steps<'_>) -> Result<(), PrepareError> {
    let owned = cast
        .chats
        .iter()
        .filter(|chat| chat.chat_type != ChatType::Private && chat.id != ChatId::LOBBY);
    let owned: Vec<_> = owned.collect();
    let going = &steps.begin(PrepareStep::CleaningUp, owned.len() + cast.people.len());
    let gone = |answer: Result<Value, RestError>| match answer {
        Ok(_) | Err(RestError::Refused { .. }) => {
            going.more(1);
            Ok(())
        }
        Err(why) => Err(PrepareError::Refused { what: "cleaning up failed", why }),
    };
    let deleting = owned.into_iter().map(|chat| async move {
        let owner = chat.members.first().map(|owner| cast.people[*owner].token.as_str());
        let path = format!("/chats/{}", chat.id);
        gone(patiently(PATIENCE, |wait| going.waiting(wait), || rest.delete(&path, owner)).await)
    });
    stream::iter(deleting).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let leaving = cast.people.iter().map(|person| async move {
        gone(ask(rest, Some(&person.token), "/logout", &json!({}), going).await)
    });
    stream::iter(leaving).buffer_unordered(AT_ONCE).try_collect::<()>().await
}

async fn ask<A: serde::de::DeserializeOwned>(
    rest: &Rest,
    token: Option<&str>,
    path: &str,
    body: &Value,
    going: &StepProgress<'_>,
) -> Result<A, RestError> {
    patiently(PATIENCE, |wait| going.waiting(wait), || rest.post(path, token, body)).await
}
