//! Accounts: who exists, how they prove it, and their sessions. Nothing here knows HTTP; addresses are only
//! keys of limits.

pub mod active;
mod actor;
pub mod admin;
pub mod avatar;
pub mod block;
pub mod bulk;
pub mod bulk_removal;
pub mod connections;
pub(crate) mod deletion;
pub(crate) mod device;
pub mod devices;
pub mod email;
pub mod guests;
pub mod input;
pub mod letters;
pub mod limits;
mod links;
pub mod login;
pub mod lost_password;
pub mod password;
pub mod people;
pub mod profile;
pub mod refresh;
pub mod register;
pub mod search;
pub mod second_factor;
pub mod sessions;
pub mod user;
pub(crate) mod whom;

pub use self::{actor::Actor, sessions::SignedIn, user::User};
