//! What proves who somebody is: access tokens, sessions that have ended, password hashes. It knows no
//! accounts and no requests.

pub mod ended;
pub mod passwords;
pub mod tokens;
