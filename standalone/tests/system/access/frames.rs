//! The sockets' half of the table.

use super::{Each, Kind, World};
use crate::{
    asyncapi,
    harness::{
        Device, Dial, DialectSocket,
        want::{message, read, typing},
    },
};
use protocol::close::Close;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a caller gets.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The socket closes before the frame could be sent.
    Closed(Close),
    /// An error frame with this code.
    No(&'static str),
    /// No answer, as always to this frame, and nothing happens.
    Silence,
    /// It is carried out, rightly: why.
    Yes(&'static str),
}
use Answer::{Closed, No, Silence, Yes};

const fn signed_in(answer: Answer) -> Each<Answer> {
    let unknown = Closed(Close::Unauthenticated);
    [answer, answer, Closed(Close::Blocked), unknown, unknown]
}

/// The lobby's: guests get in where they may.
const fn lobby(answer: Answer, guests: Answer) -> Each<Answer> {
    let unknown = Closed(Close::Unauthenticated);
    [answer, answer, Closed(Close::Blocked), guests, unknown]
}

const MEMBERS: Each<Answer> = signed_in(No("not_a_member"));
const NOT_THERE: Each<Answer> = signed_in(Closed(Close::NotAMember));
const IMPOSTOR: Each<Answer> = signed_in(No("identity_mismatch"));
/// The path is looked at before the session, so a blocked user reads this too.
const OTHERS: Each<Answer> = {
    let (other, unknown) = (Closed(Close::OtherUser), Closed(Close::Unauthenticated));
    [other, other, other, unknown, unknown]
};
const ANYBODY: Each<Answer> = signed_in(Yes("anybody may write to anybody"));

/// The frame as the document names it, the path it is sent on, the frame, what each kind of caller
/// gets. Names are filled in as in the other table.
type FrameCase = (&'static str, &'static str, &'static str, Each<Answer>);

const TABLE: &[FrameCase] = &[
    (
        "native.client.hello",
        "/gateway",
        r#"{"type":"hello","resume":{"epoch":"{epoch}","cursors":{"{chat_id}":0}}}"#,
        signed_in(Yes("what a cursor names is resumed only where it is one's own")),
    ),
    (
        "native.client.send",
        "/gateway",
        r#"{"type":"send","id":"x","chat_id":{chat_id},"text":"let me in"}"#,
        MEMBERS,
    ),
    (
        "native.client.edit",
        "/gateway",
        r#"{"type":"edit","id":"x","chat_id":{chat_id},"message_id":{message_id},"text":"changed"}"#,
        MEMBERS,
    ),
    (
        "native.client.delete",
        "/gateway",
        r#"{"type":"delete","id":"x","chat_id":{chat_id},"message_id":{message_id}}"#,
        MEMBERS,
    ),
    (
        "native.client.read",
        "/gateway",
        r#"{"type":"read","chat_id":{chat_id},"message_id":{message_id}}"#,
        signed_in(Silence),
    ),
    (
        "native.client.typing",
        "/gateway",
        r#"{"type":"typing","chat_id":{chat_id}}"#,
        signed_in(Silence),
    ),
    (
        "native.client.subscribe",
        "/gateway",
        r#"{"type":"subscribe","id":"x","chat_id":{chat_id},"after":0}"#,
        MEMBERS,
    ),
    (
        "native.client.unsubscribe",
        "/gateway",
        r#"{"type":"unsubscribe","id":"x","chat_id":{chat_id}}"#,
        signed_in(Yes("nothing is watched and nothing changes")),
    ),
    (
        "native.client.token",
        "/gateway",
        r#"{"type":"token","id":"x","token":"{token}"}"#,
        signed_in(No("other_session")),
    ),
    (
        "native.client.ping",
        "/gateway",
        r#"{"type":"ping","id":"x"}"#,
        signed_in(Yes("it names nobody")),
    ),
    (
        "lobby.client.chat_message",
        "/ws",
        r#"{"type":"chat_message","username":"{username}","message":"I am Ann"}"#,
        lobby(No("identity_mismatch"), No("username_taken")),
    ),
    (
        "lobby.client.user_joined",
        "/ws",
        r#"{"type":"user_joined","username":"{username}"}"#,
        lobby(No("identity_mismatch"), No("username_taken")),
    ),
    ("chat.client.message", "/ws/{chat_id}", r#"{"type":"message","text":"x"}"#, NOT_THERE),
    ("chat.client.content", "/ws/{chat_id}", r#"{"content":"x"}"#, NOT_THERE),
    (
        "chat.client.read",
        "/ws/{chat_id}",
        r#"{"type":"read","message_id":{message_id}}"#,
        NOT_THERE,
    ),
    // From a place where one may be, about another.
    (
        "chat.client.content",
        "/ws/1",
        r#"{"content":"x","room_id":{chat_id}}"#,
        signed_in(No("room_mismatch")),
    ),
    ("chat.client.content", "/ws/1", r#"{"content":"x","user_id":{user_id}}"#, IMPOSTOR),
    ("chat.client.message", "/ws/1", r#"{"text":"x","username":"{username}"}"#, IMPOSTOR),
    (
        "chat.client.read",
        "/ws/1",
        r#"{"type":"read","message_id":{message_id}}"#,
        signed_in(Silence),
    ),
    ("names.client.message", "/ws/chat", r#"{"username_to":"{username}","message":"hi"}"#, ANYBODY),
    (
        "numbers.client.message",
        "/messages/{user_id}",
        r#"{"senderId":{user_id},"receiverId":{receiver_id},"content":"x","timestamp":1}"#,
        OTHERS,
    ),
    (
        "numbers.client.message",
        "/messages/{own_id}",
        r#"{"senderId":{user_id},"receiverId":{receiver_id},"content":"x","timestamp":1}"#,
        IMPOSTOR,
    ),
    (
        "numbers.client.message",
        "/messages/{own_id}",
        r#"{"senderId":{own_id},"receiverId":{user_id},"content":"hi","timestamp":1}"#,
        ANYBODY,
    ),
];

#[test]
fn every_frame_has_a_row() {
    let channels = asyncapi::document().channels.iter();
    let documented: BTreeSet<&str> =
        channels.flat_map(|channel| &channel.client).map(|frame| frame.name.as_str()).collect();
    let rows: BTreeSet<&str> = TABLE.iter().map(|row| row.0).collect();
    assert_eq!(documented, rows);
}

/// Performs the table, through either gateway in turn. Ann and Bob look on.
pub(super) async fn run(world: &World, kinds: &[Kind]) {
    let before = world.state().await;
    let mut watchers = [world.ann.connect_to(0).await, world.bob.connect_to(1).await];
    for (number, row) in TABLE.iter().enumerate() {
        for kind in kinds {
            perform(world, row, *kind, number).await;
        }
        assert_eq!(world.state().await, before, "{} changed something", row.2);
    }
    // What was refused was not relayed either: the next thing in the group is Ann's own.
    let seen = watchers[0].track.seqs(world.group);
    assert_eq!(seen, [0; 0]);
    let end = world.ann.post(world.group, "the end").await;
    for device in &mut watchers {
        device.expect(message("the end")).await;
        assert_eq!(device.track.seqs(world.group), [end.0]);
        assert_quiet(device, world).await;
    }
}

/// Nobody typed or read in the group.
async fn assert_quiet(device: &mut Device, world: &World) {
    device.expect_none(typing(world.group)).await;
    for user in [&world.stranger, &world.removed, &world.blocked] {
        for seen in [world.anns_message, world.removed_ones_message, world.blocked_ones_message] {
            device.expect_none(read(world.group, user.id, seen)).await;
        }
    }
}

async fn perform(world: &World, row: &FrameCase, kind: Kind, node: usize) {
    let (name, path, frame, answers) = row;
    let what = format!("{name} {frame} on {path} by {kind:?}");
    let fill = async |template: &str| world.fill(template, kind, world.group).await;
    let mut dial = Dial::new(world.t.node(node)).at(&fill(path).await);
    if let Some(user) = world.user(kind) {
        dial = dial.header(AUTHORIZATION, format!("Bearer {}", user.token));
    }
    let own = world.user(kind).map_or("", |user| &user.username);
    let mut window = DialectSocket::open(&what, &dial).await.among(&[own]);
    let answer = answers[kind as usize];
    if *path == "/gateway" && !matches!(answer, Closed(_)) {
        let epoch = greet(&mut window).await;
        if *name == "native.client.hello" {
            // Once more, with what this kind may not know.
            window = DialectSocket::open(&what, &dial).await;
            window.socket().say_text(fill(frame).await.replace("{epoch}", &epoch)).await;
        }
    } else if *path == "/gateway" {
        window.say(json!({ "type": "hello" })).await;
    }
    if let Closed(close) = answer {
        return window.expect_only_close(close).await;
    }
    if *name != "native.client.hello" {
        window.socket().say_text(fill(frame).await).await;
    }
    let mut heard = Vec::new();
    if let No(_) = answer {
        // Some refusals are the api's and come later than the answer to nonsense.
        while heard.iter().all(|frame| code(frame).is_none()) {
            heard.push(window.next().await);
        }
    }
    window.socket().say_text("nonsense").await;
    while heard.iter().all(|frame| code(frame) != Some("malformed")) {
        heard.push(window.next().await);
    }
    let codes: Vec<&str> = heard.iter().filter_map(code).collect();
    match answer {
        No(expected) => assert_eq!(codes, [expected, "malformed"], "{what}: {heard:?}"),
        Yes(why) => assert_eq!(codes, ["malformed"], "{what}, since {why}: {heard:?}"),
        Silence => assert_eq!(heard.len(), 1, "{what}: {heard:?}"),
        Closed(_) => {}
    }
    heard.iter().for_each(|frame| world.assert_kept(&frame.to_string(), &what));
}

/// Says hello, gives the epoch.
async fn greet(window: &mut DialectSocket) -> String {
    let ready = window.ask(json!({ "type": "hello" }), json!({ "type": "ready" })).await;
    ready["epoch"].as_str().expect("an epoch").to_owned()
}

/// The code of an error frame of any dialect.
fn code(frame: &Value) -> Option<&str> {
    let error = frame["type"] == "error" || frame["status"] == "error";
    error.then(|| frame["code"].as_str().unwrap_or_default())
}
