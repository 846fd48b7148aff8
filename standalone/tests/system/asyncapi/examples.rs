//! Every example of the document: good by its own schema, and what the product's own code reads and
//! writes.

use super::document::{Frame, document};
use gateway::native;
use serde_json::{Value, json};
use shared::protocol::ServerFrame;

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

#[test]
fn native_examples_are_read_and_written_as_they_stand() {
    let native = document().channel("native");
    for (name, example) in examples(&native.client) {
        let frame = gateway::native::decode(&example.to_string())
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(serde_json::to_value(frame).unwrap(), *example, "{name}");
    }
    for (name, example) in examples(&native.server) {
        let frame: ServerFrame = serde_json::from_value(example.clone())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let written: Value = serde_json::from_str(&native::encode(&frame)).unwrap();
        assert_eq!(written, *example, "{name}");
    }
}
