//! The audit log: which acts are in it, that none goes without, and that it is only appended to.

use crate::harness::{T, actor, admin, both, delete, refused};
use api::{
    audit::{self, AuditAction, AuditEntry, AuditFilter, RecordedEntry, check_reason},
    chats::{manage, membership},
    db::Db,
};
use protocol::{
    chat::ChatType,
    id::{ChatId, Seq, UserId},
};
use sqlx::AssertSqlSafe;

both!(
    acts_by_an_administrators_right,
    acts_that_need_no_such_right,
    deleted_messages,
    no_act_without_its_entry,
    the_log_is_only_appended_to,
    the_log_in_pages,
);

async fn log(t: &T) -> Vec<RecordedEntry> {
    let mut entries =
        audit::list(t.api.db.home(), AuditFilter::default(), None, 100).await.unwrap().entries;
    entries.reverse();
    entries
}

type Told = (String, Option<UserId>, Option<ChatId>, Option<Seq>);

fn told(entries: &[RecordedEntry]) -> Vec<Told> {
    let user = |entry: &RecordedEntry| entry.target_user.as_ref().map(|user| user.id);
    let told = |entry: &RecordedEntry| {
        (entry.action.clone(), user(entry), entry.chat_id, entry.message_id)
    };
    entries.iter().map(told).collect()
}

fn entry(action: &str, user: Option<UserId>, chat: ChatId, message: Option<Seq>) -> Told {
    (action.to_owned(), user, Some(chat), message)
}

/// Makes the user an administrator, for what reads the role from the database.
async fn promote(t: &T, user: UserId) {
    t.sql(format!("UPDATE users SET role = 'admin' WHERE id = {user}")).await;
}

async fn acts_by_an_administrators_right(t: T) {
    let [ann, bob, cid, root] = t.users(["ann", "bob", "cid", "root"]).await;
    let chat = t.group(ann, &[]).await;
    let boss = admin(root);
    manage::rename(&t.api, boss, chat, "Team").await.unwrap();
    membership::add(&t.api, boss, chat, &[cid, bob, ann]).await.unwrap();
    membership::add(&t.api, boss, chat, &[bob]).await.unwrap();
    membership::remove(&t.api, boss, chat, bob).await.unwrap();
    manage::delete(&t.api, boss, chat).await.unwrap();
    let entries = log(&t).await;
    assert_eq!(
        told(&entries),
        [
            entry("rename_chat", None, chat, None),
            // Those who were new, each with an entry.
            entry("add_member", Some(bob), chat, None),
            entry("add_member", Some(cid), chat, None),
            entry("remove_member", Some(bob), chat, None),
            entry("delete_chat", None, chat, None),
        ]
    );
    let [first, .., last] = &entries[..] else { unreachable!() };
    assert!(first.at.0 > 1_700_000_000_000 && first.at <= last.at);
    for entry in &entries {
        let actor = entry.actor.as_ref().unwrap();
        assert_eq!((actor.id, actor.username.as_str(), entry.reason.as_str()), (root, "root", ""));
    }
}

async fn acts_that_need_no_such_right(t: T) {
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    let boss = admin(root);
    // Owners', also an administrator's own; and what was refused.
    for owner in [actor(ann), boss] {
        let chat = t.group(owner.user_id, &[]).await;
        manage::rename(&t.api, owner, chat, "Team").await.unwrap();
        membership::add(&t.api, owner, chat, &[bob]).await.unwrap();
        membership::remove(&t.api, owner, chat, bob).await.unwrap();
        manage::delete(&t.api, owner, chat).await.unwrap();
    }
    let room = t.room(ann).await;
    membership::join(&t.api, boss, room).await.unwrap();
    membership::leave(&t.api, boss, room).await.unwrap();
    assert_eq!(refused(manage::rename(&t.api, boss, ChatId::LOBBY, "x").await), (403, "lobby"));
    let nobody = membership::remove(&t.api, boss, room, bob).await;
    assert_eq!(refused(nobody), (404, "member_not_found"));
    assert_eq!(log(&t).await.len(), 0);
}

async fn deleted_messages(t: T) {
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    promote(&t, root).await;
    let chat = t.group(ann, &[bob, root]).await;
    let own = t.group(root, &[bob]).await;
    for (user, chat) in [(bob, chat), (bob, chat), (root, chat), (root, chat), (bob, own)] {
        t.say(user, chat, "x").await;
    }
    // The owner's, the sender's, one's own as an administrator, one in an administrator's own group.
    for (user, chat, id) in [(ann, chat, 1), (root, chat, 3), (root, own, 1)] {
        t.one(delete(user, chat, Seq(id))).await.unwrap();
    }
    assert_eq!(log(&t).await.len(), 0);
    t.one(delete(root, chat, Seq(2))).await.unwrap();
    // Gone already: nothing is done.
    t.one(delete(root, chat, Seq(2))).await.unwrap();
    t.one(delete(root, chat, Seq(1))).await.unwrap();
    // As somebody who is not in it any more, only by the right.
    membership::leave(&t.api, actor(root), chat).await.unwrap();
    t.one(delete(root, chat, Seq(4))).await.unwrap();
    // Several in one batch.
    let private = t.try_create(ann, ChatType::Private, &[bob]).await.unwrap();
    t.say(ann, private, "1").await;
    t.say(bob, private, "2").await;
    t.post(vec![delete(root, private, Seq(1)), delete(root, private, Seq(2))]).await;
    assert_eq!(
        told(&log(&t).await),
        [
            entry("delete_message", Some(bob), chat, Some(Seq(2))),
            entry("delete_message", Some(root), chat, Some(Seq(4))),
            entry("delete_message", Some(ann), private, Some(Seq(1))),
            entry("delete_message", Some(bob), private, Some(Seq(2))),
        ]
    );
}

async fn no_act_without_its_entry(t: T) {
    let [ann, bob, root] = t.users(["ann", "bob", "root"]).await;
    promote(&t, root).await;
    let chat = t.group(ann, &[bob]).await;
    t.say(ann, chat, "x").await;
    t.sql("ALTER TABLE audit_log RENAME TO away".to_owned()).await;
    let boss = admin(root);
    assert_eq!(refused(manage::rename(&t.api, boss, chat, "other").await).0, 500);
    assert_eq!(refused(manage::delete(&t.api, boss, chat).await).0, 500);
    assert_eq!(refused(membership::remove(&t.api, boss, chat, bob).await).0, 500);
    let deletion = protocol::calls::Post::patient(vec![delete(root, chat, Seq(1))]);
    assert_eq!(refused(api::internal::post(&t.api, deletion).await).0, 500);
    let kept = format!(
        "SELECT count(*) FROM chats c JOIN members m ON m.chat_id = c.id
         JOIN messages x ON x.chat_id = c.id AND x.deleted_at IS NULL
         WHERE c.id = {chat} AND c.name = 'a chat' AND c.deleted_at IS NULL"
    );
    assert_eq!(t.number(kept).await, 2);
}

async fn the_log_is_only_appended_to(t: T) {
    let root = t.user("root").await;
    let mut tx = t.api.db.home().begin().await.unwrap();
    let first = AuditEntry::of(root, AuditAction::BlockUser).on_user(root).because("a reason");
    audit::record(&mut tx, &[first]).await.unwrap();
    tx.commit().await.unwrap();
    let mut attempts = vec![
        "UPDATE audit_log SET reason = ''",
        "DELETE FROM audit_log",
        "DELETE FROM audit_log WHERE id = 1",
    ];
    if let Db::Postgres(..) = t.api.db.home() {
        attempts.push("TRUNCATE audit_log");
    }
    for attempt in attempts {
        let sql = sqlx::raw_sql(AssertSqlSafe(attempt));
        let error = match t.api.db.home() {
            Db::Postgres(pool, ..) => sql.execute(pool).await.unwrap_err(),
            Db::Sqlite { write, .. } => sql.execute(write).await.unwrap_err(),
        };
        assert!(error.to_string().contains("only appended to"), "{attempt}: {error}");
    }
    assert_eq!(log(&t).await[0].reason, "a reason");
}

async fn the_log_in_pages(t: T) {
    let root = t.user("root").await;
    let mut tx = t.api.db.home().begin().await.unwrap();
    let reasons: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    let entry = AuditEntry::of(None, AuditAction::CreateAdmin).on_user(root);
    let entries: Vec<AuditEntry<'_>> = reasons.iter().map(|reason| entry.because(reason)).collect();
    audit::record(&mut tx, &entries).await.unwrap();
    tx.commit().await.unwrap();
    let page = async |before, limit| {
        audit::list(t.api.db.home(), AuditFilter::default(), before, limit).await.unwrap().entries
    };
    let reasons =
        |page: &[RecordedEntry]| page.iter().map(|e| e.reason.clone()).collect::<Vec<_>>();
    let newest = page(None, 2).await;
    assert_eq!(reasons(&newest), ["4", "3"]);
    assert!(newest[0].actor.is_none());
    assert_eq!(reasons(&page(Some(newest[1].id), 9).await), ["2", "1", "0"]);
}

#[test]
fn reasons() {
    for reason in ["", "spam", "Троллинг — third time", &"ü".repeat(200)] {
        assert!(check_reason(reason).is_ok(), "{reason}");
    }
    for reason in ["a\nb", "\0", "a\u{202e}b", &"x".repeat(201)] {
        assert_eq!(check_reason(reason).unwrap_err().fields[0].field, "reason", "{reason:?}");
    }
}
