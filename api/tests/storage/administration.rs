//! Administration on both databases: people and chats are found by any part of a name, page by page, and acts on
//! accounts keep their promises.

use crate::harness::{T, both};
use api::{
    accounts::{
        devices,
        people::{self, PeopleQuery, Show},
    },
    audit::{self, AuditFilter},
    chats::{
        directory::{self, DirectoryQuery},
        members,
    },
};
use protocol::{
    chat::ChatType,
    id::{ChatId, UserId},
    time::Timestamp,
};

both!(
    people_are_found_by_any_part_of_a_name,
    people_of_each_kind,
    a_search_among_many_goes_on_where_it_stopped,
    a_card_counts,
    signing_out_is_recorded_once,
    chats_are_found_without_their_texts,
    whose_members_are_seen_is_recorded,
    the_log_by_who_what_whom_and_when,
);

const ALL: PeopleQuery<'_> =
    PeopleQuery { text: "", show: Show::Accounts, before: None, limit: 50 };

async fn found(t: &T, query: PeopleQuery<'_>) -> (Vec<String>, Option<UserId>) {
    let page = people::list(t.api.db.home(), query).await.unwrap();
    (page.people.into_iter().map(|person| person.username).collect(), page.next)
}

async fn people_are_found_by_any_part_of_a_name(t: T) {
    let [_, bob, _] = t.users(["ann", "bob", "joanna"]).await;
    t.sql(format!("UPDATE users SET name = 'Боб Дилан' WHERE id = {bob}")).await;
    for (text, names) in [
        ("", &["joanna", "bob", "ann"][..]),
        ("ANN", &["joanna", "ann"]),
        ("@ann", &["joanna", "ann"]),
        ("дил", &["bob"]),
        ("the jo", &["joanna"]),
        ("%", &[]),
        ("_", &[]),
    ] {
        assert_eq!(found(&t, PeopleQuery { text, ..ALL }).await.0, names, "{text}");
    }
    t.sql(format!("UPDATE users SET deactivated_at = 1 WHERE id = {bob}")).await;
    assert_eq!(found(&t, ALL).await.0, ["joanna", "ann"], "who was removed is nobody");
}

async fn people_of_each_kind(t: T) {
    let [ann, bob, cid, vi] = t.users(["ann", "bob", "cid", "vi"]).await;
    t.sql(format!("UPDATE users SET role = 'admin' WHERE id = {ann}")).await;
    t.sql(format!("UPDATE users SET blocked_at = 5 WHERE id IN ({cid}, {vi})")).await;
    t.sql(format!("UPDATE users SET guest = TRUE, username_key = '@vi' WHERE id = {vi}")).await;
    for (show, names) in [
        (Show::Accounts, &["cid", "bob", "ann"][..]),
        (Show::Admins, &["ann"]),
        (Show::Blocked, &["vi", "cid"]),
        (Show::Guests, &["vi"]),
    ] {
        let (all, next) = found(&t, PeopleQuery { show, ..ALL }).await;
        assert_eq!(
            (all, next),
            (names.iter().map(ToString::to_string).collect(), None),
            "{show:?}"
        );
        let before = Some(bob);
        let rest: Vec<&str> =
            names.iter().copied().filter(|name| !["vi", "cid", "bob"].contains(name)).collect();
        assert_eq!(found(&t, PeopleQuery { show, before, ..ALL }).await.0, rest, "{show:?}");
    }
    let (first, next) = found(&t, PeopleQuery { limit: 2, ..ALL }).await;
    assert_eq!((first, next), (vec!["cid".to_owned(), "bob".to_owned()], Some(bob)));
    let last = found(&t, PeopleQuery { limit: 2, before: next, ..ALL }).await;
    assert_eq!(last, (vec!["ann".to_owned()], None));
}

async fn a_search_among_many_goes_on_where_it_stopped(t: T) {
    let needle = t.user("needle").await;
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)";
    t.sql(format!(
        "{numbers} INSERT INTO users (username, username_key, name, password_hash, created_at)
         SELECT 'hay' || i, 'hay' || i, 'Hay', '', 0 FROM n"
    ))
    .await;
    let (mut pages, mut before) = (0, None);
    let names = loop {
        let (names, next) = found(&t, PeopleQuery { text: "needle", before, ..ALL }).await;
        pages += 1;
        if next.is_none() {
            break names;
        }
        assert!(names.is_empty() && next < before.or(Some(UserId(i64::MAX))));
        before = next;
    };
    assert_eq!((names.as_slice(), pages), (&["needle".to_owned()][..], 2), "{needle}");
}

async fn a_card_counts(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    t.group(ann, &[bob]).await;
    t.room(ann).await;
    let gone = t.group(ann, &[bob]).await;
    t.sql(format!("UPDATE chats SET deleted_at = 1 WHERE id = {gone}")).await;
    let session = t.session(ann).await;
    t.sql(format!("UPDATE sessions SET last_used_at = 77 WHERE id = '{session}'")).await;
    let card = people::card(&t.api, ann).await.unwrap();
    assert_eq!((card.sessions, card.chats, card.owned_chats), (1, 2, 2));
    assert_eq!(card.last_seen, Some(Timestamp(77)));
    let card = people::card(&t.api, bob).await.unwrap();
    assert_eq!((card.sessions, card.chats, card.owned_chats), (0, 1, 0));
    assert_eq!(card.last_seen, None);
}

async fn signing_out_is_recorded_once(t: T) {
    let [root, ann] = t.users(["root", "ann"]).await;
    let [one, _, _] = [t.session(ann).await, t.session(ann).await, t.session(root).await];
    devices::end_one(&t.api, root, ann, one, "a lost phone").await.unwrap();
    assert!(devices::end_one(&t.api, root, ann, one, "").await.is_err(), "it has ended");
    assert_eq!(devices::end_all(&t.api, root, ann, "").await.unwrap(), 1);
    assert_eq!(devices::end_all(&t.api, root, ann, "").await.unwrap(), 0);
    let log = audit::list(t.api.db.home(), AuditFilter::default(), None, 9).await.unwrap().entries;
    let told: Vec<_> = log.iter().map(|e| (e.action.as_str(), e.reason.as_str())).collect();
    assert_eq!(told, [("end_sessions", ""), ("end_sessions", "a lost phone")]);
    let left = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
    assert_eq!(t.number(left.to_owned()).await, 1, "nobody else's");
}

async fn chats_are_found_without_their_texts(t: T) {
    let [ann, bob] = t.users(["ann", "bob"]).await;
    let group = t.group(ann, &[bob]).await;
    let room = t.room(bob).await;
    let private = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    t.sql(format!("UPDATE chats SET name = 'Чай и кофе' WHERE id = {room}")).await;
    t.say(ann, group, "a secret").await;
    let all = DirectoryQuery { text: "", kind: None, owner: None, before: None, limit: 50 };
    let ids = async |query| {
        let page = directory::list(t.api.db.home(), query).await.unwrap();
        (page.chats.iter().map(|chat| chat.id).collect::<Vec<ChatId>>(), page.next)
    };
    assert_eq!(ids(all).await, (vec![private, room, group, ChatId::LOBBY], None));
    assert_eq!(ids(DirectoryQuery { text: "КОФЕ", ..all }).await.0, [room]);
    assert_eq!(ids(DirectoryQuery { kind: Some(ChatType::Private), ..all }).await.0, [private]);
    assert_eq!(ids(DirectoryQuery { owner: Some(ann), ..all }).await.0, [group]);
    assert_eq!(ids(DirectoryQuery { limit: 2, ..all }).await, (vec![private, room], Some(room)));
    let rest = ids(DirectoryQuery { before: Some(room), ..all }).await;
    assert_eq!(rest, (vec![group, ChatId::LOBBY], None));
    let page = directory::list(t.api.db.home(), all).await.unwrap();
    let chat = |id| page.chats.iter().find(|chat| chat.id == id).unwrap();
    assert_eq!((chat(group).member_count, chat(group).message_count), (2, 1));
    assert!(chat(group).changed_at >= chat(group).created_at);
    assert_eq!(chat(private).name, "", "between whom it is, is in no list");
    t.sql(format!("UPDATE chats SET deleted_at = 1 WHERE id = {group}")).await;
    assert_eq!(ids(DirectoryQuery { owner: Some(ann), ..all }).await.0, []);
}

async fn whose_members_are_seen_is_recorded(t: T) {
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    let group = t.group(ann, &[bob]).await;
    let room = t.room(ann).await;
    let own = t.group(root, &[]).await;
    for (chat, count) in [(group, 2), (room, 1), (own, 1)] {
        let members = members::list_of_any(&t.api, root, chat, UserId(0), 100).await.unwrap();
        assert_eq!(members.len(), count);
    }
    let page = members::list_of_any(&t.api, root, group, ann, 1).await.unwrap();
    assert_eq!(page[0].user_id, bob);
    let log = audit::list(t.api.db.home(), AuditFilter::default(), None, 9).await.unwrap().entries;
    let told: Vec<_> = log.iter().map(|e| (e.action.as_str(), e.chat_id)).collect();
    assert_eq!(told, [("read_members", Some(group)); 2], "not of a room, nor of one's own");
}

async fn the_log_by_who_what_whom_and_when(t: T) {
    let [root, ann, bob] = t.users(["root", "ann", "bob"]).await;
    t.sql(format!(
        "INSERT INTO audit_log (at, actor_id, action, user_id, reason) VALUES
         (10, {root}, 'block_user', {ann}, '1'), (20, {root}, 'unblock_user', {ann}, '2'),
         (30, {ann}, 'block_user', {bob}, '3'), (40, NULL, 'reset_password', {bob}, '4')"
    ))
    .await;
    let all = AuditFilter::default();
    for (filter, reasons) in [
        (all, "4321"),
        (AuditFilter { actor: Some(root), ..all }, "21"),
        (AuditFilter { user: Some(bob), ..all }, "43"),
        (AuditFilter { action: Some("block_user"), ..all }, "31"),
        (AuditFilter { from: Some(Timestamp(20)), until: Some(Timestamp(40)), ..all }, "32"),
        (AuditFilter { actor: Some(root), user: Some(bob), ..all }, ""),
    ] {
        let page = audit::list(t.api.db.home(), filter, None, 9).await.unwrap();
        let told: String = page.entries.iter().map(|entry| entry.reason.as_str()).collect();
        assert_eq!((told.as_str(), page.next), (reasons, None), "{filter:?}");
    }
    // Whoever looks for what is rare among much is led on.
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001)";
    t.sql(format!(
        "{numbers} INSERT INTO audit_log (at, actor_id, action, reason)
         SELECT 50, {ann}, 'read_email', '' FROM n"
    ))
    .await;
    let rare = AuditFilter { action: Some("unblock_user"), ..all };
    let first = audit::list(t.api.db.home(), rare, None, 9).await.unwrap();
    assert!(first.entries.is_empty() && first.next.is_some());
    let second = audit::list(t.api.db.home(), rare, first.next, 9).await.unwrap();
    assert_eq!((second.entries[0].reason.as_str(), second.next), ("2", None));
}
