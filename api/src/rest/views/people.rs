//! People as administrators see them.

use crate::accounts::people::{Card, PeoplePage, PersonEntry};
use protocol::{account::Role, chat::PresenceStatus, id::UserId, time::Timestamp};
use serde::Serialize;
use std::collections::HashSet;
use utoipa::ToSchema;

/// An account or a guest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Person)]
pub(crate) struct PersonView {
    id: UserId,
    #[schema(examples("ann"))]
    username: String,
    /// The display name.
    #[schema(examples("Ann"))]
    name: String,
    /// The avatar's URL, or empty.
    #[schema(examples(""))]
    avatar: String,
    role: Role,
    /// Somebody without an account, who chose the name.
    guest: bool,
    status: PresenceStatus,
    /// When the account was registered, or the guest first came.
    created_at: Timestamp,
    /// Since when an administrator has shut the person out; `null` if none has.
    blocked_at: Option<Timestamp>,
}

impl PersonView {
    fn new(person: PersonEntry, online: &HashSet<UserId>) -> Self {
        let status = match online.contains(&person.id) {
            true => PresenceStatus::Online,
            false => PresenceStatus::Offline,
        };
        let PersonEntry { id, username, name, avatar, role, guest, blocked_at, created_at, .. } =
            person;
        Self { id, username, name, avatar, role, guest, status, created_at, blocked_at }
    }
}

/// A page of people.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PeoplePage)]
pub(crate) struct PeoplePageView {
    items: Vec<PersonView>,
    /// The `before` value of the next page; `null` on the last page.
    next: Option<UserId>,
}

impl PeoplePageView {
    pub(crate) fn new(page: PeoplePage, online: &HashSet<UserId>) -> Self {
        let PeoplePage { people, next } = page;
        let items = people.into_iter().map(|person| PersonView::new(person, online)).collect();
        Self { items, next }
    }
}

/// A person with what administrators need before they do something.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PersonCard)]
pub(crate) struct CardView {
    #[serde(flatten)]
    person: PersonView,
    /// When a device last renewed its session, or the guest last came; `null` if that is not known any more.
    last_seen: Option<Timestamp>,
    /// How many devices are signed in.
    #[schema(examples(2))]
    sessions: i64,
    /// How many chats the person is in.
    #[schema(examples(12))]
    chats: i64,
    /// How many groups and rooms the person owns.
    #[schema(examples(1))]
    owned_chats: i64,
}

impl CardView {
    pub(crate) fn new(card: Card, online: &HashSet<UserId>) -> Self {
        let Card { person, last_seen, sessions, chats, owned_chats } = card;
        let person = PersonView::new(person, online);
        Self { person, last_seen, sessions, chats, owned_chats }
    }
}
