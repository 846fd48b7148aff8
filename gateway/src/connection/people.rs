//! What frames that name a person need before they can be posted: the private chat with that person,
//! or the guest of that name. Who may be written to and who may take a name is the api's to say; that
//! one client's messages keep their order is [`crate::connection::look_up_queue`]'s.

use crate::{
    backend::outcome::{RequestError, RequestResult},
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
    /// Looks for the private chat with a person, to post to it.
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

    /// Looks for a guest, to let it take its name and say something under it.
    pub(crate) fn find_guest(
        &self,
        name: String,
        action: Option<Action>,
        answer: Answer,
    ) -> Option<LookUp<Self>> {
        let Owner::Guest { network } = self.conn().owner else { return None };
        // Looked at now: the look-up runs beside the connection and cannot borrow it.
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

/// A guest that may do what it wants to.
struct Found {
    guest: UserRef,
    /// This connection has not used the name before.
    newcomer: bool,
}

enum NoGuest {
    Unknown(ErrorFrame),
    TooMuch(Duration),
}

/// The guest of this name, who is `known` when the connection used it before. `says`: it says
/// something, which its network may do so often only, as it may take names.
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

/// Whether the guests of a network may do one more of these.
async fn permit(gateway: &Gateway, what: &str, network: IpAddr, rate: Rate) -> Result<(), NoGuest> {
    let key = format!("{what}:{network}");
    gateway.limiter.try_take(&key, &rate).await.map_err(NoGuest::TooMuch)
}

/// What the api found, or what the client is told instead.
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
