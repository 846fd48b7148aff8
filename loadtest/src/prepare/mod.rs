//! Prepares a cast on a deployment: creates accounts, tokens and chats, in bulk with an administrator's
//! credentials, otherwise by the public routes; and removes them again. All names contain the run's name.
//! Nothing connects here.

mod bulk;
pub(crate) mod deal;
mod file;
mod progress;
mod public;

pub use self::progress::{PrepareProgress, PrepareStep, Tell};

use self::{deal::DealtChat, file::SavedAccounts, progress::Steps};
use crate::{
    cast::{Cast, CastChat, CastMember},
    rest::{Rest, RestError},
    scenario::{ClientDialect, Scenario},
    trust::Trust,
};
use platform::settings::Secret;
use protocol::{chat::ChatType, id::ChatId};
use std::path::{Path, PathBuf};

/// The deployment to be loaded.
#[derive(Clone, Debug)]
pub struct LoadTarget {
    /// REST and sockets are behind this one: `http://host:port` or `https://host:port`.
    pub url: String,
    /// Whose certificates it may show.
    pub trust: Trust,
    /// Without it accounts are registered like anybody's, which a deployment limits to some a second.
    pub admin: Option<AdminCredentials>,
}

/// An administrator of the deployment.
#[derive(Clone, Debug)]
pub struct AdminCredentials {
    /// The administrator's account name.
    pub username: String,
    /// Sent only to the deployment, to sign in.
    pub password: Secret,
}

/// What to prepare, where, and under which name.
#[derive(Clone, Copy, Debug)]
pub struct Preparation<'a> {
    /// Says how many accounts and which chats are needed.
    pub scenario: &'a Scenario,
    /// The deployment on which they are created.
    pub target: &'a LoadTarget,
    /// Names the run: 1 to [`MAX_RUN`] characters. Accounts are called `lt-{run}-{number}`.
    pub run: &'a str,
    /// Where the accounts are kept between runs. A file that exists is used: its accounts serve
    /// again, and its chats where the scenario has the same ones. One that does not is written.
    pub accounts: Option<&'a Path>,
}

/// Longest name of a run, in bytes: a username has 32 at most, and eight of them are the number.
pub const MAX_RUN: usize = 20;

/// Why there is no cast. None of these holds a token or a password; each says what to do.
#[expect(missing_docs, reason = "each variant's message says what happened")]
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("{url} does not answer: {why}. Is the deployment running, and is the address right?")]
    Unreachable { url: String, why: String },
    #[error(
        "{url} shows a certificate that is not trusted: {why}. If an authority of your own signed it, name \
         that with --ca-file"
    )]
    Untrusted { url: String, why: String },
    #[error("the administrator cannot sign in: {0}. Check the name and the password")]
    AdminRefused(RestError),
    #[error(
        "{0} is not an administrator of this deployment; give an administrator, or omit the password"
    )]
    NotAdmin(String),
    #[error(
        "after {made} of {wanted} accounts the deployment takes no more registrations for now \
         ({why}). Give an administrator's credentials (bulk accounts have no such limit), use fewer \
         accounts, or accounts of an earlier run"
    )]
    RegistrationsRefused { made: usize, wanted: usize, why: RestError },
    #[error("{path} has {there} accounts, but the scenario needs {wanted}: use another file", path = .path.display())]
    TooFewSaved { path: PathBuf, there: usize, wanted: usize },
    #[error("the account {0} already exists: choose another name for the run")]
    Taken(String),
    #[error("{what}: {why}")]
    Refused { what: &'static str, why: RestError },
    #[error("the scenario's chats cannot be assigned to accounts: {0}")]
    Chats(String),
    #[error(
        "{0:?} is not a valid run name: it must have 1 to {MAX_RUN} letters, digits or hyphens"
    )]
    Run(String),
    #[error("{path}: {why}", path = .0.display(), why = .1)]
    File(PathBuf, String),
}

/// What was prepared, and what is to be known to take it away.
#[derive(Debug)]
pub struct PreparedCast {
    /// The accounts, tokens and chats, ready for a run.
    pub cast: Cast,
    /// What every account's name begins with.
    pub prefix: String,
}

/// Makes sure that everybody and everything in the plan exists. `tell` hears how far it is.
pub async fn prepare(plan: Preparation<'_>, tell: Tell<'_>) -> Result<PreparedCast, PrepareError> {
    check_run(plan.run)?;
    let Preparation { scenario, target, run, accounts } = plan;
    let wanted = scenario.people.accounts;
    let dealt = deal::deal(&scenario.chats, wanted).map_err(PrepareError::Chats)?;
    let saved = accounts.map(|path| file::load(path, target, wanted)).transpose()?.flatten();
    let prefix = saved.as_ref().map_or_else(|| format!("lt-{run}-"), |saved| saved.prefix.clone());
    let rest = reach(target).await?;
    let admin = sign_in(&rest, target).await?;
    let steps = Steps::new(tell);

    // Only what was made in bulk can be had again in bulk.
    let in_bulk = admin.as_ref().filter(|_| saved.as_ref().is_none_or(|saved| saved.in_bulk()));
    let people = match (in_bulk, &saved) {
        (Some(token), _) => bulk::accounts(&rest, token, &prefix, wanted, &steps).await?.into(),
        (None, Some(saved)) => public::sign_in_again(&rest, saved, wanted, &steps).await?,
        (None, None) => public::accounts(&rest, &prefix, wanted, &steps).await?,
    };
    let known = saved.as_ref().and_then(|saved| saved.saved_chats(&dealt));
    let made = match (known, &admin) {
        (Some(made), _) => made,
        (None, Some(token)) => {
            bulk::chats(&rest, token, &prefix, &people.people, &dealt, &steps).await?
        }
        (None, None) => public::chats(&rest, &prefix, &people.people, &dealt, &steps).await?,
    };
    if let Some(path) = accounts {
        file::save(path, &SavedAccounts::new(target, &prefix, &people, &dealt, &made, saved))?;
    }
    let lobby =
        scenario.people.dialects.get(&ClientDialect::Lobby).is_some_and(|share| *share > 0.0);
    Ok(PreparedCast { cast: assemble(people.people, dealt, &made, lobby), prefix })
}

/// Takes away what [`prepare`] made without a file, and what a run left behind. Without an
/// administrator the accounts stay, since nobody can remove an account of one's own: their
/// sessions end, and the chats that they own are deleted.
pub async fn clean_up(
    target: &LoadTarget,
    prepared: &PreparedCast,
    tell: Tell<'_>,
) -> Result<(), PrepareError> {
    let (rest, steps) = (reach(target).await?, Steps::new(tell));
    match sign_in(&rest, target).await? {
        Some(token) => bulk::remove(&rest, &token, &prepared.prefix, &steps).await,
        None => public::leave(&rest, &prepared.cast, &steps).await,
    }
}

/// Takes away what a file of accounts holds, and the file.
pub async fn remove_saved(
    target: &LoadTarget,
    path: &Path,
    tell: Tell<'_>,
) -> Result<(), PrepareError> {
    let Some(saved) = file::load(path, target, 0)? else {
        return Err(PrepareError::File(path.to_owned(), "there is no such file".to_owned()));
    };
    let prepared = PreparedCast { prefix: saved.prefix.clone(), cast: saved.into_cast() };
    clean_up(target, &prepared, tell).await?;
    file::remove(path)
}

/// Accounts, and the password of those that have one.
struct Accounts {
    people: Vec<CastMember>,
    password: Option<Secret>,
}

impl From<Vec<CastMember>> for Accounts {
    fn from(people: Vec<CastMember>) -> Self {
        Self { people, password: None }
    }
}

fn check_run(run: &str) -> Result<(), PrepareError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=MAX_RUN).contains(&run.len()) && run.bytes().all(fits) {
        Ok(())
    } else {
        Err(PrepareError::Run(run.to_owned()))
    }
}

async fn reach(target: &LoadTarget) -> Result<Rest, PrepareError> {
    let unreachable = |error: RestError| {
        let (url, why) = (target.url.clone(), error.to_string());
        match error {
            // The words of rustls, which a client of HTTP only passes on.
            RestError::Failed { why, .. } if why.contains("peer certificate") => {
                PrepareError::Untrusted { url, why }
            }
            _ => PrepareError::Unreachable { url, why },
        }
    };
    let rest = Rest::trusting(&target.url, &target.trust).map_err(unreachable)?;
    rest.get::<serde_json::Value>("/health", None).await.map_err(unreachable)?;
    Ok(rest)
}

/// The administrator's access token, if there is to be one.
async fn sign_in(rest: &Rest, target: &LoadTarget) -> Result<Option<String>, PrepareError> {
    #[derive(serde::Deserialize)]
    struct AdminSignIn {
        access_token: String,
        role: String,
    }
    let Some(AdminCredentials { username, password }) = &target.admin else { return Ok(None) };
    let body = serde_json::json!({ "username": username, "password": password.reveal() });
    let answer = rest.post::<AdminSignIn>("/login", None, &body).await;
    let answer = answer.map_err(PrepareError::AdminRefused)?;
    match answer.role.as_str() {
        "admin" => Ok(Some(answer.access_token)),
        _ => Err(PrepareError::NotAdmin(username.clone())),
    }
}

/// Puts people and chats together; the lobby comes last, with everybody in it.
fn assemble(
    mut people: Vec<CastMember>,
    dealt: Vec<DealtChat>,
    made: &[ChatId],
    lobby: bool,
) -> Cast {
    let mut chats: Vec<CastChat> = dealt
        .into_iter()
        .zip(made)
        .map(|(DealtChat { chat_type, members }, id)| CastChat { id: *id, chat_type, members })
        .collect();
    if lobby {
        let members = (0..people.len()).collect();
        chats.push(CastChat { id: ChatId::LOBBY, chat_type: ChatType::Room, members });
    }
    for (place, chat) in chats.iter().enumerate() {
        for member in &chat.members {
            people[*member].chats.push(place);
        }
    }
    Cast { people, chats }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::id::UserId;

    fn person(id: i64) -> CastMember {
        let username = format!("lt-x-{id}");
        let (token, refresh) = (String::new(), String::new());
        CastMember { id: UserId(id), username, token, refresh, chats: Vec::new() }
    }

    #[test]
    fn people_know_their_chats_and_the_lobby_has_everybody() {
        let dealt = vec![
            DealtChat { chat_type: ChatType::Group, members: vec![0, 2] },
            DealtChat { chat_type: ChatType::Private, members: vec![2, 1] },
        ];
        let made = [ChatId(7), ChatId(8)];
        let people = vec![person(11), person(12), person(13)];
        let cast = assemble(people, dealt, &made, true);
        let of: Vec<&[usize]> = cast.people.iter().map(|person| person.chats.as_slice()).collect();
        assert_eq!(of, [&[0, 2][..], &[1, 2], &[0, 1, 2]]);
        assert_eq!((cast.chats[2].id, cast.chats[2].members.len()), (ChatId::LOBBY, 3));
        assert_eq!(cast.chats[1].id, ChatId(8));
    }

    #[test]
    fn a_runs_name_fits_into_a_username() {
        for good in ["a", "2026-11-21-fanout", &"x".repeat(MAX_RUN)] {
            assert!(check_run(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a@b", "ü", &"x".repeat(MAX_RUN + 1)] {
            assert!(check_run(bad).is_err(), "{bad:?}");
        }
    }
}
