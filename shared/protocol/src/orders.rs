//! What administrators tell and ask all gateways, over the bus, and what the gateways answer. Nothing here is the
//! only copy of a fact: a question that is lost is asked again, and an announcement comes with `changed`, too.

use crate::{
    id::{NodeId, SessionId, UserId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// On `orders`. Published by the api, to every gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OrderPayload {
    /// Say which connections this user has. Every gateway answers with an [`GatewayAnswer`], also one that has none.
    Show {
        /// Names the question.
        question: Uuid,
        /// The user.
        user_id: UserId,
    },
    /// Close connections of this user, and answer with those that were closed.
    Disconnect {
        /// Names the question.
        question: Uuid,
        /// The user.
        user_id: UserId,
        /// The one to close; `None`: all of them.
        connection: Option<String>,
    },
    /// Say what this gateway is set to. It alone answers, with its settings as `GET /admin/settings` shows them.
    Settings {
        /// Names the question.
        question: Uuid,
        /// The gateway.
        node: NodeId,
    },
    /// What everybody who is connected is to be told.
    Announced(Announced),
    /// The reading of what only a newer api knows.
    #[serde(other)]
    Unknown,
}

/// What one gateway answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayAnswer {
    /// The gateway.
    pub node: NodeId,
    /// The user's connections there. Bounded by what an account may have on one node.
    pub connections: Vec<OpenConnection>,
}

/// An open connection of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnection {
    /// As `ready` names it.
    pub id: String,
    /// The session whose token opened it.
    pub session_id: SessionId,
    /// When it was opened, by the gateway's clock.
    pub since: Timestamp,
    /// The family of clients it belongs to.
    pub dialect: String,
    /// The network it comes from, not the address: the first 24 bits of IPv4, 48 of IPv6.
    pub network: String,
}

/// The newest state of the announcement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced {
    /// Grows with every change, also when the announcement is withdrawn. 0: there never was one.
    pub revision: i64,
    /// `None`: it was withdrawn, or its time is over.
    pub announcement: Option<Announcement>,
}

/// A text that administrators show to everybody who is connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Announcement {
    /// Another text has another one.
    #[cfg_attr(feature = "openapi", schema(examples(3)))]
    pub id: i64,
    /// One paragraph of plain text.
    #[cfg_attr(
        feature = "openapi",
        schema(examples("Maintenance tonight at ten, for five minutes."))
    )]
    pub text: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends by itself; `None`: it stays until it is withdrawn.
    pub ends_at: Option<Timestamp>,
}

impl Announced {
    /// Whether this state comes after another one. The same revision ends when its time is over.
    pub fn follows(&self, known: &Self) -> bool {
        self.revision > known.revision
            || (self.revision == known.revision
                && self.announcement.is_none()
                && known.announcement.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_late_changes_nothing() {
        let text = |id| Announcement {
            id,
            text: "hello".to_owned(),
            made_at: Timestamp(1),
            ends_at: Some(Timestamp(9)),
        };
        let shown = |revision| Announced { revision, announcement: Some(text(revision)) };
        let gone = |revision| Announced { revision, announcement: None };
        for (new, known, follows) in [
            (shown(1), Announced::default(), true),
            (shown(1), shown(1), false),
            (gone(1), shown(1), true),
            (shown(1), gone(1), false),
            (gone(2), shown(1), true),
            (shown(1), gone(2), false),
            (shown(3), gone(2), true),
        ] {
            assert_eq!(new.follows(&known), follows, "{new:?} after {known:?}");
        }
    }

    #[test]
    fn an_order_of_a_newer_api_is_read_as_none() {
        let read: OrderPayload = serde_json::from_str(r#"{"kind":"dance","how":"well"}"#).unwrap();
        assert_eq!(read, OrderPayload::Unknown);
    }
}
