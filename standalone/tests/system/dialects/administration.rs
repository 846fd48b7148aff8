//! The administration that clients of the dialect `names` have: reading a user's chats, who is active, blocking; and the log of it.

use super::{
    assert_time,
    names::{from, names, success, to},
};
use crate::harness::{Answer, System, User, contains, unique, until};
use protocol::close::Close;
use serde_json::json;

in_both_modes!(
    an_admin_reads_a_users_chats,
    an_admin_sees_who_is_active,
    an_admin_blocks_and_unblocks,
    what_admins_do_is_written_down,
);

async fn an_admin_reads_a_users_chats(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    ann.post(chat, "between us").await;
    let path = format!("/readuserchats?username={}", ann.username);
    let seen = admin.rest.get(&format!("{path}&reason=a complaint")).await.ok();
    assert_eq!(seen, ann.rest.get("/getallchats").await.ok(), "as the user sees them");
    assert_eq!(seen[&bob.username][0]["is_read"], false, "and reading marks nothing");
    bob.rest.get(&path).await.refused(403, "admin_only");
    assert_eq!(t.rest().get(&path).await.status, 401);
    let nobody = format!("/readuserchats?username={}", unique("nobody"));
    admin.rest.get(&nobody).await.refused(404, "user_not_found");
}

/// All active users, page by page.
async fn active(admin: &User) -> Vec<String> {
    let (mut all, mut path) = (Vec::new(), "/getallactiveusers?limit=2".to_owned());
    loop {
        let page = admin.rest.get(&path).await;
        let link = page.headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        let page = page.ok();
        let page = page.as_array().expect("an array");
        assert!(page.len() <= 2);
        all.extend(page.iter().map(|name| name.as_str().expect("a name").to_owned()));
        let Some(link) = link else { return all };
        assert!(link.ends_with("rel=\"next\""), "{link}");
        let target = link.trim_start_matches('<').split('>').next().unwrap();
        path = target[target.find("/getallactiveusers").expect("the same path")..].to_owned();
    }
}

async fn an_admin_sees_who_is_active(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let cat = t.user("cat").await;
    let phone = names(&ann, 0).await;
    let _desk = bob.connect_to(1).await;
    until("both to be active", async || {
        let all = active(&admin).await;
        assert!(!all.contains(&cat.username));
        (all.contains(&ann.username) && all.contains(&bob.username)).then_some(())
    })
    .await;
    let whole = admin.rest.get("/getallactiveusers").await.ok();
    assert!(whole.as_array().unwrap().contains(&json!(bob.username)), "{whole}");
    drop(phone);
    until("Ann to be gone", async || (!active(&admin).await.contains(&ann.username)).then_some(()))
        .await;
    ann.rest.get("/getallactiveusers").await.refused(403, "admin_only");
    assert_eq!(t.rest().get("/getallactiveusers").await.status, 401);
    admin.rest.get("/getallactiveusers?limit=1001").await.invalid("limit");
}

async fn an_admin_blocks_and_unblocks(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let path = |verb: &str| format!("/{verb}?username={}", ann.username.to_uppercase());
    for verb in ["blockuser", "unblockuser"] {
        bob.rest.post(&path(verb), json!({})).await.refused(403, "admin_only");
        assert_eq!(t.rest().post(&path(verb), json!({})).await.status, 401);
        let nobody = format!("/{verb}?username={}", unique("nobody"));
        admin.rest.post(&nobody, json!({})).await.refused(404, "user_not_found");
        admin.rest.post(&format!("/{verb}"), json!({})).await.invalid("username");
    }
    let mut phone = names(&ann, 0).await;
    let long = "x".repeat(201);
    let refused: Answer =
        admin.rest.post(&format!("{}&reason={long}", path("blockuser")), json!({})).await;
    refused.invalid("reason");
    admin.rest.post(&path("blockuser"), json!({})).await.ok();
    phone.expect_only_close(Close::Blocked).await;
    let mut other = names(&bob, 1).await;
    other
        .ask(to(&ann, "are you there?"), json!({ "status": "error", "code": "recipient_blocked" }))
        .await;
    admin.rest.post(&path("unblockuser"), json!({})).await.ok();
    let mut back = names(&ann.sign_in_again().await, 1).await;
    other.ask(to(&ann, "there you are"), success()).await;
    back.expect(from(&bob, "there you are")).await;
}

async fn what_admins_do_is_written_down(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let group = ann.group("theirs", &[&bob]).await;
    let private = ann.private(&bob).await;
    ann.post(private, "hi").await;
    let message = ann.post(group, "rude").await;
    let post = async |path: String| admin.rest.post(&path, json!({})).await.ok();
    post(format!("/blockuser?username={}&reason=spam", ann.username)).await;
    post(format!("/unblockuser?username={}", ann.username)).await;
    admin.rest.get(&format!("/readuserchats?username={}&reason=why+not", bob.username)).await.ok();
    admin.rest.get(&format!("/messages/{}/{}", ann.id, bob.id)).await.ok();
    admin.rest.delete(&format!("/chats/{group}/messages/{message}")).await.ok();
    admin.rename(group, "moderated").await;
    admin.remove_member(group, &bob).await;
    admin.delete_chat(group).await;

    let actor = json!({ "id": admin.id, "username": "admin" });
    let (anns, bobs) = (json!({ "id": ann.id }), json!({ "id": bob.id }));
    let expected = [
        json!({ "action": "delete_chat", "chat_id": group, "actor": actor }),
        json!({ "action": "remove_member", "chat_id": group, "target_user": bobs }),
        json!({ "action": "rename_chat", "chat_id": group }),
        json!({ "action": "delete_message", "chat_id": group, "message_id": message }),
        json!({ "action": "read_conversation", "chat_id": private, "actor": actor }),
        json!({ "action": "read_user_chats", "target_user": bobs, "reason": "why not" }),
        json!({ "action": "unblock_user", "target_user": anns, "actor": actor, "reason": "" }),
        json!({ "action": "block_user", "target_user": anns, "actor": actor, "reason": "spam" }),
    ];
    // Newest first, in pages; other tests' admin writes into the same log.
    let (mut found, mut before) = (0, String::new());
    while found < expected.len() {
        let page = admin.rest.get(&format!("/admin/audit?limit=3{before}")).await.ok();
        for item in page["items"].as_array().expect("items") {
            assert_time(&item["at"]);
            if found < expected.len() && contains(item, &expected[found]) {
                found += 1;
            }
        }
        let next = &page["next"];
        assert!(found == expected.len() || !next.is_null(), "{} is missing", expected[found]);
        before = format!("&before={next}");
    }
    ann.sign_in_again().await.rest.get("/admin/audit").await.refused(403, "admin_only");
    assert_eq!(t.rest().get("/admin/audit").await.status, 401);
    admin.rest.get("/admin/audit?limit=101").await.invalid("limit");
}
