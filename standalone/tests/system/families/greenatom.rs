//! Family C, Greenatom: JSON web tokens, people by username, read state, administration.

use super::{assert_time, cookie};
use crate::harness::{
    Answer, PASSWORD, Rest, System, User, Window, contains, unique, until, until_eq,
};
use reqwest::Method;
use serde_json::{Value, json};
use shared::close::Close;

in_both_modes!(
    registering_gives_a_user_and_a_token,
    signing_in_takes_a_form_or_json,
    a_message_reaches_every_device_and_is_confirmed,
    refused_messages_say_why,
    what_is_delivered_live_counts_as_read,
    read_state_is_kept_and_changed,
    chats_are_keyed_by_names,
    changing_calls_are_also_get_but_never_by_cookie,
    an_admin_reads_a_users_chats,
    an_admin_sees_who_is_active,
    an_admin_blocks_and_unblocks,
    what_admins_do_is_written_down,
);

/// A message as this family writes it.
fn to(user: &User, message: &str) -> Value {
    json!({ "username_to": user.username, "message": message })
}

/// The same as it arrives.
fn from(user: &User, message: &str) -> Value {
    json!({ "username_from": user.username, "message": message })
}

fn success() -> Value {
    json!({ "status": "success", "error": null })
}

async fn names(user: &User, node: usize) -> Window {
    user.window(node, "/ws/chat").await
}

async fn registering_gives_a_user_and_a_token(t: System) {
    for mail in ["email", "mail"] {
        let username = unique("ann");
        let email = format!("{username}@example.com");
        let body =
            json!({ "username": username, "password": PASSWORD, mail: email, "name": "Ann" });
        let user = t.rest().post("/register", body).await.ok();
        let expected =
            json!({ "username": username, "email": email, "name": "Ann", "token_type": "bearer" });
        assert!(contains(&user, &expected), "{user}");
        let token = user["access_token"].as_str().expect("a token");
        assert_eq!(t.rest().with_token(token).get("/me").await.ok()["id"], user["id"]);
    }
}

async fn signing_in_takes_a_form_or_json(t: System) {
    let ann = t.user("ann").await;
    let form = [("grant_type", "password"), ("username", &ann.username), ("password", PASSWORD)];
    let by_form = Rest::send(t.rest().request(Method::POST, "/login").form(&form)).await;
    let body = json!({ "username": ann.username, "password": PASSWORD });
    let by_json = t.rest().post("/login", body).await;
    for answer in [by_form, by_json] {
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.body["token_type"], "bearer");
        assert!(answer.body["expires_in"].as_u64() > Some(0));
        let token = answer.body["access_token"].as_str().expect("a token");
        t.rest().with_token(token).get("/getallmessages").await.ok();
    }
    let form = [("username", ann.username.as_str()), ("password", "not the password")];
    let wrong = Rest::send(t.rest().request(Method::POST, "/login").form(&form)).await;
    wrong.refused(401, "invalid_credentials");
}

async fn a_message_reaches_every_device_and_is_confirmed(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let mut anns = [names(&ann, 0).await, names(&ann, 1).await];
    let mut bobs = [names(&bob, 1).await, bob.front_window("/ws/chat").await];

    // The very first message of the two.
    let stored = anns[0].ask(to(&bob, "hi"), success()).await;
    assert_time(&stored["timestamp"]);
    for device in &mut bobs {
        let got = device.expect(from(&ann, "hi")).await;
        assert_eq!((&got["id"], &got["timestamp"]), (&stored["id"], &stored["timestamp"]));
    }
    bobs[1]
        .ask(json!({ "username_to": ann.username.to_uppercase(), "message": "hi, Ann" }), success())
        .await;
    for device in &mut anns {
        // The other device has seen nothing of Ann's own.
        device.expect(from(&bob, "hi, Ann")).await;
    }
    let stored =
        [anns[1].ask(to(&bob, "a"), success()).await, anns[1].ask(to(&bob, "b"), success()).await];
    assert!(stored[0]["id"].as_i64() < stored[1]["id"].as_i64());
    for device in &mut bobs {
        device.expect(from(&ann, "a")).await;
        device.expect(from(&ann, "b")).await;
    }
}

async fn refused_messages_say_why(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let admin = t.admin().await;
    admin.rest.post(&format!("/blockuser?username={}", eve.username), json!({})).await.ok();
    let mut phone = names(&ann, 0).await;
    for (frame, expected) in [
        (json!({ "username_to": unique("nobody"), "message": "x" }), "recipient_not_found"),
        (to(&eve, "x"), "recipient_blocked"),
        (to(&ann, "x"), "recipient_is_yourself"),
        (to(&bob, ""), "invalid_text"),
        (to(&bob, &"ж".repeat(4001)), "invalid_text"),
        (json!({ "username_to": bob.username }), "invalid_frame"),
        (json!({ "username_to": 7, "message": "x" }), "invalid_frame"),
        (json!({ "message": "x" }), "invalid_frame"),
    ] {
        let answer = phone.ask(frame.clone(), json!({ "status": "error", "code": expected })).await;
        assert!(answer["error"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    }
    let mut other = names(&bob, 1).await;
    phone.ask(to(&bob, "better"), success()).await;
    other.expect(from(&ann, "better")).await;
    assert_eq!(
        ann.rest.get("/getallmessages").await.ok()[&bob.username].as_array().unwrap().len(),
        1
    );
}

async fn what_is_delivered_live_counts_as_read(t: System) {
    let (ann, bob) = (t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    let missed = ann.post(chat, "while Bob was away").await;
    let mut here = names(&bob, 1).await;
    let unread = bob.rest.get("/getnotreadedmessages").await.ok();
    assert_eq!(unread[&ann.username][0]["text"], "while Bob was away");
    let sent = ann.post(chat, "now he is there").await;
    here.expect(from(&ann, "now he is there")).await;
    until_eq("both to be read", json!([sent, 0]), async || {
        let chat = bob.chat(chat).await;
        json!([chat["last_read"], chat["unread"]])
    })
    .await;
    assert!(missed < sent);
    assert_eq!(bob.rest.get("/getnotreadedmessages").await.ok(), json!({}));
    let anns = ann.rest.get("/getallmessages").await.ok();
    assert_eq!(anns[&bob.username][1]["is_read"], true, "{anns}");
}

/// The texts in a list of chats, under one key.
fn texts(lists: &Value, key: &str) -> Vec<String> {
    let list = lists[key].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| one["text"].as_str().expect("a text").to_owned()).collect()
}

async fn read_state_is_kept_and_changed(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let with_ann = ann.private(&bob).await;
    let with_cat = cat.private(&bob).await;
    for text in ["one", "two"] {
        ann.post(with_ann, text).await;
    }
    cat.post(with_cat, "meow").await;
    bob.post(with_cat, "my own").await;
    let get = async |path: &str| bob.rest.get(path).await.ok();

    let unread = get("/getnotreadedmessages").await;
    assert_eq!(texts(&unread, &ann.username), ["one", "two"]);
    let read = get("/getreadedmessages").await;
    assert!(read.get(&ann.username).is_none(), "nothing read is there: {read}");
    assert!(!unread.to_string().contains("my own"), "only received ones: {unread}");

    let path = format!("/readnotreadedfromuser?user_from={}", ann.username);
    let marked = bob.rest.post(&path, json!({})).await.ok();
    assert!(contains(&marked, &success()), "{marked}");
    let read = get("/getreadedmessages").await;
    assert_eq!(texts(&read, &ann.username), ["one", "two"]);
    assert_eq!(read[&ann.username][0]["is_read"], true);
    let unread = get("/getnotreadedmessages").await;
    assert!(unread.get(&ann.username).is_none() && unread.get(&cat.username).is_some(), "{unread}");
    let nobody = format!("/readnotreadedfromuser?user_from={}", unique("nobody"));
    bob.rest.post(&nobody, json!({})).await.refused(404, "user_not_found");

    cat.post(with_cat, "and again").await;
    ann.post(with_ann, "three").await;
    let marked = bob.rest.post("/readnotreaded", json!({})).await.ok();
    assert!(
        contains(&marked, &json!({ "status": "success", "error": null, "marked": 2 })),
        "{marked}"
    );
    assert_eq!(get("/getnotreadedmessages").await, json!({}));
    assert_eq!(texts(&get("/getreadedmessages").await, &cat.username), ["meow", "and again"]);
}

async fn chats_are_keyed_by_names(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let private = ann.private(&bob).await;
    let group = ann.group("team", &[&bob, &cat]).await;
    let twin = cat.group("team", &[&ann]).await;
    ann.post(private, "first").await;
    bob.post(private, "second").await;
    cat.post(group, "to all").await;

    for path in ["/getallmessages", "/getallchats"] {
        let all = ann.rest.get(path).await.ok();
        let expected = json!({ bob.username.clone(): [
            { "from": ann.username, "to": bob.username, "text": "first", "is_read": false, "chat_id": private },
            { "from": bob.username, "to": ann.username, "text": "second", "is_read": false, "chat_id": private },
        ]});
        assert!(contains(&all, &expected), "{all}");
        let first = &all[&bob.username][0];
        assert_time(&first["date"]);
        assert!(first["id"].is_i64());
        // Two groups of one name: the second one's key says which it is.
        let keys: Vec<_> = all.as_object().unwrap().keys().cloned().collect();
        let second = [format!("team (#{group})"), format!("team (#{twin})")];
        assert!(keys.contains(&"team".to_owned()), "{keys:?}");
        assert_eq!(second.iter().filter(|key| keys.contains(key)).count(), 1, "{keys:?}");
        assert!(all.to_string().contains("to all"));
        let newest = ann.rest.get(&format!("{path}?limit=1")).await.ok();
        assert_eq!(texts(&newest, &bob.username), ["second"]);
        for bad in ["0", "1001", "x"] {
            ann.rest.get(&format!("{path}?limit={bad}")).await.invalid("limit");
        }
    }
    let cats = cat.rest.get("/getallchats").await.ok();
    assert!(cats.get(&bob.username).is_none(), "{cats}");
    assert_eq!(texts(&cats, "team"), ["to all"]);
}

async fn changing_calls_are_also_get_but_never_by_cookie(t: System) {
    let (admin, ann, bob) = (t.admin().await, t.user("ann").await, t.user("bob").await);
    let chat = ann.private(&bob).await;
    ann.post(chat, "unread").await;
    let body = json!({ "username": bob.username, "password": PASSWORD });
    let cookie = cookie(&t.rest().post("/login", body).await);
    let by_cookie = async |method: Method, path: &str| {
        Rest::send(t.rest().request(method, path).header("cookie", &cookie)).await
    };
    let from = format!("/readnotreadedfromuser?user_from={}", ann.username);
    let block = format!("/blockuser?username={}", ann.username);
    let unblock = format!("/unblockuser?username={}", ann.username);
    for path in ["/readnotreaded", &from, &block, &unblock] {
        assert_eq!(by_cookie(Method::GET, path).await.status, 401, "{path}");
        assert_eq!(t.rest().get(path).await.status, 401, "{path}");
    }
    assert_eq!(bob.chat(chat).await["unread"], 1, "nothing of that did anything");
    bob.rest.get(&from).await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    ann.post(chat, "unread again").await;
    bob.rest.get("/readnotreaded").await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    ann.post(chat, "and again").await;
    by_cookie(Method::POST, "/readnotreaded").await.ok();
    assert_eq!(bob.chat(chat).await["unread"], 0);
    admin.rest.get(&block).await.ok();
    let body = json!({ "username": ann.username, "password": PASSWORD });
    t.rest().post("/login", body.clone()).await.refused(403, "blocked");
    admin.rest.get(&unblock).await.ok();
    t.rest().post("/login", body).await.ok();
}

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
