//! Reads the final contents of the run's chats from the database, to compare them with what was acknowledged
//! and received. It judges nothing.

use super::{Observer, RunError, RunEvent, RunOptions, RunPart, TokenRenewal};
use crate::{
    cast::{CastChat, CastMember},
    client::{RenewError, TestAccount},
    history::{HistoryMessage, Record, StoredChats},
    rest::{Rest, RestError},
};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use protocol::{
    id::{ChatId, Seq, UserId},
    time::Timestamp,
};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::Instant;

/// The most messages that a page has.
const PAGE: usize = 100;

/// How long to go on asking for one page, when the servers are just back from a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries where the answer names no time.
const PAUSE: Duration = Duration::from_millis(500);

/// What the database holds, and why some of it could not be read: in words, a chat each.
pub(super) struct StoredHistory {
    pub(super) stored: StoredChats,
    pub(super) unread: Vec<String>,
}

/// A message, as far as it is of interest.
#[derive(Deserialize)]
struct MessageRow {
    id: Seq,
    sender_id: UserId,
    text: String,
    client_message_id: Option<String>,
}

/// Why a page cannot be had.
#[derive(Debug, thiserror::Error)]
enum Unread {
    #[error(transparent)]
    Rest(#[from] RestError),
    #[error(transparent)]
    Renew(#[from] RenewError),
    #[error("none of the chat's members is an account of this run")]
    Nobody,
}

/// Reads all chats of the cast from the first event on that the record tells of, some at once.
pub(super) async fn read(
    options: &RunOptions,
    parts: &[RunPart],
    record: &Record,
    observer: &Observer,
) -> Result<StoredHistory, RunError> {
    let rest = Rest::trusting(&options.url, &options.trust)
        .map_err(|error| RunError::Rest(error.to_string()))?;
    let (now, unix_seconds) = (Instant::now(), Timestamp::now().unix_seconds());
    // A renewal made the cast's token void, and the agents hold the new one.
    let mut people = options.cast.people.clone();
    for TokenRenewal { person, token, refresh } in parts.iter().flat_map(|part| &part.renewed) {
        if let Some(CastMember { token: old, refresh: old_refresh, .. }) = people.get_mut(*person) {
            old.clone_from(token);
            old_refresh.clone_from(refresh);
        }
    }
    let accounts: Vec<TestAccount> =
        people.iter().map(|person| TestAccount::new(person, now, unix_seconds)).collect();
    let (stored, starts) = (Mutex::new(StoredChats::default()), record.starts());
    let chats = &options.cast.chats;
    let mut reading = stream::iter(chats)
        .map(|chat| {
            let (rest, accounts, stored) = (&rest, &accounts, &stored);
            let from = starts.get(&chat.id).copied().unwrap_or(Seq::ZERO);
            async move { (chat.id, read_chat(rest, accounts, chat, from, stored).await) }
        })
        .buffer_unordered(options.tuning.readers);
    let mut unread = Vec::new();
    let (mut done, mut said) = (0, now);
    while let Some((chat, answer)) = reading.next().await {
        done += 1;
        if let Err(why) = answer {
            unread.push(format!("not read: what the database holds of chat {chat}: {why}"));
        }
        if said.elapsed() >= Duration::from_secs(1) || done == chats.len() {
            said = Instant::now();
            observer(&RunEvent::Reading { chats: done, of: chats.len() });
        }
    }
    drop(reading);
    Ok(StoredHistory { stored: stored.into_inner(), unread })
}

/// A chat that is not read to its end is not told of: half of it would look like a loss.
async fn read_chat(
    rest: &Rest,
    accounts: &[TestAccount],
    chat: &CastChat,
    from: Seq,
    stored: &Mutex<StoredChats>,
) -> Result<(), Unread> {
    let member = chat.members.iter().find_map(|member| accounts.get(*member));
    let member = member.or(accounts.first().filter(|_| chat.id == ChatId::LOBBY));
    let member = member.ok_or(Unread::Nobody)?;
    let mut rows: Vec<MessageRow> = Vec::new();
    loop {
        let after = rows.last().map_or(from, |row| row.id);
        let page = page(rest, member, chat.id, after).await?;
        let full = page.len() == PAGE;
        rows.extend(page);
        if !full {
            break;
        }
    }
    // Not before: a lock must not be held while a page is fetched.
    let mut stored = stored.lock();
    stored.chat(chat.id, from);
    for MessageRow { id, sender_id, text, client_message_id } in &rows {
        let key = client_message_id.as_deref().unwrap_or_default();
        stored.add(chat.id, &HistoryMessage { id: *id, sender: *sender_id, key, text });
    }
    Ok(())
}

async fn page(
    rest: &Rest,
    member: &TestAccount,
    chat: ChatId,
    after: Seq,
) -> Result<Vec<MessageRow>, Unread> {
    let until = Instant::now() + PATIENCE;
    let path = format!("/chats/{chat}/messages?after={after}&limit={PAGE}");
    loop {
        let pass = member.pass().await;
        let wait = match rest.get(&path, Some(pass.token.reveal())).await {
            Ok(rows) => return Ok(rows),
            Err(RestError::Refused { status, .. }) if status.as_u16() == 401 => {
                member.renewed(pass.number, rest).await?;
                PAUSE
            }
            Err(RestError::Later { wait, .. }) => wait,
            Err(RestError::Failed { .. }) if Instant::now() < until => PAUSE,
            Err(why) => return Err(why.into()),
        };
        if Instant::now() + wait > until {
            return Err(RestError::Failed { path, why: "no answer for a minute".to_owned() }.into());
        }
        tokio::time::sleep(wait).await;
    }
}
