//! Every example of the document: good by its own schema, and what the product's own code reads and
//! writes.

use super::document::{Channel, Frame, document};
use gateway::dialect::{ClientRequest, Dialect, Speaker, Window, lobby};
use protocol::{chat::UserRef, frames::ServerFrame, id::UserId, time::Timestamp};
use serde_json::{Value, json};

/// Each example with the frame it is of.
fn examples(frames: &[Frame]) -> impl Iterator<Item = (&str, &Value)> {
    frames
        .iter()
        .flat_map(|frame| frame.examples.iter().map(|example| (frame.name.as_str(), example)))
}

#[test]
fn every_frame_has_examples_and_each_is_an_example_of_it_alone() {
    for channel in &document().channels {
        for frames in [&channel.client, &channel.server] {
            for frame in frames {
                assert!(!frame.examples.is_empty(), "{} has no example", frame.name);
            }
            for (name, example) in examples(frames) {
                for frame in frames {
                    let errors = frame.errors(example);
                    let own = frame.name == name;
                    assert_eq!(errors.is_empty(), own, "{example} as {}: {errors:?}", frame.name);
                }
            }
        }
    }
}

#[test]
fn what_the_server_sends_is_described_to_the_last_field() {
    for channel in &document().channels {
        for frame in &channel.server {
            for example in &frame.examples {
                let mut more = example.clone();
                more["surprise"] = json!(true);
                assert!(!frame.errors(&more).is_empty(), "{} may have any field", frame.name);
            }
            // Every field is shown once, and one that may be missing is missing once.
            let has =
                |field: &str| frame.examples.iter().filter(|it| it.get(field).is_some()).count();
            for field in &frame.fields {
                let mut less = frame.examples[0].clone();
                less.as_object_mut().expect("an object").remove(field);
                let optional = frame.errors(&less).is_empty();
                let shown = has(field);
                assert!(shown > 0, "no example of {} has {field}", frame.name);
                assert!(
                    !optional || shown < frame.examples.len(),
                    "every example of {} has {field}, which may be missing",
                    frame.name
                );
            }
        }
    }
}

/// The dialect and window of a channel; where the address has a number it is the one in the examples.
fn window(channel: &Channel) -> Window {
    let path = channel.address.replace("{chat_id}", "12").replace("{user_id}", "7");
    Window::from_path(&path).unwrap_or_else(|| panic!("there is no WebSocket at {path}"))
}

#[test]
fn each_channel_is_a_dialect_and_each_dialect_a_channel() {
    for channel in &document().channels {
        assert_eq!(window(channel).dialect().name(), channel.name);
    }
    assert_eq!(document().channels.len(), Dialect::ALL.len());
}

#[test]
fn what_a_client_may_send_is_understood() {
    let ann = UserRef::registered(UserId(7), "ann");
    for channel in &document().channels {
        for (name, example) in examples(&channel.client) {
            let guest = example["username"] == "visitor";
            let speaker = Speaker { window: window(channel), user: (!guest).then_some(&ann) };
            let asked = speaker
                .decode(&example.to_string())
                .unwrap_or_else(|error| panic!("{name} {example}: {error:?}"));
            match asked {
                ClientRequest::Frame(frame) if channel.name == "native" => {
                    assert_eq!(serde_json::to_value(frame).unwrap(), *example, "{name}");
                }
                ClientRequest::Nothing => panic!("{name} {example} leads to nothing"),
                ClientRequest::Frame(_)
                | ClientRequest::Direct { .. }
                | ClientRequest::Guest { .. } => {}
            }
        }
    }
}

#[test]
fn what_the_server_is_said_to_send_is_what_it_writes() {
    for channel in &document().channels {
        let dialect = window(channel).dialect();
        for (name, example) in examples(&channel.server) {
            let written = written(dialect, name, example);
            let written = written.unwrap_or_else(|| panic!("{name} is nothing to this dialect"));
            assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), *example, "{name}");
        }
    }
}

/// What the product writes when it has to say what this example says.
fn written(dialect: Dialect, name: &str, example: &Value) -> Option<String> {
    let now: Timestamp = serde_json::from_value(example["timestamp"].clone()).unwrap_or_default();
    let meant = match name {
        _ if dialect == Dialect::Native => native(example),
        "lobby.server.user_joined" => {
            return Some(lobby::user_joined(&text(example, "username"), now).text().to_owned());
        }
        "lobby.server.chat_message" => event(1, "username", "message", example),
        "chat.server.message" => event(number(example, "chat_id"), "username", "text", example),
        "chat.server.read" => native(&json!({
            "type": "read",
            "chat_id": example["chat_id"],
            "user_id": example["reader_id"],
            "message_id": example["message_id"],
        })),
        "names.server.message" => {
            event(number(example, "chat_id"), "username_from", "message", example)
        }
        "names.server.success" => native(&json!({
            "type": "ack",
            "id": null,
            "chat_id": example["chat_id"],
            "message_id": example["id"],
            "seq": example["id"],
            "timestamp": example["timestamp"],
        })),
        "numbers.server.message" => event(number(example, "chat_id"), "", "content", example),
        _ => native(&json!({
            "type": "error",
            "id": example.get("client_message_id"),
            "code": example["code"],
            "message": example.get("message").unwrap_or(&example["error"]),
            "retry_after_ms": example.get("retry_after_ms"),
        })),
    };
    let frame = match &meant {
        ServerFrame::Event(event) => dialect.encode_event(event, Some(UserId(9))),
        other => dialect.encode(other, now),
    };
    frame.map(|frame| frame.text().to_owned())
}

fn native(frame: &Value) -> ServerFrame {
    serde_json::from_value(frame.clone()).unwrap_or_else(|error| panic!("{frame}: {error}"))
}

/// The event of a message that stands in these fields.
fn event(chat_id: i64, sender: &str, said: &str, example: &Value) -> ServerFrame {
    let id = ["sender_id", "senderId"].into_iter().find_map(|field| example[field].as_i64());
    let timestamp = match example["timestamp"].as_i64() {
        Some(seconds) => json!(Timestamp(seconds * 1000)),
        None => example["timestamp"].clone(),
    };
    let guest = example["guest"] == true;
    let username = example[sender].as_str().unwrap_or("ann");
    let sender = UserRef { guest, ..UserRef::registered(UserId(id.unwrap_or(1)), username) };
    let mut frame = json!({
        "type": "message",
        "chat_id": chat_id,
        "seq": example["id"],
        "id": example["id"],
        "sender": sender,
        "text": text(example, said),
        "timestamp": timestamp,
    });
    if let Some(id) = example.get("client_message_id") {
        frame["client_message_id"] = id.clone();
    }
    native(&frame)
}

fn text(example: &Value, field: &str) -> String {
    example[field].as_str().unwrap_or_else(|| panic!("no {field} in {example}")).to_owned()
}

fn number(example: &Value, field: &str) -> i64 {
    example[field].as_i64().unwrap_or_else(|| panic!("no {field} in {example}"))
}
