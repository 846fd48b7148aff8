//! One chat through every window that can show it: users of all dialects, on different gateways, see
//! each message once, in the same order, with the same content; and nobody sees what their window
//! does not show.

use super::{LOBBY, guest_window, numbers_path};
use crate::harness::{Device, DialectSocket, System, User, unique, want::message};
use protocol::{
    chat::Change,
    id::{ChatId, Seq},
};
use serde_json::{Value, json};

in_both_modes!(
    the_lobby_is_one_through_every_window,
    a_private_chat_is_one_through_every_window,
    a_group_is_one_through_every_window,
);

/// How often everybody says something.
const ROUNDS: usize = 4;

/// A message as every window can tell it: its id, who, what.
type ShownMessage = (Seq, String, String);

/// Under which names a window tells who and what.
type Fields = (&'static str, &'static str);

const LOBBYS: Fields = ("username", "message");
const CHATS: Fields = ("username", "text");
const NAMES: Fields = ("username_from", "message");
const NUMBERS: Fields = ("senderId", "content");

/// The next messages of a window. Other frames are confirmations and announcements; none may be an
/// error.
async fn lines(
    window: &mut DialectSocket,
    (sender, text): Fields,
    count: usize,
) -> Vec<ShownMessage> {
    let mut lines = Vec::new();
    while lines.len() < count {
        let frame = window.next().await;
        assert!(frame["type"] != "error" && frame["status"] != "error", "{frame}");
        if let (Some(sender), Some(text)) = (frame.get(sender), frame.get(text)) {
            let sender = sender.as_str().map_or_else(|| sender.to_string(), str::to_owned);
            let id = Seq(frame["id"].as_i64().expect("an id"));
            lines.push((id, sender, text.as_str().expect("a text").to_owned()));
        }
    }
    lines
}

/// The next one must be this one: nothing came twice, and nothing that does not belong here.
async fn then(window: &mut DialectSocket, fields: Fields, line: &ShownMessage) {
    assert_eq!(lines(window, fields, 1).await, std::slice::from_ref(line));
}

/// And nothing more: what answers nonsense is the next thing, marks aside.
async fn and_no_more(window: &mut DialectSocket) {
    window.socket().say_text("nonsense").await;
    loop {
        let frame = window.next().await;
        if frame["type"] == "error" || frame["status"] == "error" {
            return;
        }
        assert!(frame["type"] == "read" || frame["status"] == "success", "{frame}");
    }
}

/// All messages of a chat that a native device got so far, these users' only.
fn native_lines(device: &Device, chat: ChatId, users: &[&str]) -> Vec<ShownMessage> {
    let of_chat = device.track.events.iter().filter(|event| event.chat_id == chat);
    let messages = of_chat.filter_map(|event| match &event.event.change {
        Change::Message(one) => Some((one.id, one.sender.username.clone(), one.text.clone())),
        _ => None,
    });
    messages.filter(|(_, sender, _)| users.contains(&sender.as_str())).collect()
}

/// All messages of a chat as REST lists them, these users' only.
async fn stored(reader: &User, chat: ChatId, users: &[&str]) -> Vec<ShownMessage> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("/chats/{chat}/messages?after={after}&limit=100");
        let page = reader.rest.get(&path).await.ok();
        let Some(last) = page.as_array().expect("an array").last() else { return all };
        after = last["id"].as_i64().expect("an id");
        let line = |one: &Value| {
            let text = |field: &str| one[field].as_str().expect("a text").to_owned();
            (Seq(one["id"].as_i64().expect("an id")), text("username"), text("text"))
        };
        let page = page.as_array().expect("an array").iter().map(line);
        all.extend(page.filter(|(_, sender, _)| users.contains(&sender.as_str())));
    }
}

/// Who is not this one, under the name that the window has for the others.
fn others(
    lines: &[ShownMessage],
    user: &User,
    named: impl Fn(&str) -> String,
) -> Vec<ShownMessage> {
    let others = lines.iter().filter(|(_, sender, _)| *sender != user.username);
    others.map(|(id, sender, text)| (*id, named(sender), text.clone())).collect()
}

async fn the_lobby_is_one_through_every_window(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let (dan, eve, gus) = (t.user("dan").await, t.user("eve").await, unique("gus"));
    let all = [&gus, &ann.username, &bob.username, &cat.username, &dan.username, &eve.username];
    let all = all.map(String::as_str);
    let square = format!("/ws/{LOBBY}");
    let mut guest = guest_window(&t, 0, &all).await;
    let mut anns = ann.window(1, "/ws").await.among(&all);
    let mut bobs = bob.window(0, &square).await.among(&all);
    let mut cats = cat.window(1, &square).await.among(&all);
    let mut native = dan.connect_to(1).await;
    native.subscribe(LOBBY, None).await.unwrap();

    for round in 0..ROUNDS {
        let text = |from: &str| format!("{from} {round}");
        let lobby = |name: &str, from: &str| json!({ "type": "chat_message", "username": name, "message": text(from) });
        guest.say(lobby(&gus, "guest")).await;
        cats.say(json!({ "type": "message", "text": text("chat") })).await;
        anns.say(lobby(&ann.username, "lobby")).await;
        bobs.say(json!({ "content": text("page"), "room_id": LOBBY, "user_id": bob.id })).await;
        native.submit(LOBBY, &text("native")).await;
        eve.post(LOBBY, &text("rest")).await;
    }
    let count = ROUNDS * 6;
    let seen = lines(&mut guest, LOBBYS, count).await;
    assert!(seen.is_sorted(), "the order is the numbers': {seen:?}");
    let end = (eve.post(LOBBY, "the end").await, eve.username.clone(), "the end".to_owned());
    then(&mut guest, LOBBYS, &end).await;
    let seen = [seen, vec![end]].concat();
    for (window, fields) in [(&mut anns, LOBBYS), (&mut bobs, CHATS), (&mut cats, CHATS)] {
        assert_eq!(lines(window, fields, count + 1).await, seen);
        and_no_more(window).await;
    }
    native.expect(message("the end")).await;
    assert_eq!(native_lines(&native, LOBBY, &all), seen);
    assert_eq!(stored(&ann, LOBBY, &all).await, seen);
    let page = ann.rest.get(&format!("/api/messages/user/{gus}")).await.ok();
    assert_eq!(page["total_messages"], ROUNDS);
}

async fn a_private_chat_is_one_through_every_window(t: System) {
    let (ann, bob, eve) = (t.user("ann").await, t.user("bob").await, t.user("eve").await);
    let (chat, eves) = (ann.private(&bob).await, ann.private(&eve).await);
    let both = [ann.username.as_str(), &bob.username];
    let path = format!("/ws/{chat}");
    let mut names = [ann.window(0, "/ws/chat").await, bob.window(1, "/ws/chat").await];
    let mut numbered =
        [ann.window(1, &numbers_path(&ann)).await, bob.window(0, &numbers_path(&bob)).await];
    let mut chats = [ann.window(0, &path).await, bob.window(1, &path).await];
    let mut native = [ann.connect_to(1).await, bob.connect_to(0).await];
    let (mut spy_names, mut spy_numbers) =
        (eve.window(0, "/ws/chat").await, eve.window(1, &numbers_path(&eve)).await);
    let (mut spy_chat, mut spy_native) =
        (eve.window(1, &format!("/ws/{eves}")).await, eve.connect_to(0).await);

    for round in 0..ROUNDS {
        for (at, from, to) in [(0, &ann, &bob), (1, &bob, &ann)] {
            let text = |by: &str| format!("{} by {by} {round}", from.username);
            names[at].say(json!({ "username_to": to.username, "message": text("name") })).await;
            let (sender, receiver) = (from.id, to.id);
            let frame = json!({ "senderId": sender, "receiverId": receiver, "content": text("number"), "timestamp": 0 });
            numbered[at].say(frame).await;
            chats[at].say(json!({ "type": "message", "text": text("chat") })).await;
            native[at].submit(chat, &text("native")).await;
            from.post(chat, &text("rest")).await;
        }
    }
    let count = ROUNDS * 10;
    let seen = lines(&mut chats[0], CHATS, count).await;
    assert!(seen.is_sorted(), "the order is the numbers': {seen:?}");
    let mut seen = seen;
    for user in [&ann, &bob] {
        let end = (user.post(chat, "the end").await, user.username.clone(), "the end".to_owned());
        then(&mut chats[0], CHATS, &end).await;
        seen.push(end);
    }
    assert_eq!(lines(&mut chats[1], CHATS, count + 2).await, seen);
    for (at, user) in [(0, &ann), (1, &bob)] {
        let by_name = others(&seen, user, str::to_owned);
        assert_eq!(lines(&mut names[at], NAMES, by_name.len()).await, by_name);
        let other = if at == 0 { bob.id } else { ann.id };
        let by_number = others(&seen, user, |_| other.to_string());
        assert_eq!(lines(&mut numbered[at], NUMBERS, by_number.len()).await, by_number);
        native[at].reach(chat, seen[count + 1].0).await;
        assert_eq!(native_lines(&native[at], chat, &both), seen);
        for window in [&mut names[at], &mut numbered[at], &mut chats[at]] {
            and_no_more(window).await;
        }
    }
    assert_eq!(stored(&ann, chat, &both).await, seen);
    let texts: Vec<&String> = seen.iter().map(|(_, _, text)| text).collect();
    let listed = |list: &Value, field: &str| -> Vec<String> {
        let list = list.as_array().expect("an array").iter();
        list.map(|one| one[field].as_str().expect("a text").to_owned()).collect()
    };
    let conversation = bob.rest.get(&format!("/messages/{}/{}", ann.id, bob.id)).await.ok();
    assert_eq!(listed(&conversation, "content").iter().collect::<Vec<_>>(), texts);
    let all = ann.rest.get("/getallmessages").await.ok();
    assert_eq!(listed(&all[&bob.username], "text").iter().collect::<Vec<_>>(), texts);

    // Eve has seen nothing of all that: what is for her comes first.
    let id = ann.post(eves, "for Eve").await;
    let line = |sender: String| (id, sender, "for Eve".to_owned());
    then(&mut spy_names, NAMES, &line(ann.username.clone())).await;
    then(&mut spy_numbers, NUMBERS, &line(ann.id.to_string())).await;
    then(&mut spy_chat, CHATS, &line(ann.username.clone())).await;
    spy_native.expect(message("for Eve")).await;
    assert_eq!(spy_native.track.seqs(chat), [0; 0]);
}

async fn a_group_is_one_through_every_window(t: System) {
    let (ann, bob, cat) = (t.user("ann").await, t.user("bob").await, t.user("cat").await);
    let (group, private) = (ann.group("team", &[&bob, &cat]).await, ann.private(&bob).await);
    let all = [ann.username.as_str(), &bob.username, &cat.username];
    let path = format!("/ws/{group}");
    let mut windows = [
        ann.window(0, &path).await,
        bob.window(1, &path).await,
        cat.window(1, &path).await,
        cat.front_window(&path).await,
    ];
    let mut native = [cat.connect_to(0).await, ann.connect_to(1).await];
    let (mut names, mut numbered) =
        (bob.window(0, "/ws/chat").await, bob.window(1, &numbers_path(&bob)).await);
    let mut lobby = bob.window(0, "/ws").await.among(&all);
    for round in 0..ROUNDS {
        let text = |by: &str| format!("{by} {round}");
        windows[0].say(json!({ "content": text("page"), "room_id": group })).await;
        windows[1].say(json!({ "type": "message", "text": text("chat") })).await;
        native[0].submit(group, &text("native")).await;
        bob.post(group, &text("rest")).await;
    }
    let count = ROUNDS * 4;
    let mut seen = lines(&mut windows[0], CHATS, count).await;
    assert!(seen.is_sorted(), "the order is the numbers': {seen:?}");
    let end = (ann.post(group, "the end").await, ann.username.clone(), "the end".to_owned());
    then(&mut windows[0], CHATS, &end).await;
    seen.push(end);
    for window in &mut windows[1..] {
        assert_eq!(lines(window, CHATS, count + 1).await, seen);
        and_no_more(window).await;
    }
    for device in &mut native {
        device.expect(message("the end")).await;
        assert_eq!(native_lines(device, group, &all), seen);
    }
    assert_eq!(stored(&cat, group, &all).await, seen);

    // Who has only windows for private chats sees none of it.
    let id = ann.post(private, "between us").await;
    then(&mut names, NAMES, &(id, ann.username.clone(), "between us".to_owned())).await;
    then(&mut numbered, NUMBERS, &(id, ann.id.to_string(), "between us".to_owned())).await;
    and_no_more(&mut lobby).await;
}
