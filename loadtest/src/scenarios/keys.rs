//! The keys of a scenario file and their values. One test compares the documentation's tables with these
//! keys, another compares these keys with the types of [`crate::scenario`].

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: KeyType,
    /// A file without it is refused.
    pub(super) required: bool,
}

/// What a key takes.
pub(super) enum KeyType {
    Text,
    Texts,
    OneOf(&'static [&'static str]),
    Whole,
    Number,
    Flag,
    Duration,
    /// A number a second, or from one to another.
    Rate,
    /// A whole number, or from one to another.
    Bytes,
    Table(&'static [Key]),
    Tables(&'static [Key]),
}

impl KeyType {
    /// What to write, with an example.
    pub(super) fn example(&self) -> String {
        match self {
            Self::Text => "text in quotes".to_owned(),
            Self::Texts => "a list of quoted texts, such as [\"lost==0\"]".to_owned(),
            Self::OneOf(names) => format!("one of \"{}\"", names.join("\", \"")),
            Self::Whole => "a whole number, such as 100".to_owned(),
            Self::Number => "a number, such as 0.5".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Duration => {
                "a time in quotes, such as \"250ms\", \"30s\", \"5m\" or \"1h\"".to_owned()
            }
            Self::Rate => "a rate per second, such as 20 or { from = 0, to = 20 }".to_owned(),
            Self::Bytes => "a number of bytes, such as 128 or { min = 100, max = 400 }".to_owned(),
            Self::Table(keys) => format!("a table of {}", names(keys)),
            Self::Tables(keys) => format!("one or more [[…]] tables of {}", names(keys)),
        }
    }
}

fn names(keys: &[Key]) -> String {
    keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

const fn required(name: &'static str, kind: KeyType) -> Key {
    Key { name, kind, required: true }
}

const fn optional(name: &'static str, kind: KeyType) -> Key {
    Key { name, kind, required: false }
}

pub(super) const SCENARIO: &[Key] = &[
    required("name", KeyType::Text),
    optional("description", KeyType::Text),
    optional("seed", KeyType::Whole),
    required("people", KeyType::Table(PEOPLE)),
    optional("chats", KeyType::Tables(CHATS)),
    required("phases", KeyType::Tables(PHASE)),
    optional("faults", KeyType::Tables(FAULT)),
    optional("thresholds", KeyType::Texts),
];

const PEOPLE: &[Key] = &[
    required("accounts", KeyType::Whole),
    optional("dialects", KeyType::Table(DIALECTS)),
    optional("slow", KeyType::Table(SLOW)),
];

const DIALECTS: &[Key] = &[
    optional("native", KeyType::Number),
    optional("lobby", KeyType::Number),
    optional("chat", KeyType::Number),
    optional("names", KeyType::Number),
    optional("numbers", KeyType::Number),
];

const SLOW: &[Key] =
    &[required("share", KeyType::Number), required("bytes_per_second", KeyType::Whole)];

const CHATS: &[Key] = &[
    required("kind", KeyType::OneOf(&["direct", "group", "room"])),
    required("count", KeyType::Whole),
    required("members", KeyType::Whole),
];

const PHASE: &[Key] = &[
    required("name", KeyType::Text),
    required("duration", KeyType::Duration),
    optional("connections", KeyType::Whole),
    optional("warmup", KeyType::Flag),
    optional("bytes", KeyType::Bytes),
    optional("messages", KeyType::Rate),
    optional("edits", KeyType::Rate),
    optional("deletes", KeyType::Rate),
    optional("typing", KeyType::Rate),
    optional("reads", KeyType::Rate),
    optional("history", KeyType::Rate),
    optional("reconnects", KeyType::Rate),
    optional("churn", KeyType::Rate),
    optional("storm", KeyType::Number),
    optional("closed", KeyType::Table(CLOSED)),
];

const CLOSED: &[Key] = &[required("senders", KeyType::Whole), required("window", KeyType::Whole)];

const FAULT: &[Key] = &[
    required("name", KeyType::Text),
    required("at", KeyType::Duration),
    required("run", KeyType::Text),
];
