//! The keys of a scenario file and their values. One test compares the documentation's tables with these
//! keys, another compares these keys with the types of [`crate::scenario`].

/// A key of a table.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A file without it is refused.
    pub(super) required: bool,
}

/// What a key takes.
pub(super) enum Kind {
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

impl Kind {
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

const fn must(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

const fn may(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

pub(super) const SCENARIO: &[Key] = &[
    must("name", Kind::Text),
    may("description", Kind::Text),
    may("seed", Kind::Whole),
    must("people", Kind::Table(PEOPLE)),
    may("chats", Kind::Tables(CHATS)),
    must("phases", Kind::Tables(PHASE)),
    may("faults", Kind::Tables(FAULT)),
    may("thresholds", Kind::Texts),
];

const PEOPLE: &[Key] = &[
    must("accounts", Kind::Whole),
    may("dialects", Kind::Table(DIALECTS)),
    may("slow", Kind::Table(SLOW)),
];

const DIALECTS: &[Key] = &[
    may("native", Kind::Number),
    may("lobby", Kind::Number),
    may("chat", Kind::Number),
    may("names", Kind::Number),
    may("numbers", Kind::Number),
];

const SLOW: &[Key] = &[must("share", Kind::Number), must("bytes_per_second", Kind::Whole)];

const CHATS: &[Key] = &[
    must("kind", Kind::OneOf(&["direct", "group", "room"])),
    must("count", Kind::Whole),
    must("members", Kind::Whole),
];

const PHASE: &[Key] = &[
    must("name", Kind::Text),
    must("duration", Kind::Duration),
    may("connections", Kind::Whole),
    may("warmup", Kind::Flag),
    may("bytes", Kind::Bytes),
    may("messages", Kind::Rate),
    may("edits", Kind::Rate),
    may("deletes", Kind::Rate),
    may("typing", Kind::Rate),
    may("reads", Kind::Rate),
    may("history", Kind::Rate),
    may("reconnects", Kind::Rate),
    may("churn", Kind::Rate),
    may("storm", Kind::Number),
    may("closed", Kind::Table(CLOSED)),
];

const CLOSED: &[Key] = &[must("senders", Kind::Whole), must("window", Kind::Whole)];

const FAULT: &[Key] =
    &[must("name", Kind::Text), must("at", Kind::Duration), must("run", Kind::Text)];
