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

const fn must(name: &'static str, kind: KeyType) -> Key {
    Key { name, kind, required: true }
}

const fn may(name: &'static str, kind: KeyType) -> Key {
    Key { name, kind, required: false }
}

pub(super) const SCENARIO: &[Key] = &[
    must("name", KeyType::Text),
    may("description", KeyType::Text),
    may("seed", KeyType::Whole),
    must("people", KeyType::Table(PEOPLE)),
    may("chats", KeyType::Tables(CHATS)),
    must("phases", KeyType::Tables(PHASE)),
    may("faults", KeyType::Tables(FAULT)),
    may("thresholds", KeyType::Texts),
];

const PEOPLE: &[Key] = &[
    must("accounts", KeyType::Whole),
    may("dialects", KeyType::Table(DIALECTS)),
    may("slow", KeyType::Table(SLOW)),
];

const DIALECTS: &[Key] = &[
    may("native", KeyType::Number),
    may("lobby", KeyType::Number),
    may("chat", KeyType::Number),
    may("names", KeyType::Number),
    may("numbers", KeyType::Number),
];

const SLOW: &[Key] = &[must("share", KeyType::Number), must("bytes_per_second", KeyType::Whole)];

const CHATS: &[Key] = &[
    must("kind", KeyType::OneOf(&["direct", "group", "room"])),
    must("count", KeyType::Whole),
    must("members", KeyType::Whole),
];

const PHASE: &[Key] = &[
    must("name", KeyType::Text),
    must("duration", KeyType::Duration),
    may("connections", KeyType::Whole),
    may("warmup", KeyType::Flag),
    may("bytes", KeyType::Bytes),
    may("messages", KeyType::Rate),
    may("edits", KeyType::Rate),
    may("deletes", KeyType::Rate),
    may("typing", KeyType::Rate),
    may("reads", KeyType::Rate),
    may("history", KeyType::Rate),
    may("reconnects", KeyType::Rate),
    may("churn", KeyType::Rate),
    may("storm", KeyType::Number),
    may("closed", KeyType::Table(CLOSED)),
];

const CLOSED: &[Key] = &[must("senders", KeyType::Whole), must("window", KeyType::Whole)];

const FAULT: &[Key] =
    &[must("name", KeyType::Text), must("at", KeyType::Duration), must("run", KeyType::Text)];
