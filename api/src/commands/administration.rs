//! `api admin` and `switchboard admin`: what an operator does with accounts, on a database whose processes may be
//! running. Each act is in the audit log, and the processes find it there within seconds.

use super::told;
use crate::{
    accounts::{
        admin, block, devices,
        people::{self, PeopleQuery, PersonEntry},
        whom::Whom,
    },
    announcement::{self, NewAnnouncement},
    auth::passwords::{Passwords, random_secret},
    config::PasswordConfig,
    db::Db,
    lookalikes::ADMIN,
    settings::AdminCommand,
};
use anyhow::{anyhow, bail};
use platform::settings::Secret;
use protocol::{account::Role, code::Code, id::UserId};
use std::io::{self, Write as _};

/// Does it, and prints what the operator wants to know.
pub async fn run(command: &AdminCommand, db: &Db, chosen: Option<&Secret>) -> anyhow::Result<()> {
    match command {
        AdminCommand::Create => create(db, chosen).await?,
        AdminCommand::List => {
            for (username, blocked) in admin::list(db).await.map_err(told)? {
                say(&format!("{username}{}", if blocked { " (blocked)" } else { "" }))?;
            }
        }
        AdminCommand::Password { username } => {
            let tell = |password: &Secret| tell_password(username, password);
            let passwords = passwords()?;
            let reset = admin::reset_password(db, &passwords, username, random_secret(), tell);
            reset.await.map_err(|error| about(username, error))?;
        }
        AdminCommand::People { text, show, before, limit } => {
            let text = text.as_deref().unwrap_or_default();
            let before = before.map(UserId);
            list(db, PeopleQuery { text, show: *show, before, limit: *limit }).await?;
        }
        AdminCommand::Block { username, reason } => {
            let blocked = block::block_by_operator(db, username, reason).await;
            blocked.map_err(|error| about(username, error))?;
            say(&format!("{username} is blocked"))?;
        }
        AdminCommand::Unblock { username, reason } => {
            let unblocked = block::unblock_by(db, None, username, reason).await;
            unblocked.map_err(|error| about(username, error))?;
            say(&format!("{username} is not blocked and may sign in"))?;
        }
        AdminCommand::Sessions { username, end: true } => {
            let ended = devices::end_all_by_operator(db, username).await;
            let ended = ended.map_err(|error| about(username, error))?;
            say(&format!("{username} was signed out on {ended} devices"))?;
        }
        AdminCommand::Sessions { username, end: false } => devices_of(db, username).await?,
        AdminCommand::Announce { text, hours } => {
            let new = NewAnnouncement { text, hours: *hours };
            announcement::make_by_operator(db, new).await.map_err(told)?;
            say("everybody who is connected sees it within seconds")?;
        }
        AdminCommand::Withdraw => {
            let withdrawn = announcement::withdraw_by_operator(db).await.map_err(told)?;
            say(if withdrawn { "it was taken away" } else { "nothing was announced" })?;
        }
        AdminCommand::Promote { username } => set_role(db, username, Role::Admin).await?,
        AdminCommand::Demote { username } => set_role(db, username, Role::User).await?,
    }
    Ok(())
}

async fn create(db: &Db, chosen: Option<&Secret>) -> anyhow::Result<()> {
    admin::check(Some(db), chosen).await?;
    let password = chosen.cloned().unwrap_or_else(random_secret);
    let given = chosen.is_some();
    let tell = |password: &Secret| match given {
        true => say("created admin with ADMIN_PASSWORD"),
        false => tell_password(ADMIN, password),
    };
    if !admin::create(db, &passwords()?, password, tell).await.map_err(told)? {
        bail!("{ADMIN} already exists; its password was not changed");
    }
    Ok(())
}

async fn set_role(db: &Db, username: &str, role: Role) -> anyhow::Result<()> {
    let changed = admin::set_role(db, None, Whom::Username(username), role, "").await;
    let changed = changed.map_err(|error| about(username, error))?;
    let is = match role {
        Role::Admin => "an administrator",
        Role::User => "no administrator",
    };
    say(&format!("{username} {} {is}", if changed { "is now" } else { "was already" }))?;
    Ok(())
}

async fn list(db: &Db, query: PeopleQuery<'_>) -> anyhow::Result<()> {
    let page = people::list(db, query).await.map_err(told)?;
    for person in &page.people {
        let PersonEntry { id, username, name, guest, blocked_at, created_at, .. } = person;
        let role = match (person.role, guest) {
            (_, true) => "guest",
            (Role::Admin, _) => "admin",
            (Role::User, _) => "user",
        };
        let blocked = if blocked_at.is_some() { "blocked" } else { "-" };
        say(&format!("{id}\t{username}\t{role}\t{blocked}\t{created_at}\t{name}"))?;
    }
    match page.next {
        Some(next) => remark(&format!("there may be more: add --before {next}")),
        None if page.people.is_empty() => remark("nobody was found"),
        None => Ok(()),
    }
}

async fn devices_of(db: &Db, username: &str) -> anyhow::Result<()> {
    let sessions = devices::list_for_operator(db, username).await;
    let sessions = sessions.map_err(|error| about(username, error))?;
    if sessions.is_empty() {
        return remark(&format!("{username} is signed in nowhere"));
    }
    for session in sessions {
        let device = match session.user_agent.as_str() {
            "" => "(unknown)",
            agent => agent,
        };
        say(&format!("{}\t{}\t{device}", session.created_at, session.last_used_at))?;
    }
    Ok(())
}

fn passwords() -> anyhow::Result<Passwords> {
    Passwords::new(&PasswordConfig::default()).map_err(told)
}

/// A refusal in words of the command line.
fn about(username: &str, error: crate::error::Error) -> anyhow::Error {
    match error.code {
        Code::UserNotFound => anyhow!(
            "there is no account {username:?}: find the name with `admin people PART-OF-THE-NAME`"
        ),
        Code::LastAdmin => anyhow!(
            "{username} is the last administrator: make another one first with `admin promote NAME`"
        ),
        _ => told(error),
    }
}

/// Shows a password to the operator, or says that this cannot be.
pub fn tell_password(username: &str, password: &Secret) -> io::Result<()> {
    say(&format!(
        "username: {username}\npassword: {}\nThis password will not be shown again.",
        password.reveal()
    ))
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// What a program that reads the answer must not take for a part of it.
fn remark(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stderr().lock(), "{text}")?)
}
