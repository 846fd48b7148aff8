//! The document as the tests use it: for each channel the frames of either side, each with a compiled
//! schema. It knows just as much AsyncAPI as our document needs: references within it, operations of
//! whole messages, JSON Schema draft 7.

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../../api/spec/asyncapi.json");

/// The document, read and compiled once.
pub fn document() -> &'static Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::read);
    &DOCUMENT
}

/// All of it.
#[derive(Debug)]
pub struct Document {
    pub json: Value,
    pub channels: Vec<Channel>,
}

/// One WebSocket path.
#[derive(Debug)]
pub struct Channel {
    pub name: String,
    pub address: String,
    pub client: Vec<Frame>,
    pub server: Vec<Frame>,
}

/// One kind of frame.
#[derive(Debug)]
pub struct Frame {
    /// As in the document's components.
    pub name: String,
    pub examples: Vec<Value>,
    /// The value of the field that tells it from other frames: `type`, or `status`.
    pub tag: Option<String>,
    pub fields: Vec<String>,
    schema: Validator,
}

impl Document {
    fn read() -> Self {
        let json: Value = serde_json::from_str(TEXT).expect("the document is JSON");
        let channels = json["channels"].as_object().expect("channels").iter();
        let channels =
            channels.map(|(name, channel)| Channel::read(&json, name, channel)).collect();
        Self { json, channels }
    }

    /// The channel of this name.
    pub fn channel(&self, name: &str) -> &Channel {
        self.channels.iter().find(|channel| channel.name == name).expect(name)
    }

    /// The channel at a path, which may have a query. A fixed address wins over one with parameters.
    pub fn at(&self, path: &str) -> Option<&Channel> {
        let path = path.split('?').next().unwrap_or_default();
        let fixed = self.channels.iter().find(|channel| channel.address == path);
        fixed.or_else(|| self.channels.iter().find(|channel| fits(&channel.address, path)))
    }
}

fn fits(address: &str, path: &str) -> bool {
    let (wanted, given): (Vec<_>, Vec<_>) =
        (address.split('/').collect(), path.split('/').collect());
    wanted.len() == given.len()
        && wanted.iter().zip(given).all(|(want, have)| want.starts_with('{') || *want == have)
}

impl Channel {
    fn read(json: &Value, name: &str, channel: &Value) -> Self {
        let own = format!("#/channels/{name}");
        let frames = |action: &str| {
            let operations = json["operations"].as_object().expect("operations").values();
            let ours = operations.filter(|operation| {
                operation["action"] == action && operation["channel"]["$ref"] == *own
            });
            ours.flat_map(|operation| operation["messages"].as_array().expect("messages"))
                .map(|message| Frame::read(json, message))
                .collect()
        };
        Self {
            name: name.to_owned(),
            address: channel["address"].as_str().expect("an address").to_owned(),
            client: frames("receive"),
            server: frames("send"),
        }
    }

    /// Panics when the server may not send this here, and says what is wrong with it.
    pub fn check(&self, text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap_or_else(|error| {
            panic!("on {} the server sent {text:?}: {error}", self.address)
        });
        let tag = tag_of(|field| frame[field].as_str());
        let candidates = self.server.iter().filter(|known| known.tag == tag);
        let mut wrong = Vec::new();
        for candidate in candidates {
            match candidate.errors(&frame) {
                errors if errors.is_empty() => return,
                errors => wrong.push(format!("as {}: {}", candidate.name, errors.join("; "))),
            }
        }
        if wrong.is_empty() {
            wrong.push("there is no such frame".to_owned());
        }
        panic!(
            "on {} the server sent {frame}, which api/spec/asyncapi.json does not allow: {}",
            self.address,
            wrong.join(", ")
        );
    }
}

impl Frame {
    /// From a reference to one of a channel's messages.
    fn read(json: &Value, message: &Value) -> Self {
        let target = |reference: &Value| {
            let reference = reference["$ref"].as_str().expect("a reference").to_owned();
            let found = json.pointer(&reference[1..]).cloned();
            (found.unwrap_or_else(|| panic!("{reference} leads nowhere")), reference)
        };
        let (message, reference) = target(&target(message).0);
        let payload = format!("{reference}/payload");
        let schema = json!({ "$ref": payload, "components": json["components"] });
        let examples = message["examples"].as_array().cloned().unwrap_or_default();
        let properties = &message["payload"]["properties"];
        Self {
            name: reference.rsplit('/').next().unwrap_or_default().to_owned(),
            examples: examples.into_iter().map(|example| example["payload"].clone()).collect(),
            tag: tag_of(|field| properties[field]["const"].as_str()),
            fields: properties.as_object().expect("properties").keys().cloned().collect(),
            schema: jsonschema::options()
                .with_draft(Draft::Draft7)
                .should_validate_formats(true)
                .build(&schema)
                .unwrap_or_else(|error| panic!("{reference}: {error}")),
        }
    }

    /// What is wrong with this as such a frame; empty when nothing is.
    pub fn errors(&self, frame: &Value) -> Vec<String> {
        let told = self.schema.iter_errors(frame);
        told.map(|error| format!("{} {error}", error.instance_path()).trim().to_owned()).collect()
    }
}

fn tag_of<'a>(field: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    field("type").or_else(|| field("status")).map(str::to_owned)
}
