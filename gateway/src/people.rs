//! What frames that name a person need before they can be posted: the private chat with that person,
//! or the guest of that name. Awaited on the connection's own task, so that one client's messages
//! keep their order; who may be written to and who may take a name is the api's to say.

use crate::{
    backend::Unavailable,
    conn::Owner,
    connection::Connection,
    dialect::{refusal, try_later},
};
use shared::{
    chat::UserRef,
    close::Close,
    id::ChatId,
    internal::{Action, Command, Pair, Peer, Refusal},
    limit::Rate,
};
use std::{net::IpAddr, time::Duration};

/// The most names of one connection that are remembered. A person has one; a page for several
/// people, a few. Who uses more is announced again, which its network's limit bounds.
const MAX_NAMES: usize = 8;

/// The names that a guest's connection has used, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<UserRef>);

impl Names {
    /// The guest of this name, if it was used before.
    fn get(&self, name: &str) -> Option<&UserRef> {
        let key = name.to_lowercase();
        self.0.iter().find(|guest| guest.username.to_lowercase() == key)
    }

    fn add(&mut self, guest: UserRef) {
        if self.0.len() >= MAX_NAMES {
            self.0.remove(0);
        }
        self.0.push(guest);
    }
}

impl Connection {
    /// Posts to the private chat with a person.
    pub(crate) async fn on_direct(&mut self, to: Peer, action: Action) -> Result<(), Close> {
        let Some(user_id) = self.conn().user_id() else { return Ok(()) };
        let found = self.gateway().desk.peer(Pair { user_id, peer: to });
        let found = self.conn().outbox.unless_closing(found).await?;
        if let Some(chat_id) = self.found(found) {
            self.post(None, Command { user_id, chat_id, action });
        }
        Ok(())
    }

    /// Lets a guest take a name, and say something under it.
    pub(crate) async fn on_guest(
        &mut self,
        name: String,
        action: Option<Action>,
    ) -> Result<(), Close> {
        let Owner::Guest { network } = self.conn().owner else { return Ok(()) };
        let (messages, names) = {
            let config = &self.gateway().hub.config;
            (config.guest_messages, config.guest_names)
        };
        if action.is_some() && !self.permits("guest-messages", network, messages).await? {
            return Ok(());
        }
        let mut guest = self.names.get(&name).cloned();
        if guest.is_none() {
            if !self.permits("guest-names", network, names).await? {
                return Ok(());
            }
            let found = self.gateway().desk.guest(name);
            let found = self.conn().outbox.unless_closing(found).await?;
            guest = self.found(found);
            if let Some(guest) = &guest {
                self.names.add(guest.clone());
                self.gateway().hub.arrived(self.conn(), &guest.username);
            }
        }
        if let (Some(guest), Some(action)) = (guest, action) {
            let (user_id, chat_id) = (guest.id, ChatId::LOBBY);
            self.post(None, Command { user_id, chat_id, action });
        }
        Ok(())
    }

    /// What the api found; if nothing, the client is told.
    fn found<T>(&self, answer: Result<Result<T, Refusal>, Unavailable>) -> Option<T> {
        match answer {
            Ok(Ok(found)) => return Some(found),
            Ok(Err(Refusal { code, message })) => {
                self.reply(&refusal(None, code.as_str(), &message));
            }
            Err(_) => {
                let text = "Names cannot be looked up right now. Send it again.";
                self.reply(&try_later(None, "unavailable", text, Duration::from_secs(2)));
            }
        }
        None
    }

    /// Whether the guests of a network may do one more of these; if not, the client is told.
    async fn permits(&mut self, what: &str, network: IpAddr, rate: Rate) -> Result<bool, Close> {
        let key = format!("{what}:{network}");
        let taken = self.gateway().limiter.try_take(&key, &rate);
        let Err(wait) = self.conn().outbox.unless_closing(taken).await? else { return Ok(true) };
        metrics::counter!("gateway_rate_limited_total").increment(1);
        let text = "Too much comes from guests of your network. Wait and send it again.";
        self.refuse(try_later(None, "rate_limited", text, wait))?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::id::UserId;

    #[test]
    fn a_name_is_known_in_whatever_case_and_the_oldest_is_forgotten() {
        let mut names = Names::default();
        for id in 0..=MAX_NAMES as i64 {
            assert_eq!(names.get(&format!("Zoe{id}")), None);
            names.add(UserRef { id: UserId(id), username: format!("Zoe{id}"), guest: true });
        }
        assert_eq!(names.get("ZOE3").map(|guest| guest.id), Some(UserId(3)));
        assert_eq!(names.get("zoe0"), None);
        assert_eq!(names.0.len(), MAX_NAMES);
    }
}
