//! `guests`: the senders that people without an account are, by the names they chose.

use super::check_batch;
use crate::{
    Api,
    accounts::input,
    db::{DbError, Tx, fetch_one, fetch_optional},
};
use shared::{
    chat::UserRef,
    id::UserId,
    internal::{Guests, GuestsFound, Refusal, RefusalCode},
    problem::Problem,
};

/// What stands before a guest's name in `username_key`. No account's begins so.
const MARK: char = '@';

/// Each name's guest, made when it is new.
pub async fn guests(api: &Api, request: Guests) -> Result<GuestsFound, Problem> {
    check_batch("names", request.names.len())?;
    let mut guests = Vec::with_capacity(request.names.len());
    let mut tx = api.db.begin().await?;
    for name in &request.names {
        guests.push(match check(api, name) {
            Ok(()) => guest(&mut tx, name).await?,
            Err(refusal) => Err(refusal),
        });
    }
    tx.commit().await?;
    Ok(GuestsFound { guests })
}

fn check(api: &Api, name: &str) -> Result<(), Refusal> {
    if !api.config.guests {
        return refuse(RefusalCode::GuestsOff, "Sign in first: there is no guest access here.");
    }
    if let Err(why) = input::username(name) {
        return refuse(RefusalCode::InvalidUsername, &format!("The username {why}."));
    }
    if input::is_reserved(name) { taken() } else { Ok(()) }
}

/// Two texts of one name differ in case only and are one guest, shown as first written.
async fn guest(tx: &mut Tx, name: &str) -> Result<Result<UserRef, Refusal>, DbError> {
    let (registered,): (i64,) =
        fetch_one!(tx, "SELECT COUNT(*) FROM users WHERE username_key = $1", input::key(name))?;
    if registered > 0 {
        return Ok(taken());
    }
    // The empty hash verifies no password, and no name or email leads to it anyway. The update that
    // changes nothing makes the row of a name that is there come back too.
    let row: Option<(i64, String)> = fetch_optional!(
        tx,
        "INSERT INTO users (username, username_key, name, password_hash, created_at, guest)
         SELECT $1, $2, $1, '', c.now, TRUE FROM clock c WHERE TRUE
         ON CONFLICT (username_key) DO UPDATE SET guest = users.guest RETURNING id, username",
        name,
        format!("{MARK}{}", input::key(name))
    )?;
    Ok(match row {
        Some((id, username)) => Ok(UserRef { id: UserId(id), username, guest: true }),
        None => taken(),
    })
}

fn taken<T>() -> Result<T, Refusal> {
    refuse(RefusalCode::UsernameTaken, "This name belongs to somebody with an account.")
}

fn refuse<T>(code: RefusalCode, message: &str) -> Result<T, Refusal> {
    Err(Refusal { code, message: message.to_owned() })
}
