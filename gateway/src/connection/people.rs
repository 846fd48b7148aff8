//! Finds the private chat with a person, or the guest of a name, before a frame that names them is posted.
//! The api decides who may write to whom and who may take a name. [`crate::connection::look_up_queue`] keeps
//! the order of a client's messages.

use crate::{
    backend::request_result::{RequestError, RequestResult},
    config::Config,
    connection::{
        Connection,
        answer::Answer,
        look_up_queue::{LookUp, then},
    },
    dialect::{ErrorFrame, refusal, try_later},
    hub::conn::Owner,
    state::Gateway,
};
use platform::limit::Rate;
use protocol::{
    calls::{Pair, Peer},
    chat::UserRef,
    code::Code,
    command::{Action, Command},
    id::ChatId,
    refusal::Refusal,
};
use std::{net::IpAddr, sync::Arc, time::Duration};

impl Connection {
    /// Finds the private chat with a person, then posts to it. `None` for a guest, who has no chats.
    pub(crate) fn find_peer(
        &self,
        to: Peer,
        action: Action,
        answer: Answer,
    ) -> Option<LookUp<Self>> {
        let user_id = self.conn().user_id()?;
        let gateway = Arc::clone(self.gateway());
        Some(Box::pin(async move {
            let found = gateway.lanes.peer(Pair { user_id, peer: to }).await;
            then(move |connection: &mut Self| {
                match result(found, connection.gateway().hub.config.unavailable_wait) {
                    Ok(chat_id) => {
                        connection.post(None, Command { user_id, chat_id, action }, answer);
                    }
                    Err(error) => answer.send(&error),
                }
                Ok(())
            })
        }))
    }

    /// Finds a guest, lets it take its name, then posts what it says. `None` for a user.
    pub(crate) fn find_guest(
        &self,
        name: String,
        action: Option<Action>,
        answer: Answer,
    ) -> Option<LookUp<Self>> {
        let Owner::Guest { network } = self.conn().owner else { return None };
        // Copied now, because the look-up runs beside the connection and cannot borrow it.
        let (gateway, known) = (Arc::clone(self.gateway()), self.names.get(&name).cloned());
        let says = action.is_some();
        Some(Box::pin(async move {
            let found = guest(&gateway, network, name, known, says).await;
            then(move |connection: &mut Self| match found {
                Ok(Found { guest, newcomer }) => {
                    if newcomer {
                        connection.names.add(guest.clone());
                        connection
                            .gateway()
                            .hub
                            .announce_arrival(connection.conn(), &guest.username);
                    }
                    if let Some(action) = action {
                        let (user_id, chat_id) = (guest.id, ChatId::LOBBY);
                        connection.post(None, Command { user_id, chat_id, action }, answer);
                    }
                    Ok(())
                }
                Err(NoGuest::Unknown(error)) => {
                    answer.send(&error);
                    Ok(())
                }
                Err(NoGuest::TooMuch(wait)) => {
                    metrics::counter!("gateway_rate_limited_total").increment(1);
                    let text =
                        "Too much comes from guests of your network. Wait and send it again.";
                    connection.refuse(try_later(None, Code::RateLimited, text, wait), answer)
                }
            })
        }))
    }
}

/// A guest who may post.
struct Found {
    guest: UserRef,
    /// This connection has not used the name before.
    newcomer: bool,
}

enum NoGuest {
    Unknown(ErrorFrame),
    TooMuch(Duration),
}

/// The guest of this name; `known` if the connection used the name before. The network's limits bound how
/// many messages its guests send (`says`) and how many names they take.
async fn guest(
    gateway: &Gateway,
    network: IpAddr,
    name: String,
    known: Option<UserRef>,
    says: bool,
) -> Result<Found, NoGuest> {
    let Config { guests, unavailable_wait, .. } = &gateway.hub.config;
    if says {
        permit(gateway, "guest-messages", network, guests.messages).await?;
    }
    if let Some(guest) = known {
        return Ok(Found { guest, newcomer: false });
    }
    permit(gateway, "guest-names", network, guests.names).await?;
    let found = gateway.lanes.guest(name).await;
    let guest = result(found, *unavailable_wait).map_err(NoGuest::Unknown)?;
    Ok(Found { guest, newcomer: true })
}

/// Takes one from the limit of a network's guests.
async fn permit(gateway: &Gateway, what: &str, network: IpAddr, rate: Rate) -> Result<(), NoGuest> {
    let key = format!("{what}:{network}");
    gateway.limiter.try_take(&key, &rate).await.map_err(NoGuest::TooMuch)
}

/// The api's result, or the `error` for the client.
fn result<T>(outcome: RequestResult<T>, wait: Duration) -> Result<T, ErrorFrame> {
    outcome.map_err(|error| {
        Box::new(match error {
            RequestError::Refused(Refusal { code, message }) => refusal(None, code, &message),
            RequestError::Unavailable => {
                let text = "Names cannot be looked up right now. Send it again.";
                try_later(None, Code::Unavailable, text, wait)
            }
        })
    })
}
