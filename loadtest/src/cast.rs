//! The participants of a run: accounts, their tokens and their chats on the deployment. [`crate::prepare`]
//! creates them. A coordinator sends the serialized cast to its agents. It holds tokens, so it is never
//! written to a report or a log.

use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
};
use serde::{Deserialize, Serialize};

/// Everybody and everything that a run needs to exist.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cast {
    /// The accounts, in the order in which shares and connections divide them.
    pub people: Vec<CastMember>,
    /// The chats that exist on the deployment. A member names them by their index.
    pub chats: Vec<CastChat>,
}

/// An account.
#[derive(Clone, Serialize, Deserialize)]
pub struct CastMember {
    /// The account's id on the deployment.
    pub id: UserId,
    /// The account's name: the prefix of the preparation and a number.
    pub username: String,
    /// The access token. It runs out; see [`CastMember::refresh`].
    pub token: String,
    /// What fetches the next access token, by `POST /token/refresh`.
    pub refresh: String,
    /// The person's chats, as indices into [`Cast::chats`].
    pub chats: Vec<usize>,
}

/// A chat of the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CastChat {
    /// The chat's id on the deployment.
    pub id: ChatId,
    /// Clients of the dialects `names` and `numbers` write only in private chats.
    pub chat_type: ChatType,
    /// The members, as indices into [`Cast::people`]. In the lobby: everybody in the run.
    pub members: Vec<usize>,
}

impl std::fmt::Debug for CastMember {
    /// Without the tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
